package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/system"

	"github.com/isuncoin/isuncoin/worker/runtime"
)

// quotaStorage is loopStorage on an engine that can bound a container's own
// layer: half of the scratch space becomes a writable root, for images that
// write where they please.
type quotaStorage struct {
	*loopStorage
	dns []string
}

// minRootMiB: less is no use to an image that wants to write to its root.
const minRootMiB = 4

func (s *quotaStorage) kind() runtime.Storage { return runtime.StorageQuota }

func (s *quotaStorage) create(ctx context.Context, l layout) (writable, error) {
	root := l.scratchMiB / 2
	if l.spec.ReadOnlyRoot || root < minRootMiB {
		return s.loopStorage.create(ctx, l)
	}
	l.scratchMiB -= root
	areas, err := s.loopStorage.create(ctx, l)
	if err != nil {
		return writable{}, err
	}
	files, err := s.networkFiles(l.spec)
	if err != nil {
		return writable{}, err
	}
	return writable{mounts: append(areas.mounts, files...), rootMiB: root}, nil
}

// networkFiles replaces the files that the engine keeps outside the container
// and mounts into it: beside a writable root they are writable too, and no
// quota bounds them.
func (s *quotaStorage) networkFiles(spec runtime.Spec) ([]mount.Mount, error) {
	host := hostname(spec)
	var resolvers strings.Builder
	for _, server := range s.dns {
		fmt.Fprintf(&resolvers, "nameserver %s\n", server)
	}
	dir := filepath.Join(s.root, spec.ID.Key(), "etc")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, fmt.Errorf("placement storage: %w", err)
	}
	var mounts []mount.Mount
	for _, f := range []struct{ name, content string }{
		{"hostname", host + "\n"},
		{"hosts", "127.0.0.1 localhost " + host + "\n"},
		{"resolv.conf", resolvers.String()},
	} {
		source := filepath.Join(dir, f.name)
		if err := os.WriteFile(source, []byte(f.content), 0o644); err != nil {
			return nil, fmt.Errorf("placement storage: %w", err)
		}
		m := bindMount(source, "/etc/"+f.name)
		m.ReadOnly = true
		mounts = append(mounts, m)
	}
	return mounts, nil
}

var errNoQuota = errors.New("the engine cannot bound a container's own layer")

// quotaPossible leaves out engines that cannot, or that take the option and
// heed it not.
func quotaPossible(info system.Info) bool {
	backing := ""
	for _, pair := range info.DriverStatus {
		if pair[0] == "Backing Filesystem" {
			backing = pair[1]
		}
	}
	switch info.Driver {
	case "overlay2":
		return backing == "xfs"
	case "btrfs", "zfs":
		return true
	}
	return false
}

// probeQuota creates, and never starts, a container with a bounded layer.
// Whether that works hangs on mount options which only the engine knows.
func (r *Runtime) probeQuota(ctx context.Context) (err error) {
	if !quotaPossible(r.engine) {
		return fmt.Errorf("%w: storage driver %s, %v", errNoQuota, r.engine.Driver, r.engine.DriverStatus)
	}
	ref := "isun/quota-probe:" + strconv.FormatUint(rand.Uint64(), 16)
	if err := r.importEmpty(ctx, ref); err != nil {
		return err
	}
	undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	defer func() {
		_, removeErr := r.api.ImageRemove(undo, ref, image.RemoveOptions{Force: true})
		err = errors.Join(err, engineError("remove probe image", removeErr))
	}()
	created, err := r.api.ContainerCreate(ctx, &container.Config{Image: ref, Cmd: []string{"/none"}},
		&container.HostConfig{NetworkMode: "none", StorageOpt: map[string]string{"size": "16m"}}, nil, nil, "")
	if err != nil {
		return fmt.Errorf("%w: %w", errNoQuota, err)
	}
	return r.removeContainer(undo, created.ID)
}

// importEmpty makes an image of nothing: two zero blocks are an empty tar.
func (r *Runtime) importEmpty(ctx context.Context, ref string) error {
	empty := bytes.NewReader(slices.Repeat([]byte{0}, 1024))
	answer, err := r.api.ImageImport(ctx, image.ImportSource{Source: empty, SourceName: "-"}, ref, image.ImportOptions{})
	if err != nil {
		return engineError("import probe image", err)
	}
	_, err = io.Copy(io.Discard, answer)
	return errors.Join(err, answer.Close())
}
