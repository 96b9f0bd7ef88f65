package images

import (
	"context"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
	"github.com/isuncoin/isuncoin/worker/cloud/object"
	"github.com/isuncoin/isuncoin/worker/cloud/registry"
)

// Cloud is iSunCloud as this node has it.
type Cloud interface {
	// Fetch makes an image and everything below it present here. It reports
	// the bytes that are here, of how many. cloud.ErrNotHeld if nobody has it.
	Fetch(ctx context.Context, root uai.Digest, progress func(done, total int64)) error
	// Open opens content that is present. cloud.ErrNotHeld.
	Open(digest uai.Digest) (cloud.Content, error)
	// Stat gives the size in bytes of content that is present. cloud.ErrNotHeld.
	Stat(digest uai.Digest) (int64, error)
	// Check reads content that is present from the disk. If it is damaged it is
	// dropped, with the roots that need it, which it returns.
	Check(ctx context.Context, digest uai.Digest) (lost []uai.Digest, err error)
	// Registry is host and port of the registry that serves it to the engine.
	Registry() string
}

// Keys are those of private images.
type Keys interface {
	// Identity gives the key of a subject, such as
	// "image/PUBLISHER/NAME:TAG", to the node that may run it.
	Identity(ctx context.Context, subject string) (age.Identity, error)
}

// cloudSource is the Source of images from iSunCloud that were loaded.
const cloudSource = "iSunCloud"

// fromCloud brings the image from iSunCloud. The engine pulls it through the
// registry on loopback, so that it takes only layers it lacks; a private one
// is loaded, for no store may have its content in the clear.
//
// What this disk damaged since it came is fetched once more.
func (s *Store) fromCloud(ctx context.Context, digest uai.Digest, req Request) (Image, error) {
	image, err := s.tryCloud(ctx, digest, req)
	if errors.Is(err, uai.ErrMismatch) && s.dropDamaged(ctx, digest) {
		image, err = s.tryCloud(ctx, digest, req)
	}
	return image, err
}

func (s *Store) tryCloud(ctx context.Context, digest uai.Digest, req Request) (Image, error) {
	if err := s.fetchTree(ctx, digest); err != nil {
		return Image{}, err
	}
	found, err := uai.OpenContents(s.content, s.cfg.Limits).Image(digest)
	if err != nil {
		return Image{}, mismatch(err)
	}
	if err := s.fits(found.Size()); err != nil {
		return Image{}, err
	}
	variant, err := found.Select(s.cfg.Platform)
	if err != nil {
		return Image{}, err
	}
	if variant.Private() {
		return s.bring(ctx, req, digest, variant, cloudSource)
	}
	// The engine unpacks whatever it is given; what fills a disk or climbs out
	// of its root has to be found before. And one that has an image asks for no
	// layers: a configuration is another's until its content was shown.
	if _, err := variant.Verify(ctx, func(done, total int64) {
		s.cfg.OnProgress(Progress{Digest: digest, Stage: StageCheck, Done: done, Total: total})
	}); err != nil {
		return Image{}, mismatch(err)
	}
	if image, ok, err := s.adopt(ctx, digest, variant, cloudSource); err != nil || ok {
		return image, err
	}
	image, err := s.pullTree(ctx, digest, variant)
	if err == nil || ctx.Err() != nil || errors.Is(err, ErrDigestMismatch) {
		return image, err
	}
	// An engine in a network of its own does not reach our loopback.
	s.cfg.Logger.Warn("the engine does not pull from this node's registry; loading the image instead",
		"digest", digest.String(), "error", err)
	return s.bring(ctx, req, digest, variant, cloudSource)
}

// fetchTree makes the image present, unless it turns out to be too large.
func (s *Store) fetchTree(ctx context.Context, digest uai.Digest) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	err := s.cfg.Cloud.Fetch(ctx, digest, func(done, total int64) {
		if err := s.fits(max(done, total)); err != nil {
			cancel(err)
			return
		}
		s.cfg.OnProgress(Progress{Digest: digest, Stage: StageFetch, Done: done, Total: total})
	})
	if cause := context.Cause(ctx); errors.Is(cause, uai.ErrTooLarge) {
		return cause
	}
	if errors.Is(err, cloud.ErrNotHeld) {
		return fmt.Errorf("%w: nobody in iSunCloud holds it: %w", ErrImageNotFound, err)
	}
	if err != nil {
		return fmt.Errorf("%w: iSunCloud does not give it: %w", ErrImageNotFound, err)
	}
	return nil
}

// dropDamaged reads an image's blobs as they are on the disk, and says whether
// one was damaged.
func (s *Store) dropDamaged(ctx context.Context, digest uai.Digest) bool {
	var suspects []uai.Digest
	read := func(ctx context.Context, digest uai.Digest, most int64) ([]byte, error) {
		suspects = append(suspects, digest)
		content, err := s.cfg.Cloud.Open(digest)
		if err != nil {
			return nil, err
		}
		defer content.Close()
		return io.ReadAll(io.LimitReader(content, most))
	}
	tree, err := object.Walk(ctx, digest, read) // as far as it can be read
	for _, b := range tree {
		suspects = append(suspects, b.Digest)
	}
	s.cfg.Logger.Warn("an image is damaged on this disk", "digest", digest.String(), "walk", err)
	damaged := false
	for _, d := range suspects {
		if _, err := s.cfg.Cloud.Check(ctx, d); err != nil && !errors.Is(err, cloud.ErrNotHeld) {
			s.cfg.Logger.Warn("content cannot be checked", "digest", d.String(), "error", err)
		}
		_, err := s.cfg.Cloud.Stat(d)
		damaged = damaged || errors.Is(err, cloud.ErrNotHeld)
	}
	return damaged
}

// content opens a blob for package uai.
func (s *Store) content(digest uai.Digest) (io.ReadCloser, int64, error) {
	size, err := s.cfg.Cloud.Stat(digest)
	if err == nil {
		var content cloud.Content
		if content, err = s.cfg.Cloud.Open(digest); err == nil {
			return content, size, nil
		}
	}
	if errors.Is(err, cloud.ErrNotHeld) {
		return nil, 0, fmt.Errorf("%w: %w", uai.ErrNotFound, err)
	}
	return nil, 0, err
}

// pullTree lets the engine pull what is present.
func (s *Store) pullTree(ctx context.Context, digest uai.Digest, v *uai.Variant) (Image, error) {
	pinned := s.cfg.Cloud.Registry() + "/" + registry.Repository(digest) + "@" + digest.String()
	if err := s.pullPinned(ctx, digest, pinned); err != nil {
		return Image{}, err
	}
	found, err := s.engine.ImageInspect(ctx, pinned)
	if err != nil {
		return Image{}, fmt.Errorf("inspect pulled image: %w", err)
	}
	if !same(found, v) {
		return Image{}, fmt.Errorf("%w: the engine made %s of it instead of %s", ErrDigestMismatch, found.ID, v.Config.Digest)
	}
	tag := s.localRef(digest)
	if err := s.engine.Tag(ctx, found.ID, tag); err != nil {
		return Image{}, fmt.Errorf("tag image: %w", err)
	}
	return Image{Ref: tag, ID: found.ID, Source: pinned}, nil
}

// unlock gets the key of a private variant.
func (s *Store) unlock(ctx context.Context, v *uai.Variant, subject string) error {
	if !v.Private() {
		return nil
	}
	if s.cfg.Keys == nil || subject == "" {
		return fmt.Errorf("%w: this node was given none", uai.ErrLocked)
	}
	key, err := s.cfg.Keys.Identity(ctx, subject)
	if err != nil {
		return fmt.Errorf("%w: key of %s: %w", uai.ErrLocked, subject, err)
	}
	v.Unlock(key)
	return nil
}

// fits refuses an image beyond the limit, by its stored bytes.
func (s *Store) fits(size int64) error {
	if s.cfg.MaxBytes > 0 && size > s.cfg.MaxBytes {
		return fmt.Errorf("%w: %d bytes, at most %d are taken here", uai.ErrTooLarge, size, s.cfg.MaxBytes)
	}
	return nil
}
