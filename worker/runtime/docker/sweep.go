package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"

	"github.com/isuncoin/isuncoin/worker/runtime"
)

const (
	lockFile    = "lock"
	probePrefix = "probe-"
	// probeLockFile is shared by those that probe in a state directory.
	probeLockFile = "probes.lock"
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
// asks how things are, a creation that is under way looks like debris. What
// cannot be removed, such as a network that somebody else's container uses, is
// told and left: it must not keep the placements from running.
func (r *Runtime) sweep(ctx context.Context) error {
	if first, err := r.lockScope(); err != nil || !first {
		return err
	}
	alive, err := r.liveKeys(ctx)
	if err != nil {
		return err
	}
	err = errors.Join(r.unseed(ctx, seedPrefix), r.sweepNetworks(ctx, alive), r.sweepStorage(ctx, alive), r.sweepProbes(ctx))
	if err != nil && ctx.Err() == nil && !errors.Is(err, runtime.ErrUnavailable) {
		r.log.Warn("something of an earlier worker is left and cannot be removed", "error", err)
		return nil
	}
	return err
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

// lockProbes keeps the folders of probes from being swept while this process
// probes, or, to sweep them, finds that none does; unlock is nil if one does.
func lockProbes(stateDir string, how int) (unlock func() error, err error) {
	file, err := os.OpenFile(filepath.Join(stateDir, probeLockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock probes: %w", err)
	}
	err = syscall.Flock(int(file.Fd()), how)
	switch {
	case err == nil:
		return file.Close, nil
	case errors.Is(err, syscall.EWOULDBLOCK):
		return nil, file.Close()
	}
	return nil, errors.Join(fmt.Errorf("lock probes: %w", err), file.Close())
}

// sweepProbes removes what a process that was killed while it probed has left.
func (r *Runtime) sweepProbes(ctx context.Context) error {
	dirs, err := filepath.Glob(filepath.Join(r.cfg.StateDir, probePrefix+"*"))
	if err != nil || len(dirs) == 0 {
		return err
	}
	unlock, err := lockProbes(r.cfg.StateDir, syscall.LOCK_EX|syscall.LOCK_NB)
	if err != nil || unlock == nil {
		return err // somebody probes; the next start sweeps
	}
	errs := []error{}
	s := &loopStorage{root: r.cfg.StateDir}
	for _, dir := range dirs {
		errs = append(errs, s.remove(ctx, filepath.Base(dir)))
	}
	return errors.Join(append(errs, unlock())...)
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
