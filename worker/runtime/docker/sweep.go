package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"

	"github.com/isuncoin/isuncoin/worker/runtime"
)

const (
	lockFile    = "lock"
	probePrefix = "probe-"
	// probeMaxAge is far beyond what a probe takes.
	probeMaxAge = 10 * time.Minute
)

// lockScope takes the lock of this chain and node, which the process holds
// until Close or its end. It reports false if another process has it.
func (r *Runtime) lockScope() (bool, error) {
	if err := os.MkdirAll(r.scopeDir(), 0o700); err != nil {
		return false, fmt.Errorf("lock state directory: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(r.scopeDir(), lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return false, fmt.Errorf("lock state directory: %w", err)
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		r.lock = file
		return true, nil
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, file.Close()
	}
	return false, errors.Join(fmt.Errorf("lock state directory: %w", err), file.Close())
}

// sweep removes networks and storage of this chain and node that have no
// container: left by a crash in the middle of a creation or a removal.
// Containers themselves are the reconciler's to judge.
//
// Only the first process of a node sweeps: to a second, such as a command that
// asks how things are, a creation that is under way looks like debris.
func (r *Runtime) sweep(ctx context.Context) error {
	if first, err := r.lockScope(); err != nil || !first {
		return err
	}
	alive, err := r.liveKeys(ctx)
	if err != nil {
		return err
	}
	return errors.Join(r.sweepNetworks(ctx, alive), r.sweepStorage(ctx, alive), r.sweepProbes(ctx))
}

// liveKeys lists the keys of all our containers, by name, so that not even a
// container with a damaged label loses its disks.
func (r *Runtime) liveKeys(ctx context.Context) (map[string]bool, error) {
	list, err := r.api.ContainerList(ctx, container.ListOptions{All: true, Filters: r.scopeFilter()})
	if err != nil {
		return nil, engineError("list containers", err)
	}
	alive := make(map[string]bool, len(list))
	for _, c := range list {
		if id, err := runtime.IDFromLabels(c.Labels); err == nil {
			alive[id.Key()] = true
		}
	}
	return alive, nil
}

func (r *Runtime) sweepNetworks(ctx context.Context, alive map[string]bool) error {
	networks, err := r.api.NetworkList(ctx, network.ListOptions{Filters: r.scopeFilter()})
	if err != nil {
		return engineError("list networks", err)
	}
	var errs []error
	for _, n := range networks {
		id, err := runtime.IDFromLabels(n.Labels)
		if err != nil || r.owns(id) != nil || n.Name != objectName(id) || alive[id.Key()] {
			continue
		}
		r.log.Info("removing a network without container", "placement", id.String())
		errs = append(errs, r.removeNetworks(ctx, id))
	}
	return errors.Join(errs...)
}

func (r *Runtime) sweepStorage(ctx context.Context, alive map[string]bool) error {
	keys, err := r.keys()
	if err != nil {
		return err
	}
	var errs []error
	for _, key := range keys {
		if alive[key] || key == lockFile {
			continue
		}
		r.log.Info("removing storage without container", "key", key)
		errs = append(errs, r.storage.remove(ctx, key), r.removeDir(key))
	}
	return errors.Join(errs...)
}

// sweepProbes removes what a process that was killed while it probed has left.
func (r *Runtime) sweepProbes(ctx context.Context) error {
	dirs, err := filepath.Glob(filepath.Join(r.cfg.StateDir, probePrefix+"*"))
	if err != nil {
		return fmt.Errorf("list probes: %w", err)
	}
	var errs []error
	s := &loopStorage{root: r.cfg.StateDir}
	for _, dir := range dirs {
		if info, err := os.Stat(dir); err == nil && time.Since(info.ModTime()) > probeMaxAge {
			errs = append(errs, s.remove(ctx, filepath.Base(dir)))
		}
	}
	return errors.Join(errs...)
}

// removeDir deletes what is left of a placement's folder once its storage is
// gone. It refuses while something is still mounted inside.
func (r *Runtime) removeDir(key string) error {
	dir := r.placementDir(key)
	points, err := mountsBelow(dir)
	if err != nil {
		return err
	}
	if len(points) > 0 {
		return fmt.Errorf("placement folder %s still has mounts: %v", dir, points)
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove placement folder: %w", err)
	}
	return nil
}
