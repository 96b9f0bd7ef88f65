package engine

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/isuncoin/isuncoin/uai"
)

const (
	// maxMetadata bounds manifest.json and a configuration.
	maxMetadata = 4 << 20
	// maxSaved bounds the files of a saved image.
	maxSaved = 10_000
)

// Image is an image that an engine saved. Close it when it is packed.
type Image struct {
	// ID is the digest of its configuration.
	ID       string
	Platform uai.Platform
	// Settings is its configuration, read.
	Settings *v1.ConfigFile
	// Existing is what uai.Source takes.
	Existing *uai.Existing

	file  *os.File
	where map[string]span
	links map[string]string
}

type span struct{ offset, size int64 }

// Image saves an image by name or id.
func (e *Engine) Image(ctx context.Context, ref string, progress uai.Progress) (*Image, error) {
	found, err := e.api.ImageInspect(ctx, ref)
	if err != nil {
		return nil, notFound("image "+ref, err)
	}
	stream, err := e.api.ImageSave(ctx, []string{found.ID})
	if err != nil {
		return nil, notFound("image "+ref, err)
	}
	defer stream.Close()
	file, err := nameless()
	if err != nil {
		return nil, fmt.Errorf("save image: %w", err)
	}
	if _, err := io.Copy(&counter{to: file, progress: progress}, stream); err != nil {
		return nil, errors.Join(fmt.Errorf("save image: %w", err), file.Close())
	}
	image, err := readSaved(file)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return image, nil
}

// counter tells progress of what passes.
type counter struct {
	to       io.Writer
	progress uai.Progress
	done     int64
}

// Write implements io.Writer.
func (c *counter) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.done += int64(n)
	if c.progress != nil {
		c.progress(c.done, 0)
	}
	return n, err
}

// readSaved reads an archive as "docker save" writes it. It takes the file
// over, unless it fails.
func readSaved(file *os.File) (*Image, error) {
	image := &Image{file: file, where: map[string]span{}, links: map[string]string{}}
	if err := image.scan(); err != nil {
		return nil, err
	}
	raw, err := image.read("manifest.json")
	if err != nil {
		return nil, err
	}
	var items []struct {
		Config string
		Layers []string
	}
	if err := json.Unmarshal(raw, &items); err != nil {
		return nil, fmt.Errorf("%w: manifest.json: %w", uai.ErrMalformed, err)
	}
	if len(items) != 1 {
		return nil, fmt.Errorf("%w: the archive holds %d images, not one", uai.ErrMalformed, len(items))
	}
	if raw, err = image.read(items[0].Config); err != nil {
		return nil, err
	}
	if image.Settings, err = v1.ParseConfigFile(bytes.NewReader(raw)); err != nil {
		return nil, fmt.Errorf("%w: image configuration: %w", uai.ErrMalformed, err)
	}
	image.ID = strings.TrimSuffix(path.Base(items[0].Config), ".json")
	image.Platform = uai.Platform{OS: image.Settings.OS, Architecture: image.Settings.Architecture, Variant: image.Settings.Variant}
	image.Existing = &uai.Existing{Config: raw}
	for _, layer := range items[0].Layers {
		if _, err := image.find(layer); err != nil {
			return nil, err
		}
		image.Existing.Layers = append(image.Existing.Layers, func() (io.ReadCloser, error) { return image.layer(layer) })
	}
	return image, nil
}

func (i *Image) scan() error {
	if _, err := i.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	reader := tar.NewReader(i.file)
	for entries := 0; entries < maxSaved; entries++ {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: saved image: %w", uai.ErrMalformed, err)
		}
		name := path.Clean(header.Name)
		switch header.Typeflag {
		case tar.TypeSymlink, tar.TypeLink:
			// Older engines write a layer that an image has twice as a link.
			target := header.Linkname
			if header.Typeflag == tar.TypeSymlink {
				target = path.Join(path.Dir(name), target)
			}
			i.links[name] = path.Clean(target)
		case tar.TypeReg:
			offset, err := i.file.Seek(0, io.SeekCurrent)
			if err != nil {
				return err
			}
			i.where[name] = span{offset, header.Size}
		}
	}
	return fmt.Errorf("%w: saved image has more than %d files", uai.ErrTooLarge, maxSaved)
}

// find follows one link: engines write no longer ways.
func (i *Image) find(name string) (span, error) {
	name = path.Clean(name)
	if target, ok := i.links[name]; ok {
		name = target
	}
	at, ok := i.where[name]
	if !ok {
		return span{}, fmt.Errorf("%w: saved image lacks %.200q", uai.ErrMalformed, name)
	}
	return at, nil
}

func (i *Image) read(name string) ([]byte, error) {
	at, err := i.find(name)
	if err != nil {
		return nil, err
	}
	if at.size > maxMetadata {
		return nil, fmt.Errorf("%w: %.200q has %d bytes", uai.ErrTooLarge, name, at.size)
	}
	return io.ReadAll(io.NewSectionReader(i.file, at.offset, at.size))
}

func (i *Image) layer(name string) (io.ReadCloser, error) {
	at, err := i.find(name)
	if err != nil {
		return nil, err
	}
	return uai.Unpack(io.NewSectionReader(i.file, at.offset, at.size))
}

// Close lets the saved image go.
func (i *Image) Close() error { return i.file.Close() }
