package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/image"

	"github.com/isuncoin/isuncoin/uai"
)

// fromLayouts loads the image from the first layout that has it whole.
func (s *Store) fromLayouts(ctx context.Context, digest uai.Digest, req Request) (Image, error) {
	var looked []string
	var failures []error
	for _, dir := range s.layoutFolders() {
		image, err := s.fromLayout(ctx, dir, digest, req)
		if err == nil {
			return image, nil
		}
		if ctx.Err() != nil {
			return Image{}, fmt.Errorf("load image %s: %w", digest, err)
		}
		looked = append(looked, dir)
		// A folder that lacks the image is no failure; one that is damaged is,
		// but another may be whole.
		if !errors.Is(err, uai.ErrNotFound) {
			failures = append(failures, fmt.Errorf("in %s: %w", dir, err))
		}
	}
	if len(failures) > 0 {
		return Image{}, fmt.Errorf("image %s: %w", digest, errors.Join(failures...))
	}
	where := "no layout folder is configured"
	if len(looked) > 0 {
		where = "looked in " + strings.Join(looked, ", ")
	} else if len(s.cfg.Layouts) > 0 {
		where = "no layout is in " + strings.Join(s.cfg.Layouts, ", ")
	}
	return Image{}, fmt.Errorf("%w: %s: %s", ErrImageNotFound, digest, where)
}

// layoutFolders lists the layouts configured, and those one level below a
// folder that is none itself. It is read anew each time: people drop folders
// in while the worker runs.
func (s *Store) layoutFolders() []string {
	var folders []string
	for _, dir := range s.cfg.Layouts {
		if isLayout(dir) {
			folders = append(folders, dir)
			continue
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			s.cfg.Logger.Warn("layout folder cannot be read", "folder", dir, "error", err)
			continue
		}
		for _, e := range entries {
			if sub := filepath.Join(dir, e.Name()); e.IsDir() && isLayout(sub) {
				folders = append(folders, sub)
			}
		}
	}
	return folders
}

func isLayout(dir string) bool {
	info, err := os.Stat(filepath.Join(dir, "oci-layout"))
	return err == nil && info.Mode().IsRegular()
}

func (s *Store) fromLayout(ctx context.Context, dir string, digest uai.Digest, req Request) (Image, error) {
	layout, err := uai.OpenLimited(dir, s.cfg.Limits)
	if err != nil {
		return Image{}, err
	}
	defer layout.Close()
	found, err := layout.Image(digest)
	if err != nil {
		return Image{}, mismatch(err)
	}
	variant, err := found.Select(s.cfg.Platform)
	if err != nil {
		return Image{}, err
	}
	return s.bring(ctx, req, digest, variant, dir)
}

// bring makes the engine have a variant, loading it if it must.
func (s *Store) bring(ctx context.Context, req Request, digest uai.Digest, v *uai.Variant, source string) (Image, error) {
	if image, ok, err := s.adopt(ctx, digest, v, source); err != nil || ok {
		return image, err
	}
	if err := s.unlock(ctx, v, req.Subject); err != nil {
		return Image{}, err
	}
	subject := ""
	if v.Private() {
		v.Disguise()
		subject = req.Subject
	}
	ref := s.localRef(digest)
	if err := s.load(ctx, digest, v, ref); err != nil {
		return Image{}, mismatch(err)
	}
	loaded, err := s.engine.ImageInspect(ctx, ref)
	if err != nil {
		return Image{}, fmt.Errorf("inspect loaded image: %w", err)
	}
	if !same(loaded, v) {
		return Image{}, fmt.Errorf("%w: the engine made %s of it instead of %s", ErrDigestMismatch, loaded.ID, v.Config.Digest)
	}
	return Image{Ref: ref, ID: loaded.ID, Source: source, Subject: subject}, nil
}

// adopt takes what the engine has already, under a name of ours. A private
// image is taken only with its key.
func (s *Store) adopt(ctx context.Context, digest uai.Digest, v *uai.Variant, source string) (Image, bool, error) {
	if v.Private() {
		return Image{}, false, nil
	}
	id, ok := s.has(ctx, v)
	if !ok {
		return Image{}, false, nil
	}
	ref := s.localRef(digest)
	if err := s.engine.Tag(ctx, id, ref); err != nil {
		return Image{}, false, fmt.Errorf("tag image: %w", err)
	}
	return Image{Ref: ref, ID: id, Source: source}, true, nil
}

// mismatch adds this package's word for wrong content.
func mismatch(err error) error {
	if errors.Is(err, uai.ErrMismatch) {
		return fmt.Errorf("%w: %w", ErrDigestMismatch, err)
	}
	return err
}

// has looks whether the engine has the variant already, perhaps under another
// name. Its id is the digest of the configuration, which was verified and
// which names every layer.
func (s *Store) has(ctx context.Context, v *uai.Variant) (string, bool) {
	found, err := s.engine.ImageInspect(ctx, v.Config.Digest.String())
	if err != nil || !same(found, v) {
		return "", false // then it is loaded, which finds out what is wrong
	}
	return found.ID, true
}

// load streams the converted image into the engine.
func (s *Store) load(ctx context.Context, digest uai.Digest, v *uai.Variant, ref string) error {
	reader, writer := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := v.WriteArchive(ctx, writer, []string{ref}, func(done, total int64) {
			s.cfg.OnProgress(Progress{Digest: digest, Stage: StageLoad, Done: done, Total: total})
		})
		writer.CloseWithError(err)
		written <- err
	}()
	loadErr := s.engine.Load(ctx, reader)
	reader.CloseWithError(io.ErrClosedPipe) // the writer must not wait for an engine that gave up
	if err := <-written; err != nil && !errors.Is(err, io.ErrClosedPipe) {
		return err
	}
	if loadErr != nil {
		return fmt.Errorf("load image: %w", loadErr)
	}
	return nil
}

// same compares what the engine has with what was verified. Engines with the
// classic store use the configuration's digest as the id. Those with
// containerd's store use a manifest's, of their own making; then layers and
// settings must agree.
func same(found image.InspectResponse, v *uai.Variant) bool {
	if found.ID == v.Config.Digest.String() {
		return true
	}
	want := v.Settings
	layers := make([]string, len(want.RootFS.DiffIDs))
	for i, d := range want.RootFS.DiffIDs {
		layers[i] = d.String()
	}
	c := found.Config
	return c != nil && slices.Equal(found.RootFS.Layers, layers) &&
		found.Os == want.OS && found.Architecture == want.Architecture &&
		slices.Equal(c.Entrypoint, want.Config.Entrypoint) && slices.Equal(c.Cmd, want.Config.Cmd) &&
		slices.Equal(c.Env, want.Config.Env) && c.User == want.Config.User && c.WorkingDir == want.Config.WorkingDir
}
