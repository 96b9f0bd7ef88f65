package command

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/isuncoin/isuncoin/client/format"
	"github.com/isuncoin/isuncoin/uai"
)

// storeDir is the layout folder that keeps images on this machine when no
// other place is named: it lies in the home, beside the keys.
func (c *commands) storeDir() string { return filepath.Join(c.flags.home, "images") }

// located is an image that was found on this machine.
type located struct {
	layout *uai.Layout
	path   string
	entry  uai.Entry
	image  *uai.Image
}

// Close releases the layout.
func (l *located) Close() error { return l.layout.Close() }

// locate finds an image: a layout folder or an archive of one, in which which
// chooses if there are several, or else a name or digest of the store.
func (c *commands) locate(ref, which string) (*located, error) {
	path := ref
	if _, err := os.Stat(ref); errors.Is(err, fs.ErrNotExist) {
		if which != "" {
			return nil, fmt.Errorf("%s is no layout: there is nothing there", ref)
		}
		path, which = c.storeDir(), ref
	} else if err != nil {
		return nil, err
	}
	layout, err := uai.Open(path)
	if errors.Is(err, fs.ErrNotExist) && path == c.storeDir() {
		return nil, fmt.Errorf("%q is neither a folder or archive nor an image of the store; `isun uai ls --local` lists those", ref)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	l := &located{layout: layout, path: path}
	if l.entry, err = layout.Find(which); err == nil {
		l.image, err = layout.Image(l.entry.Digest)
	}
	if errors.Is(err, uai.ErrNotFound) && path == c.storeDir() {
		err = fmt.Errorf("%q is neither a folder or archive nor an image of the store, which `isun uai ls --local` lists: %w", ref, err)
	} else if err != nil {
		err = fmt.Errorf("%s: %w", path, err)
	}
	if err != nil {
		return nil, errors.Join(err, layout.Close())
	}
	return l, nil
}

// localImage is an image of the store, as scripts see it.
type localImage struct {
	Name      string   `json:"name,omitempty"`
	Digest    string   `json:"digest"`
	SizeBytes int64    `json:"size_bytes"`
	Platforms []string `json:"platforms"`
	// Problem says why it cannot be used.
	Problem string `json:"problem,omitempty"`
}

// localImages lists the store; one that was never made is empty.
func (c *commands) localImages() ([]localImage, error) {
	images := []localImage{}
	layout, err := uai.Open(c.storeDir())
	if errors.Is(err, fs.ErrNotExist) {
		return images, nil
	}
	if err != nil {
		return nil, err
	}
	defer layout.Close()
	entries, err := layout.Entries()
	if errors.Is(err, uai.ErrNotFound) {
		return images, nil // the first pack into it was interrupted
	}
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		local := localImage{Name: e.Name, Digest: e.Digest.String(), Platforms: []string{}}
		image, err := layout.Image(e.Digest)
		if err != nil {
			local.Problem = err.Error()
		} else {
			local.SizeBytes = image.Size()
			for _, p := range image.Platforms() {
				local.Platforms = append(local.Platforms, p.String())
			}
		}
		images = append(images, local)
	}
	return images, nil
}

func (c *commands) writeLocal(images []localImage) error {
	if len(images) == 0 {
		return c.say("no images on this machine; `isun uai pack` makes one")
	}
	table := format.NewTable("ON THIS MACHINE", ">SIZE", "PLATFORMS", "DIGEST")
	for _, i := range images {
		size := format.Bytes(uint64(i.SizeBytes))
		if i.Problem != "" {
			size = "damaged"
		}
		table.Add(or(i.Name, "-"), size, strings.Join(i.Platforms, " "), i.Digest)
	}
	return table.Write(c.streams.Out)
}

// removed is what uai rm prints as JSON.
type removed struct {
	Removed []string `json:"removed"`
}

func (c *commands) uaiRemove() *cobra.Command {
	return &cobra.Command{
		Use:   "rm IMAGE...",
		Short: "Remove images from this machine",
		Long: `Remove images from the store on this machine, by name or digest. What is published
on the chain stays published, and copies elsewhere stay where they are.`,
		Example:           `  isun uai rm someone/hello:1`,
		Args:              atLeastArgs("IMAGE"),
		RunE:              func(cmd *cobra.Command, args []string) error { return c.runRemove(cmd.Context(), args) },
		ValidArgsFunction: c.completeLocal,
	}
}

func (c *commands) runRemove(ctx context.Context, refs []string) error {
	done := removed{Removed: []string{}}
	for _, ref := range refs {
		digest, err := c.findLocal(ref)
		if err != nil {
			return err
		}
		if err := uai.Remove(ctx, c.storeDir(), digest); err != nil {
			return err
		}
		done.Removed = append(done.Removed, digest.String())
	}
	return c.print(done, func() error {
		for _, digest := range done.Removed {
			if err := c.say("%s is removed", digest); err != nil {
				return err
			}
		}
		return nil
	})
}

// findLocal finds an image of the store even if it is damaged.
func (c *commands) findLocal(ref string) (uai.Digest, error) {
	layout, err := uai.Open(c.storeDir())
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("there are no images on this machine, so also no %q", ref)
	}
	if err != nil {
		return "", err
	}
	defer layout.Close()
	entry, err := layout.Find(ref)
	return entry.Digest, err
}

// completeLocal offers the names of the store's images, and files.
func (c *commands) completeLocal(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	if err := setFromEnvironment(cmd.Flags()); err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	images, err := c.localImages()
	if err != nil {
		return nil, cobra.ShellCompDirectiveDefault
	}
	var words []string
	for _, i := range images {
		words = append(words, or(i.Name, i.Digest))
	}
	return words, cobra.ShellCompDirectiveDefault
}
