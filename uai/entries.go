package uai

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// checkEntries looks at every header of a tar archive and gives their number:
// ErrTooLarge beyond the most, ErrMalformed for what is no archive or what
// check refuses.
func checkEntries(archive io.Reader, most int, check func(*tar.Header, links) error) (int, error) {
	reader := tar.NewReader(archive)
	seen := links{}
	for entries := 0; ; entries++ {
		header, err := reader.Next()
		switch {
		case errors.Is(err, io.EOF):
			return entries, nil
		case errors.Is(err, ErrTooLarge), errors.Is(err, ErrMismatch):
			return entries, err
		case err != nil:
			return entries, fmt.Errorf("%w: not a tar archive: %w", ErrMalformed, err)
		case most > 0 && entries >= most:
			return entries, fmt.Errorf("%w: more than %d files", ErrTooLarge, most)
		}
		if err := check(header, seen); err != nil {
			return entries, err
		}
	}
}

// links are the symbolic links seen so far in an archive, by clean name.
type links map[string]bool

// checkEntry refuses what must not be in anybody's layer: names and hard links
// that climb out of the root, and device files, which containers get from
// their engine.
func checkEntry(h *tar.Header, _ links) error {
	for _, name := range []string{h.Name, hardLinkTarget(h)} {
		if slices.Contains(strings.Split(name, "/"), "..") {
			return fmt.Errorf("%w: entry %.200q leaves the root", ErrMalformed, name)
		}
	}
	switch h.Typeflag {
	case tar.TypeChar, tar.TypeBlock:
		return fmt.Errorf("%w: entry %.200q is a device file; leave /dev out, an engine makes its own", ErrMalformed, h.Name)
	case tar.TypeReg, tar.TypeLink, tar.TypeSymlink, tar.TypeDir, tar.TypeFifo, tar.TypeXGlobalHeader, tar.TypeGNUSparse:
		return nil
	}
	return fmt.Errorf("%w: entry %.200q is of the unknown kind %q", ErrMalformed, h.Name, h.Typeflag)
}

// checkOwnEntry also refuses what engines take but no tool of good faith
// writes: absolute names, links that climb out, files below links.
func checkOwnEntry(h *tar.Header, seen links) error {
	if err := checkEntry(h, seen); err != nil {
		return err
	}
	if strings.HasPrefix(h.Name, "/") || strings.HasPrefix(hardLinkTarget(h), "/") {
		return fmt.Errorf("%w: entry %.200q has an absolute name", ErrMalformed, h.Name)
	}
	name := path.Clean(h.Name)
	for parent := path.Dir(name); parent != "."; parent = path.Dir(parent) {
		if seen[parent] {
			return fmt.Errorf("%w: entry %.200q lies below a link", ErrMalformed, h.Name)
		}
	}
	delete(seen, name)
	if h.Typeflag != tar.TypeSymlink {
		return nil
	}
	if target := path.Join(path.Dir(name), h.Linkname); !path.IsAbs(h.Linkname) && (target == ".." || strings.HasPrefix(target, "../")) {
		return fmt.Errorf("%w: link %.200q leads to %.200q, outside the root", ErrMalformed, h.Name, h.Linkname)
	}
	seen[name] = true
	return nil
}

// hardLinkTarget is a path within the archive; a symbolic link's is text.
func hardLinkTarget(h *tar.Header) string {
	if h.Typeflag == tar.TypeLink {
		return h.Linkname
	}
	return ""
}
