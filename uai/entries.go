package uai

import (
	"archive/tar"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// checkEntries holds every header of a tar archive of one's own to
// checkOwnEntry and gives their number.
func checkEntries(archive io.Reader, most int) (int, error) {
	seen, entries := links{}, 0
	err := eachEntry(archive, most, func(h *tar.Header, _ io.Reader) error {
		entries++
		return checkOwnEntry(h, seen)
	})
	return entries, err
}

// links are the symbolic links seen so far in an archive, by clean name.
type links map[string]bool

// checkEntry refuses what must not be in anybody's layer: names and hard links
// that climb out of the root, and device files, which containers get from
// their engine.
func checkEntry(h *tar.Header) error {
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
	if err := checkEntry(h); err != nil {
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
