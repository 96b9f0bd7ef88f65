package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"

	"github.com/isuncoin/isuncoin/worker/runtime"
)

// inspectParallel keeps a list of a hundred containers quick without flooding
// the engine.
const inspectParallel = 8

// find inspects the container of an id. A container under the right name but
// with other labels is not ours, and nobody may touch it through us.
func (r *Runtime) find(ctx context.Context, id runtime.ID) (container.InspectResponse, error) {
	found, err := r.api.ContainerInspect(ctx, objectName(id))
	if cerrdefs.IsNotFound(err) {
		return found, fmt.Errorf("%w: %s", runtime.ErrNotFound, id)
	}
	if err != nil {
		return found, engineError("inspect container", err)
	}
	labelled, err := ownedID(found)
	if err != nil || labelled != id {
		return found, fmt.Errorf("%w: container %s is labelled %v", runtime.ErrForeign, objectName(id), found.Config.Labels)
	}
	return found, nil
}

// ownedID reads whose a container is. Its name must agree: labels can also
// come from an image that somebody runs for another purpose.
func ownedID(c container.InspectResponse) (runtime.ID, error) {
	if c.ContainerJSONBase == nil || c.Config == nil || c.State == nil || c.HostConfig == nil {
		return runtime.ID{}, errors.New("incomplete answer of the engine")
	}
	id, err := runtime.IDFromLabels(c.Config.Labels)
	if err != nil {
		return runtime.ID{}, err
	}
	if strings.TrimPrefix(c.Name, "/") != objectName(id) {
		return runtime.ID{}, fmt.Errorf("container %s carries the labels of %s", c.Name, id)
	}
	return id, nil
}

// Inspect implements runtime.Runtime.
func (r *Runtime) Inspect(ctx context.Context, id runtime.ID) (runtime.State, error) {
	if err := r.owns(id); err != nil {
		return runtime.State{}, err
	}
	return r.inspect(ctx, id)
}

func (r *Runtime) inspect(ctx context.Context, id runtime.ID) (runtime.State, error) {
	found, err := r.find(ctx, id)
	if errors.Is(err, runtime.ErrNotFound) {
		return runtime.State{ID: id, Status: runtime.StatusMissing}, err
	}
	if err != nil {
		return runtime.State{}, err
	}
	return r.state(id, found), nil
}

// scopeFilter asks the engine for this chain's and node's objects only.
func (r *Runtime) scopeFilter() filters.Args {
	return labelFilter(map[string]string{
		runtime.LabelChain: r.cfg.Chain,
		runtime.LabelNode:  r.cfg.Node,
	})
}

func labelFilter(labels map[string]string) filters.Args {
	args := filters.NewArgs()
	for name, value := range labels {
		args.Add("label", name+"="+value)
	}
	return args
}

func (r *Runtime) state(id runtime.ID, c container.InspectResponse) runtime.State {
	s := runtime.State{
		ID: id, ContainerID: c.ID, Status: statusOf(c.State), ExitCode: c.State.ExitCode,
		OOMKilled: c.State.OOMKilled, Restarts: r.restarts(id), PID: c.State.Pid,
		Limits: limitsOf(c), Endpoints: r.endpointsOf(c),
	}
	s.Detached = s.Status == runtime.StatusRunning && !attached(id, c)
	s.Unbounded = s.Status == runtime.StatusRunning && !s.Detached && !r.isBounded(id, c)
	if t, err := time.Parse(time.RFC3339Nano, c.State.StartedAt); err == nil && t.Year() > 1 {
		s.StartedAt = t
	}
	return s
}

// attached says whether a running container has an end in its placement's
// network, which the engine does not remove while it has.
func attached(id runtime.ID, c container.InspectResponse) bool {
	if c.NetworkSettings == nil {
		return false
	}
	end, ok := c.NetworkSettings.Networks[objectName(id)]
	return ok && end != nil && end.EndpointID != ""
}

func statusOf(s *container.State) runtime.Status {
	switch {
	case s.Paused:
		return runtime.StatusPaused
	case s.Running, s.Restarting:
		return runtime.StatusRunning
	case s.Status == container.StateCreated:
		return runtime.StatusCreated
	default: // exited, dead, removing
		return runtime.StatusExited
	}
}

func limitsOf(c container.InspectResponse) runtime.Limits {
	l := runtime.Limits{
		MilliCPU:      c.HostConfig.NanoCPUs / 1_000_000,
		MemoryMiB:     c.HostConfig.Memory / mib,
		StorageMiB:    labelNumber(c.Config.Labels, labelStorage),
		BandwidthMbps: labelNumber(c.Config.Labels, labelBandwidth),
	}
	if c.HostConfig.PidsLimit != nil {
		l.Pids = *c.HostConfig.PidsLimit
	}
	return l
}

// labelNumber reads a number we wrote; 0 if somebody changed it, which no
// engine allows on a container.
func labelNumber(labels map[string]string, name string) int64 {
	n, err := strconv.ParseInt(labels[name], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func (r *Runtime) endpointsOf(c container.InspectResponse) []runtime.Endpoint {
	var ports []runtime.Port
	if err := json.Unmarshal([]byte(c.Config.Labels[labelPorts]), &ports); err != nil {
		return nil
	}
	var endpoints []runtime.Endpoint
	for _, p := range ports {
		for _, b := range c.HostConfig.PortBindings[natPort(p)] {
			hostPort, err := strconv.ParseUint(b.HostPort, 10, 16)
			if err != nil || hostPort == 0 {
				continue
			}
			endpoints = append(endpoints, runtime.Endpoint{
				Name: p.Name, Protocol: p.Protocol, HostIP: addressOf(b.HostIP, r.cfg.HostIP),
				HostPort: uint16(hostPort), ContainerPort: p.ContainerPort,
			})
		}
	}
	return endpoints
}
