package engine

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/isuncoin/isuncoin/uai"
)

// unpauseTimeout bounds thawing a container, which must go on when the
// caller's own deadline is what ended the copy.
const unpauseTimeout = 30 * time.Second

// Container is one whose file system and volumes can be copied.
type Container struct {
	engine   *Engine
	id       string
	running  bool
	Platform uai.Platform
	// Config is what it was made with.
	Config *v1.Config
	// Volumes are the paths of its volumes and bound folders, sorted; their
	// contents belong to the file system that Stream writes.
	Volumes []string
	// Pause freezes it while it is copied, so that the copy is of one moment,
	// as after a power failure. On by default for one that runs.
	Pause bool
	// Owner gives what lies in volumes to somebody; nil leaves it.
	Owner *[2]int
	// Warn is told what was left out; may be nil.
	Warn func(name, why string)
}

// Container finds one by name or id.
func (e *Engine) Container(ctx context.Context, name string) (*Container, error) {
	found, err := e.api.ContainerInspect(ctx, name)
	if err != nil {
		return nil, notFound("container "+name, err)
	}
	image, err := e.api.ImageInspect(ctx, found.Image)
	if err != nil {
		return nil, notFound("image of container "+name, err)
	}
	c := &Container{
		engine: e, id: found.ID, running: found.State.Running && !found.State.Paused,
		Platform: uai.Platform{OS: image.Os, Architecture: image.Architecture, Variant: image.Variant},
		Config:   configOf(found.Config),
	}
	c.Pause = c.running
	for _, m := range found.Mounts {
		c.Volumes = append(c.Volumes, path.Clean(m.Destination))
	}
	slices.Sort(c.Volumes)
	return c, nil
}

func configOf(c *container.Config) *v1.Config {
	config := &v1.Config{
		Entrypoint: c.Entrypoint, Cmd: c.Cmd, Env: c.Env, WorkingDir: c.WorkingDir, User: c.User,
		Labels: maps.Clone(c.Labels), StopSignal: c.StopSignal, Volumes: maps.Clone(c.Volumes),
	}
	for port := range c.ExposedPorts {
		if config.ExposedPorts == nil {
			config.ExposedPorts = map[string]struct{}{}
		}
		config.ExposedPorts[string(port)] = struct{}{}
	}
	return config
}

// Stream writes the container's file system and then its volumes as one tar
// archive, owners kept, times the epoch.
func (c *Container) Stream(ctx context.Context, w io.Writer) (err error) {
	if c.Pause && c.running {
		if err := c.engine.api.ContainerPause(ctx, c.id); err != nil {
			return fmt.Errorf("pause container: %w", err)
		}
		defer func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unpauseTimeout)
			defer cancel()
			err = errors.Join(err, c.engine.api.ContainerUnpause(ctx, c.id))
		}()
	}
	out := tar.NewWriter(w)
	root, err := c.engine.api.ContainerExport(ctx, c.id)
	if err != nil {
		return notFound("container", err)
	}
	err = c.copyTree(out, root, "", func(name string) bool { return c.inVolume(name) })
	if err := errors.Join(err, root.Close()); err != nil {
		return err
	}
	for _, volume := range c.Volumes {
		if err := c.copyVolume(ctx, out, volume); err != nil {
			return fmt.Errorf("volume %s: %w", volume, err)
		}
	}
	return out.Close()
}

// inVolume says whether a volume covers a name, which the file system then
// has empty or otherwise.
func (c *Container) inVolume(name string) bool {
	return slices.ContainsFunc(c.Volumes, func(v string) bool {
		v = strings.TrimPrefix(v, "/")
		return name == v || strings.HasPrefix(name, v+"/")
	})
}

func (c *Container) copyVolume(ctx context.Context, out *tar.Writer, volume string) error {
	stream, info, err := c.engine.api.CopyFromContainer(ctx, c.id, volume)
	if err != nil {
		return notFound(volume, err)
	}
	defer stream.Close()
	// The archive names everything from the folder's own name on.
	prefix := strings.TrimPrefix(path.Dir(volume), "/")
	inner := func(name string) bool { return c.innerVolume(volume, name) }
	if !info.Mode.IsDir() {
		inner = func(string) bool { return false } // a file that was bound
	}
	return c.copyTree(out, stream, prefix, inner)
}

// innerVolume says whether a volume within another one covers a name.
func (c *Container) innerVolume(outer, name string) bool {
	for _, v := range c.Volumes {
		if v == outer || !strings.HasPrefix(v, outer+"/") {
			continue
		}
		if inner := strings.TrimPrefix(v, "/"); name == inner || strings.HasPrefix(name, inner+"/") {
			return true
		}
	}
	return false
}

// copyTree copies entries under a prefix, with nothing in their headers that
// changes from copy to copy.
func (c *Container) copyTree(out *tar.Writer, from io.Reader, prefix string, skip func(string) bool) error {
	reader := tar.NewReader(from)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read from the engine: %w", err)
		}
		name := path.Join(prefix, path.Clean("/" + header.Name)[1:])
		if name == "" || name == "." || name == ".dockerenv" || skip(name) {
			continue
		}
		fresh, ok := c.header(header, name, prefix)
		if !ok {
			continue
		}
		if err := out.WriteHeader(fresh); err != nil {
			return fmt.Errorf("write layer: %w", err)
		}
		if _, err := io.Copy(out, reader); err != nil {
			return fmt.Errorf("write layer: %s: %w", name, err)
		}
	}
}

func (c *Container) header(h *tar.Header, name, prefix string) (*tar.Header, bool) {
	fresh := &tar.Header{
		Name: name, Typeflag: h.Typeflag, Mode: h.Mode & 0o7777, Uid: h.Uid, Gid: h.Gid, Size: h.Size,
		Linkname: h.Linkname, ModTime: time.Unix(0, 0), Format: tar.FormatPAX,
	}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeSymlink, tar.TypeFifo:
	case tar.TypeDir:
		fresh.Name += "/"
	case tar.TypeLink:
		fresh.Linkname = path.Join(prefix, path.Clean("/" + h.Linkname)[1:])
	default:
		if c.Warn != nil && !strings.HasPrefix(name, "dev/") {
			c.Warn(name, "left out: it is neither a file, a folder nor a link")
		}
		return nil, false
	}
	for key, value := range h.PAXRecords {
		if attribute, ok := strings.CutPrefix(key, "SCHILY.xattr."); ok && (attribute == "security.capability" || strings.HasPrefix(attribute, "user.")) {
			if fresh.PAXRecords == nil {
				fresh.PAXRecords = map[string]string{}
			}
			fresh.PAXRecords[key] = value
		}
	}
	if c.Owner != nil && c.inVolume(name) {
		fresh.Uid, fresh.Gid = c.Owner[0], c.Owner[1]
	}
	return fresh, true
}
