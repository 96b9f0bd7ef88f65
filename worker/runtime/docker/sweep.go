package docker

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"

	"github.com/isuncoin/isuncoin/worker/runtime"
)

// sweep removes networks and storage of this chain and node that have no
// container: left by a crash in the middle of a creation or a removal.
// Containers themselves are the reconciler's to judge.
func (r *Runtime) sweep(ctx context.Context) error {
	alive, err := r.liveKeys(ctx)
	if err != nil {
		return err
	}
	return errors.Join(r.sweepNetworks(ctx, alive), r.sweepStorage(ctx, alive))
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
		if alive[key] {
			continue
		}
		r.log.Info("removing storage without container", "key", key)
		errs = append(errs, r.storage.remove(ctx, key), r.removeDir(key))
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
