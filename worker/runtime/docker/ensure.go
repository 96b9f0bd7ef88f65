package docker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"golang.org/x/sync/errgroup"

	"github.com/isuncoin/isuncoin/worker/runtime"
)

// portAttempts is how often a creation is tried with other host ports when
// somebody else took one in between.
const portAttempts = 5

var _ runtime.Keeping = (*Runtime)(nil)

// Ensure implements runtime.Runtime.
func (r *Runtime) Ensure(ctx context.Context, spec runtime.Spec) (runtime.State, error) {
	return r.EnsureFilled(ctx, spec, nil)
}

// Volumes implements runtime.Keeping.
func (r *Runtime) Volumes(ctx context.Context, id runtime.ID) (map[string]string, error) {
	if err := r.owns(id); err != nil {
		return nil, err
	}
	defer r.locks.lock(id)()
	if _, err := r.find(ctx, id); err != nil {
		return nil, err
	}
	if err := r.storage.attach(ctx, id); err != nil { // a reboot unmounts
		return nil, err
	}
	return r.storage.volumes(id)
}

// EnsureFilled implements runtime.Keeping.
func (r *Runtime) EnsureFilled(ctx context.Context, spec runtime.Spec, fill runtime.Fill) (runtime.State, error) {
	if err := spec.Validate(); err != nil {
		return runtime.State{}, err
	}
	if err := r.owns(spec.ID); err != nil {
		return runtime.State{}, err
	}
	defer r.change(spec.ID)()

	found, err := r.find(ctx, spec.ID)
	switch {
	case errors.Is(err, runtime.ErrNotFound):
		return r.create(ctx, spec, fill)
	case err != nil:
		return runtime.State{}, err
	}
	state := r.state(spec.ID, found)
	if found.Config.Labels[runtime.LabelSpec] != spec.Digest() {
		return state, fmt.Errorf("%w: %s", runtime.ErrConflict, spec.ID)
	}
	switch {
	case state.Detached:
		// A network that a running container is given is its second interface
		// and not its first, so it starts again with it.
		if err := r.stop(ctx, found, -1); err != nil {
			return state, err
		}
	case state.Unbounded:
		if err := r.bound(ctx, spec, found.ID); err != nil {
			return state, err
		}
		return r.inspect(ctx, spec.ID)
	case state.Status == runtime.StatusRunning, state.Status == runtime.StatusPaused:
		return state, nil
	}
	return r.startAgain(ctx, spec, found, state.Status != runtime.StatusCreated)
}

// startAgain starts a container that exists. A reboot has unmounted its disks,
// and whoever tidied the engine up may have taken its network.
func (r *Runtime) startAgain(ctx context.Context, spec runtime.Spec, found container.InspectResponse, exited bool) (runtime.State, error) {
	if err := r.storage.attach(ctx, spec.ID); err != nil {
		return runtime.State{}, err
	}
	if err := r.attachNetwork(ctx, spec.ID, found); err != nil {
		return runtime.State{}, err
	}
	if exited {
		// Counted first: a crash in between counts one too many, never one
		// too few, and back-off errs on the patient side.
		if err := r.countRestart(spec.ID); err != nil {
			return runtime.State{}, err
		}
	}
	if err := r.start(ctx, spec, found.ID); err != nil {
		return runtime.State{}, err
	}
	return r.inspect(ctx, spec.ID)
}

// create makes storage and network, which do not wait for each other, then the
// container, and undoes all of it when a step fails. What a crash leaves has no
// container and is swept, so volumes are filled before there is one.
func (r *Runtime) create(ctx context.Context, spec runtime.Spec, fill runtime.Fill) (_ runtime.State, err error) {
	img, err := r.image(ctx, spec.Image)
	if err != nil {
		return runtime.State{}, err
	}
	extra, err := imageVolumes(spec, img)
	if err != nil {
		return runtime.State{}, err
	}
	defer func() {
		if err == nil {
			return
		}
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
		defer cancel()
		if undoErr := r.destroy(undo, spec.ID); undoErr != nil {
			err = errors.Join(err, undoErr)
		}
	}()
	area := layout{spec: spec, scratchMiB: spec.ScratchMiB(), extra: extra, owner: imageOwner(spec, img)}
	var areas writable
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		areas, err = r.storage.create(groupCtx, area)
		return err
	})
	group.Go(func() error { return r.createNetwork(groupCtx, spec.ID) })
	if err := group.Wait(); err != nil {
		return runtime.State{}, err
	}
	if fill != nil {
		volumes, err := r.storage.volumes(spec.ID)
		if err != nil {
			return runtime.State{}, err
		}
		if err := fill(ctx, volumes); err != nil {
			return runtime.State{}, noSpace(fmt.Errorf("fill the volumes of %s: %w", spec.ID, err))
		}
	}
	if err := r.seed(ctx, area, img.ID, areas); err != nil {
		return runtime.State{}, err
	}
	if err := r.createContainer(ctx, spec, img.ID, areas); err != nil {
		return runtime.State{}, err
	}
	return r.inspect(ctx, spec.ID)
}

// createContainer creates and starts, again with other host ports if those it
// chose were taken meanwhile.
func (r *Runtime) createContainer(ctx context.Context, spec runtime.Spec, imageID string, areas writable) error {
	devices, err := r.handover(spec)
	if err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		ports, err := r.choosePorts(ctx, spec, attempt)
		if err != nil {
			return err
		}
		host := r.hostConfig(spec, areas, ports)
		devices.to(host)
		created, err := r.api.ContainerCreate(ctx, r.containerConfig(spec, imageID), host, networkingConfig(spec), nil, objectName(spec.ID))
		if err != nil {
			return createError(err)
		}
		err = r.start(ctx, spec, created.ID)
		if !errors.Is(err, errPortTaken) || attempt == portAttempts {
			return err
		}
		if err := r.removeContainer(ctx, created.ID); err != nil {
			return err
		}
	}
}

func createError(err error) error {
	if cerrdefs.IsNotFound(err) {
		return fmt.Errorf("%w: %w", runtime.ErrImageMissing, err)
	}
	if cerrdefs.IsInvalidArgument(err) {
		return fmt.Errorf("%w: %w", runtime.ErrInvalidSpec, err)
	}
	return engineError("create container", err)
}

// errPortTaken: a host port is in use, so other ones must be chosen.
var errPortTaken = errors.New("host port is taken")

func (r *Runtime) start(ctx context.Context, spec runtime.Spec, containerID string) error {
	err := r.api.ContainerStart(ctx, containerID, container.StartOptions{})
	if err == nil {
		return r.bound(ctx, spec, containerID)
	}
	text := err.Error()
	switch {
	case deviceError(text):
		return fmt.Errorf("%w: %w", runtime.ErrNoDevice, err)
	case strings.Contains(text, "port is already allocated"), strings.Contains(text, "address already in use"):
		return fmt.Errorf("%w: %w: %w", runtime.ErrUnavailable, errPortTaken, err)
	// The runtime ran as far as the image's own files: the image or the
	// arguments are wrong.
	case strings.Contains(text, "OCI runtime create failed"), strings.Contains(text, "failed to create shim"),
		strings.Contains(text, "executable file not found"), strings.Contains(text, "unable to find user"):
		return fmt.Errorf("%w: %s: %w", runtime.ErrStartFailed, spec.ID, err)
	}
	return engineError("start container", err)
}

// bound sets what the engine does not limit for a container that runs, or
// stops it.
func (r *Runtime) bound(ctx context.Context, spec runtime.Spec, containerID string) error {
	err := r.setBounds(ctx, spec)
	if err == nil {
		return nil
	}
	now := 0
	stopErr := r.api.ContainerStop(context.WithoutCancel(ctx), containerID, container.StopOptions{Timeout: &now})
	return errors.Join(err, engineError("stop container", stopErr))
}

func (r *Runtime) image(ctx context.Context, ref string) (image.InspectResponse, error) {
	img, err := r.api.ImageInspect(ctx, ref)
	if cerrdefs.IsNotFound(err) {
		return img, fmt.Errorf("%w: %s", runtime.ErrImageMissing, ref)
	}
	return img, engineError("inspect image", err)
}

// imageVolumes lists the folders that the image declares as volumes and the
// spec does not cover. Left to the engine they would become anonymous volumes
// without a limit on the host's disk.
func imageVolumes(spec runtime.Spec, img image.InspectResponse) ([]string, error) {
	if img.Config == nil {
		return nil, nil
	}
	const most = 16 // as many as any honest image needs, several times over
	if len(img.Config.Volumes) > most {
		return nil, fmt.Errorf("%w: image declares %d volumes, at most %d", runtime.ErrInvalidSpec, len(img.Config.Volumes), most)
	}
	// These are mounted in every placement, so an image may declare them; what
	// collides otherwise is refused.
	scratch := []string{"/run", "/tmp", "/var/tmp"}
	var paths []string
	for p := range img.Config.Volumes {
		if len(p) > 1 {
			p = strings.TrimRight(p, "/")
		}
		covered := slices.Contains(scratch, p) ||
			slices.ContainsFunc(spec.Volumes, func(v runtime.Volume) bool { return v.Path == p })
		if !covered {
			paths = append(paths, p)
		}
	}
	slices.Sort(paths)
	taken := runtime.ReservedPaths()
	for _, v := range spec.Volumes {
		taken = append(taken, v.Path)
	}
	for _, p := range paths {
		if err := runtime.CheckMountPath(p, taken); err != nil {
			return nil, fmt.Errorf("%w: volume of the image: %w", runtime.ErrInvalidSpec, err)
		}
		taken = append(taken, p)
	}
	return paths, nil
}
