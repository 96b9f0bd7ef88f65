package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/volume"
	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/runtime"
	"github.com/isuncoin/isuncoin/worker/runtime/docker/dockertest"
	"github.com/isuncoin/isuncoin/worker/runtime/runtimetest/program"
)

// imageWithFiles is the probe's image with more in it.
func imageWithFiles(t *testing.T, entries ...tar.Header) string {
	t.Helper()
	api := dockertest.Client(t)
	base := dockertest.ProbeImage(t, api)
	var content bytes.Buffer
	archive := tar.NewWriter(&content)
	for _, h := range entries {
		require.NoError(t, archive.WriteHeader(&h))
		_, err := archive.Write(bytes.Repeat([]byte("x"), int(h.Size)))
		require.NoError(t, err)
	}
	require.NoError(t, archive.Close())
	made, err := api.ContainerCreate(t.Context(), &container.Config{Image: base}, nil, nil, nil, "")
	require.NoError(t, err)
	defer func() {
		require.NoError(t, api.ContainerRemove(context.Background(), made.ID, container.RemoveOptions{RemoveVolumes: true}))
	}()
	require.NoError(t, api.CopyToContainer(t.Context(), made.ID, "/", &content, container.CopyToContainerOptions{}))
	ref := fmt.Sprintf("isun-test/seed:%d-%d", os.Getpid(), time.Now().UnixNano())
	_, err = api.ContainerCommit(t.Context(), made.ID, container.CommitOptions{Reference: ref})
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := api.ImageRemove(context.Background(), ref, image.RemoveOptions{Force: true})
		require.NoError(t, err)
	})
	return ref
}

// seedSpec has a volume at /srv/data.
func seedSpec(f *fixture, image string) runtime.Spec {
	spec := f.spec(program.Hang)
	spec.Image, spec.User = image, "1000"
	spec.Limits.StorageMiB = 32
	spec.Volumes = []runtime.Volume{{Name: "data", Path: "/srv/data", SizeMiB: 8}}
	return spec
}

// requireUnseeded wants nothing left of seeding.
func requireUnseeded(t *testing.T, r *Runtime) {
	t.Helper()
	args := filters.NewArgs(filters.Arg("label", labelSeed+"="+r.scopeKey()))
	containers, err := r.api.ContainerList(t.Context(), container.ListOptions{All: true, Filters: args})
	require.NoError(t, err)
	require.Empty(t, containers)
	volumes, err := r.api.VolumeList(t.Context(), volume.ListOptions{Filters: args})
	require.NoError(t, err)
	require.Empty(t, volumes.Volumes)
}

func TestVolumesBeginWithWhatTheImageHas(t *testing.T) {
	f := newFixture(t)
	ref := imageWithFiles(t,
		tar.Header{Name: "srv/data/", Typeflag: tar.TypeDir, Mode: 0o700, Uid: 1000, Gid: 1000},
		tar.Header{Name: "srv/data/rows", Typeflag: tar.TypeReg, Mode: 0o640, Uid: 1000, Gid: 1001, Size: 100},
		tar.Header{Name: "srv/data/out", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"},
		tar.Header{Name: "srv/other/", Typeflag: tar.TypeDir, Mode: 0o755},
		tar.Header{Name: "srv/other/theirs", Typeflag: tar.TypeReg, Mode: 0o600},
	)
	spec := seedSpec(f, ref)
	spec.Volumes = append(spec.Volumes, runtime.Volume{Name: "other", Path: "/srv/other", SizeMiB: 4},
		runtime.Volume{Name: "none", Path: "/srv/none", SizeMiB: 4})
	f.ensure(t, spec)
	requireUnseeded(t, f.Runtime)
	volumes, err := f.Volumes(f.ctx, spec.ID)
	require.NoError(t, err)

	info, err := os.Lstat(filepath.Join(volumes["data"], "rows"))
	require.NoError(t, err)
	require.EqualValues(t, 100, info.Size())
	require.Equal(t, fs.FileMode(0o640), info.Mode().Perm())
	st, ok := info.Sys().(*syscall.Stat_t)
	require.True(t, ok)
	require.EqualValues(t, []uint32{1000, 1001}, []uint32{st.Uid, st.Gid})
	target, err := os.Readlink(filepath.Join(volumes["data"], "out"))
	require.NoError(t, err)
	require.Equal(t, "/etc/passwd", target, "a link is copied as a link")
	for name, mode := range map[string]fs.FileMode{"data": 0o700, "other": 0o777, "none": 0o777} {
		info, err := os.Lstat(volumes[name])
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode().Perm(), "%s: the user's own stays as it was, the rest is open to it", name)
	}

	// A start after an end does not seed again.
	require.NoError(t, os.Remove(filepath.Join(volumes["data"], "rows")))
	require.NoError(t, f.Stop(f.ctx, spec.ID, 0))
	f.ensure(t, spec)
	require.NoFileExists(t, filepath.Join(volumes["data"], "rows"))
}

func TestFilledVolumesAreNotSeeded(t *testing.T) {
	f := newFixture(t)
	spec := seedSpec(f, imageWithFiles(t,
		tar.Header{Name: "srv/data/", Typeflag: tar.TypeDir, Mode: 0o755},
		tar.Header{Name: "srv/data/old", Typeflag: tar.TypeReg, Mode: 0o644},
	))
	_, err := f.EnsureFilled(f.ctx, spec, func(_ context.Context, volumes map[string]string) error {
		return os.WriteFile(filepath.Join(volumes["data"], "restored"), nil, 0o600)
	})
	require.NoError(t, err)
	volumes, err := f.Volumes(f.ctx, spec.ID)
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(volumes["data"], "restored"))
	require.NoFileExists(t, filepath.Join(volumes["data"], "old"))
}

func TestAVolumeTooSmallForTheImageIsRefused(t *testing.T) {
	f := newFixture(t)
	spec := seedSpec(f, imageWithFiles(t,
		tar.Header{Name: "srv/data/", Typeflag: tar.TypeDir, Mode: 0o755},
		tar.Header{Name: "srv/data/large", Typeflag: tar.TypeReg, Mode: 0o644, Size: 9 << 20},
	))
	_, err := f.Ensure(f.ctx, spec)
	require.ErrorIs(t, err, runtime.ErrInvalidSpec)
	require.ErrorContains(t, err, "too small")
	requireUnseeded(t, f.Runtime)
	_, err = f.Inspect(f.ctx, spec.ID)
	require.ErrorIs(t, err, runtime.ErrNotFound)
	requireNothingLeft(t, f.cfg.StateDir)
}
