package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/volume"

	"github.com/isuncoin/isuncoin/worker/runtime"
)

// labelSeed marks what exists only while volumes are seeded, with the folder
// name of its chain and node. These objects carry no label of a placement, so
// nobody takes them for one.
const labelSeed = "isun.seed"

// seedPrefix begins the names of such objects.
const seedPrefix = objectPrefix + "seed-"

// seed gives volumes that are empty what the image has at their paths, as
// engines do with volumes of their own: a server's data then begin where its
// author packed them. What a snapshot has filled stays.
//
// The engine does the copying, because it knows how to read its own layers and
// lets no link in them lead out: a container that never starts has the folders
// as volumes. What does not fit fails at the limit of the volume's disk.
// Volumes of memory stay empty, for they begin with the container.
func (r *Runtime) seed(ctx context.Context, l layout, imageID string, areas writable) (err error) {
	empty, err := l.unseeded(areas)
	if err != nil || len(empty) == 0 {
		return err
	}
	name := seedPrefix + l.spec.ID.Key()
	defer func() {
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
		defer cancel()
		err = errors.Join(err, r.unseed(undo, name))
	}()
	_, err = r.api.ContainerCreate(ctx, &container.Config{
		Image: imageID, Entrypoint: []string{name}, Labels: r.seedLabels(),
		Healthcheck: &container.HealthConfig{Test: []string{"NONE"}},
	}, &container.HostConfig{NetworkMode: "none", Mounts: r.seedMounts(name, empty)}, nil, nil, name)
	if err != nil && strings.Contains(err.Error(), syscall.ENOSPC.Error()) {
		return fmt.Errorf("%w: a volume is too small for what the image has at its path: %w", runtime.ErrInvalidSpec, err)
	}
	if err != nil {
		return fmt.Errorf("seed the volumes of %s: %w", l.spec.ID, createError(err))
	}
	for _, m := range empty {
		if err := l.owner.reopen(m.Source); err != nil {
			return err
		}
	}
	return nil
}

// unseeded are the folders of volumes, also of those that only the image
// declares, that nothing is in.
func (l layout) unseeded(areas writable) ([]mount.Mount, error) {
	targets := slices.Clone(l.extra)
	for _, v := range l.spec.Volumes {
		targets = append(targets, v.Path)
	}
	var empty []mount.Mount
	for _, m := range areas.mounts {
		if m.Type != mount.TypeBind || !slices.Contains(targets, m.Target) {
			continue
		}
		entries, err := os.ReadDir(m.Source)
		if err != nil {
			return nil, fmt.Errorf("placement storage: %w", err)
		}
		if len(entries) == 0 {
			empty = append(empty, m)
		}
	}
	return empty, nil
}

func (r *Runtime) seedMounts(name string, folders []mount.Mount) []mount.Mount {
	// An image may declare these too; the engine would make volumes of them.
	mounts := []mount.Mount{runMount(), tmpfsMount("/tmp", 1), tmpfsMount("/var/tmp", 1)}
	for n, m := range folders {
		mounts = append(mounts, mount.Mount{
			Type: mount.TypeVolume, Source: name + "-" + strconv.Itoa(n), Target: m.Target,
			VolumeOptions: &mount.VolumeOptions{Labels: r.seedLabels(), DriverConfig: &mount.Driver{
				Name: "local", Options: map[string]string{"type": "none", "o": "bind", "device": m.Source},
			}},
		})
	}
	return mounts
}

// reopen lets the placement's user write to a folder that now has the image's
// owner and mode. They stay where they are the user's own: some programs
// refuse to work in a folder that others can read.
func (o owner) reopen(folder string) error {
	info, err := os.Lstat(folder)
	if err != nil {
		return fmt.Errorf("placement storage: %w", err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if ok && (int(st.Uid) == o.uid && !o.named || o.named && st.Uid != 0) {
		return nil
	}
	return errors.Join(os.Chown(folder, o.uid, o.gid), os.Chmod(folder, 0o777))
}

func (r *Runtime) seedLabels() map[string]string {
	return map[string]string{labelSeed: r.scopeKey()}
}

// unseed removes what seeding made whose name begins so.
func (r *Runtime) unseed(ctx context.Context, prefix string) error {
	args := filters.NewArgs(filters.Arg("label", labelSeed+"="+r.scopeKey()), filters.Arg("name", prefix))
	list, err := r.api.ContainerList(ctx, container.ListOptions{All: true, Filters: args})
	if err != nil {
		return engineError("list containers", err)
	}
	var errs []error
	for _, c := range list {
		errs = append(errs, r.removeContainer(ctx, c.ID))
	}
	volumes, err := r.api.VolumeList(ctx, volume.ListOptions{Filters: args})
	if err != nil {
		return errors.Join(append(errs, engineError("list volumes", err))...)
	}
	for _, v := range volumes.Volumes {
		if err := r.api.VolumeRemove(ctx, v.Name, false); err != nil && !cerrdefs.IsNotFound(err) {
			errs = append(errs, engineError("remove volume", err))
		}
	}
	return errors.Join(errs...)
}
