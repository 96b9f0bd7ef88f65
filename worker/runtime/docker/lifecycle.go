package docker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/isuncoin/isuncoin/worker/runtime"
)

// Stop implements runtime.Runtime.
func (r *Runtime) Stop(ctx context.Context, id runtime.ID, grace time.Duration) error {
	if err := r.owns(id); err != nil {
		return err
	}
	defer r.change(id)()
	found, err := r.find(ctx, id)
	if err != nil {
		return err
	}
	return r.stop(ctx, found, grace)
}

// stop thaws first: a frozen process cannot act on a signal.
func (r *Runtime) stop(ctx context.Context, found container.InspectResponse, grace time.Duration) error {
	if found.State.Paused {
		if err := r.api.ContainerUnpause(ctx, found.ID); err != nil && !isNotPaused(err) {
			return engineError("unpause container", err)
		}
	}
	if !found.State.Running {
		return nil
	}
	var options container.StopOptions
	if grace >= 0 {
		seconds := wholeSeconds(grace)
		options.Timeout = &seconds
	}
	return engineError("stop container", r.api.ContainerStop(ctx, found.ID, options))
}

// wholeSeconds rounds up: the engine counts in seconds, and a grace that
// shrinks to none would kill.
func wholeSeconds(d time.Duration) int {
	return int((d + time.Second - 1) / time.Second)
}

// Remove implements runtime.Runtime.
func (r *Runtime) Remove(ctx context.Context, id runtime.ID, grace time.Duration) error {
	if err := r.owns(id); err != nil {
		return err
	}
	defer r.change(id)()
	found, err := r.find(ctx, id)
	switch {
	case errors.Is(err, runtime.ErrNotFound):
	case err != nil:
		return err
	case grace != 0:
		if err := r.stop(ctx, found, grace); err != nil && !errors.Is(err, runtime.ErrNotFound) {
			return err
		}
	}
	return r.destroy(ctx, id)
}

// destroy deletes whatever exists of a placement, at once. The caller holds
// its lock.
func (r *Runtime) destroy(ctx context.Context, id runtime.ID) error {
	found, err := r.find(ctx, id)
	switch {
	case errors.Is(err, runtime.ErrNotFound):
	case err != nil:
		return err
	default:
		if err := r.removeContainer(ctx, found.ID); err != nil {
			return err
		}
	}
	return errors.Join(
		r.removeNetworks(ctx, id),
		r.storage.remove(ctx, id.Key()),
		r.removeDir(id.Key()),
	)
}

// removeContainer kills and deletes, and waits where somebody else has begun
// to.
func (r *Runtime) removeContainer(ctx context.Context, containerID string) error {
	err := r.api.ContainerRemove(ctx, containerID, container.RemoveOptions{Force: true, RemoveVolumes: true})
	switch {
	case err == nil, cerrdefs.IsNotFound(err):
		return nil
	case !strings.Contains(err.Error(), "already in progress"):
		return engineError("remove container", err)
	}
	done, failed := r.api.ContainerWait(ctx, containerID, container.WaitConditionRemoved)
	select {
	case <-done:
		return nil
	case err := <-failed:
		if cerrdefs.IsNotFound(err) {
			return nil
		}
		return engineError("wait for removal", err)
	}
}

// Pause implements runtime.Runtime.
func (r *Runtime) Pause(ctx context.Context, id runtime.ID) error {
	return r.freeze(ctx, id, true)
}

// Unpause implements runtime.Runtime.
func (r *Runtime) Unpause(ctx context.Context, id runtime.ID) error {
	return r.freeze(ctx, id, false)
}

func (r *Runtime) freeze(ctx context.Context, id runtime.ID, pause bool) error {
	if err := r.owns(id); err != nil {
		return err
	}
	defer r.change(id)()
	found, err := r.find(ctx, id)
	if err != nil {
		return err
	}
	switch {
	case !found.State.Running:
		return fmt.Errorf("%w: %s is %s", runtime.ErrNotRunning, id, found.State.Status)
	case found.State.Paused == pause:
		return nil
	case pause:
		err = r.pause(ctx, found.ID)
	default:
		err = r.api.ContainerUnpause(ctx, found.ID)
	}
	// It may have ended since it was looked at.
	if err != nil && strings.Contains(err.Error(), "is not running") {
		return fmt.Errorf("%w: %s: %w", runtime.ErrNotRunning, id, err)
	}
	return engineError("pause or unpause container", err)
}

const (
	pauseAttempts = 20
	// pauseAgain is a part of the quota's period: threads that have used theirs
	// up freeze in the next.
	pauseAgain = 40 * time.Millisecond
)

// pause tries again while threads that wait for their quota keep the engine
// from freezing: on version 1 of control groups it gives up sooner than that,
// and a placement of many busy threads would be hard to stop in time.
func (r *Runtime) pause(ctx context.Context, containerID string) error {
	for attempt := 1; ; attempt++ {
		err := r.api.ContainerPause(ctx, containerID)
		if err == nil || attempt == pauseAttempts || !strings.Contains(err.Error(), "unable to freeze") {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(pauseAgain):
		}
	}
}

func isNotPaused(err error) bool { return strings.Contains(err.Error(), "is not paused") }

// Resize implements runtime.Runtime.
func (r *Runtime) Resize(ctx context.Context, id runtime.ID, limits runtime.Limits) error {
	if err := limits.Validate(); err != nil {
		return err
	}
	if err := r.owns(id); err != nil {
		return err
	}
	defer r.change(id)()
	found, err := r.find(ctx, id)
	if err != nil {
		return err
	}
	_, err = r.api.ContainerUpdate(ctx, found.ID, container.UpdateConfig{
		Resources:     r.resources(limits),
		RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyDisabled},
	})
	if err != nil || !found.State.Running {
		return engineError("update container", err)
	}
	return r.boundSockets(limits, found.State.Pid)
}
