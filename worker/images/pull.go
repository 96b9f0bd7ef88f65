package images

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/distribution/reference"

	"github.com/isuncoin/isuncoin/uai"
)

// pull lets the engine fetch the reference, pinned to the digest: the engine
// then checks every byte itself.
func (s *Store) pull(ctx context.Context, digest uai.Digest, ref string) (Image, error) {
	pinned, err := s.pin(digest, ref)
	if err != nil {
		return Image{}, err
	}
	if s.cfg.MaxBytes > 0 {
		size, err := s.measure(ctx, pinned)
		if err == nil {
			err = s.fits(size)
		}
		if err != nil {
			return Image{}, err
		}
	}
	if err := s.pullPinned(ctx, digest, pinned); err != nil {
		return Image{}, err
	}
	found, err := s.engine.ImageInspect(ctx, pinned)
	if err != nil {
		return Image{}, fmt.Errorf("inspect pulled image: %w", err)
	}
	if !slices.ContainsFunc(found.RepoDigests, func(d string) bool { return strings.HasSuffix(d, "@"+digest.String()) }) {
		return Image{}, fmt.Errorf("%w: %s arrived as %v", ErrDigestMismatch, pinned, found.RepoDigests)
	}
	if found.Os != s.cfg.Platform.OS || found.Architecture != s.cfg.Platform.Architecture {
		return Image{}, fmt.Errorf("%w: %s is for %s/%s", uai.ErrNoPlatform, pinned, found.Os, found.Architecture)
	}
	tag := s.localRef(digest)
	if err := s.engine.Tag(ctx, found.ID, tag); err != nil {
		return Image{}, fmt.Errorf("tag image: %w", err)
	}
	return Image{Ref: tag, ID: found.ID, Source: pinned}, nil
}

// pullPinned has the engine pull a reference with a digest.
func (s *Store) pullPinned(ctx context.Context, digest uai.Digest, pinned string) error {
	err := s.engine.Pull(ctx, pinned, s.cfg.Platform.String(), func(done, total int64) {
		s.cfg.OnProgress(Progress{Digest: digest, Stage: StagePull, Done: done, Total: total})
	})
	if err != nil {
		return fmt.Errorf("%w: pull %s: %w", ErrImageNotFound, pinned, err)
	}
	return nil
}

// pin replaces whatever tag or digest a reference has by the digest of the
// chain.
func (s *Store) pin(digest uai.Digest, ref string) (string, error) {
	named, err := reference.ParseNormalizedNamed(strings.TrimPrefix(ref, "docker://"))
	if err != nil {
		return "", fmt.Errorf("%w: reference %q: %w", uai.ErrMalformed, ref, err)
	}
	if err := s.allowed(reference.Domain(named)); err != nil {
		return "", err
	}
	return reference.TrimNamed(named).String() + "@" + digest.String(), nil
}

// allowed keeps a publisher from sending the host's engine, which stands
// outside every fence, to services of the owner's own network.
func (s *Store) allowed(registry string) error {
	if len(s.cfg.Registries) > 0 {
		if slices.Contains(s.cfg.Registries, registry) {
			return nil
		}
		return fmt.Errorf("%w: %s is not among %v", ErrRegistryRefused, registry, s.cfg.Registries)
	}
	return s.notLocal(registry)
}

// notLocal refuses this machine and its network, unless they are listed.
func (s *Store) notLocal(registry string) error {
	if slices.Contains(s.cfg.Registries, registry) {
		return nil
	}
	host := registry
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	host = strings.Trim(host, "[]")
	addr, err := netip.ParseAddr(host)
	isLocal := err == nil && (!addr.IsGlobalUnicast() || addr.IsPrivate())
	if isLocal || err != nil && (!strings.Contains(host, ".") || strings.HasSuffix(host, ".local") || strings.HasSuffix(host, ".internal")) {
		return fmt.Errorf("%w: %s is local; list it in the config to allow it", ErrRegistryRefused, registry)
	}
	return nil
}
