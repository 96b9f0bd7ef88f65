package stack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
	"github.com/docker/go-connections/nat"
)

// Docker looks at the engine's containers from outside, as the owner of the machine would.
type Docker struct{ api *client.Client }

// NewDocker connects to the engine of the environment.
func NewDocker(ctx context.Context) (Docker, error) {
	api, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return Docker{}, err
	}
	if _, err := api.Ping(ctx); err != nil {
		return Docker{}, fmt.Errorf("no Docker engine answers; scripts/ensure-docker.sh installs and starts one: %w", err)
	}
	return Docker{api}, nil
}

// Containers lists the ids of a chain's containers, of one node unless that is empty. Stopped ones count.
func (d Docker) Containers(ctx context.Context, chainID, node string) ([]string, error) {
	args := filters.NewArgs(chainLabel(chainID))
	if node != "" {
		args.Add("label", "isun.node="+node)
	}
	list, err := d.api.ContainerList(ctx, container.ListOptions{All: true, Filters: args})
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(list))
	for i, c := range list {
		ids[i] = c.ID
	}
	return ids, nil
}

// Close lets the connection go.
func (d Docker) Close() error {
	if d.api == nil {
		return nil
	}
	return d.api.Close()
}

// Networks lists the names of a chain's networks.
func (d Docker) Networks(ctx context.Context, chainID string) ([]string, error) {
	list, err := d.api.NetworkList(ctx, network.ListOptions{Filters: filters.NewArgs(chainLabel(chainID))})
	if err != nil {
		return nil, err
	}
	names := make([]string, len(list))
	for i, n := range list {
		names[i] = n.Name
	}
	return names, nil
}

// Remove removes a chain's containers, whatever their state, and their networks.
func (d Docker) Remove(ctx context.Context, chainID string) error {
	if d.api == nil {
		return nil
	}
	ids, err := d.Containers(ctx, chainID, "")
	for _, id := range ids {
		err = errors.Join(err, d.api.ContainerRemove(ctx, id, container.RemoveOptions{Force: true, RemoveVolumes: true}))
	}
	networks, listErr := d.api.NetworkList(ctx, network.ListOptions{Filters: filters.NewArgs(chainLabel(chainID))})
	err = errors.Join(err, listErr)
	for _, n := range networks {
		err = errors.Join(err, d.api.NetworkRemove(ctx, n.ID))
	}
	return err
}

// Status is the engine's word for a container's state, such as "running", "paused" or "exited".
func (d Docker) Status(ctx context.Context, id string) (string, error) {
	inspected, err := d.api.ContainerInspect(ctx, id)
	if err != nil {
		return "", err
	}
	return inspected.State.Status, nil
}

// Started is when a container's process was started last, as the engine writes it.
func (d Docker) Started(ctx context.Context, id string) (string, error) {
	inspected, err := d.api.ContainerInspect(ctx, id)
	if err != nil {
		return "", err
	}
	return inspected.State.StartedAt, nil
}

// PID is the first process of a container, as this machine numbers it.
func (d Docker) PID(ctx context.Context, id string) (int, error) {
	found, err := d.api.ContainerInspect(ctx, id)
	if err != nil {
		return 0, err
	}
	return found.State.Pid, nil
}

func chainLabel(chainID string) filters.KeyValuePair {
	return filters.Arg("label", "isun.chain="+chainID)
}

// Stop stops one container behind its worker's back.
func (d Docker) Stop(ctx context.Context, id string) error {
	now := 0
	return d.api.ContainerStop(ctx, id, container.StopOptions{Timeout: &now})
}

// Kill kills one container behind its worker's back.
func (d Docker) Kill(ctx context.Context, id string) error {
	return d.api.ContainerKill(ctx, id, "KILL")
}

// Pause freezes one container behind its worker's back.
func (d Docker) Pause(ctx context.Context, id string) error { return d.api.ContainerPause(ctx, id) }

// RemoveContainer removes one container behind its worker's back, running or not.
func (d Docker) RemoveContainer(ctx context.Context, id string) error {
	return d.api.ContainerRemove(ctx, id, container.RemoveOptions{Force: true})
}

// RemoveImage removes an image that no container uses, by its id.
func (d Docker) RemoveImage(ctx context.Context, id string) error {
	_, err := d.api.ImageRemove(ctx, id, image.RemoveOptions{PruneChildren: true})
	return err
}

// Disconnect takes one container out of its networks behind its worker's back, and removes them if told to.
func (d Docker) Disconnect(ctx context.Context, id string, remove bool) error {
	inspected, err := d.api.ContainerInspect(ctx, id)
	if err != nil {
		return err
	}
	for name := range inspected.NetworkSettings.Networks {
		err = errors.Join(err, d.api.NetworkDisconnect(ctx, name, id, true))
		if remove && err == nil {
			err = d.api.NetworkRemove(ctx, name)
		}
	}
	return err
}

// TimeRun starts the image of the chain's first container by hand, as `docker run` does, and gives the milliseconds until its
// port answers HTTP. The container is removed again.
func (d Docker) TimeRun(ctx context.Context, chainID string, port int) (ms int64, err error) {
	ids, err := d.Containers(ctx, chainID, "")
	if err != nil {
		return 0, err
	}
	if len(ids) == 0 {
		return 0, errors.New("no container to take the image from")
	}
	model, err := d.api.ContainerInspect(ctx, ids[0])
	if err != nil {
		return 0, err
	}
	inside := nat.Port(strconv.Itoa(port) + "/tcp")
	started := time.Now()
	created, err := d.api.ContainerCreate(ctx,
		&container.Config{Image: model.Image, ExposedPorts: nat.PortSet{inside: {}}},
		&container.HostConfig{PortBindings: nat.PortMap{inside: {{HostIP: "127.0.0.1"}}}}, nil, nil, "")
	if err != nil {
		return 0, err
	}
	defer func() {
		err = errors.Join(err, d.api.ContainerRemove(ctx, created.ID, container.RemoveOptions{Force: true}))
	}()
	if err := d.api.ContainerStart(ctx, created.ID, container.StartOptions{}); err != nil {
		return 0, err
	}
	running, err := d.api.ContainerInspect(ctx, created.ID)
	if err != nil {
		return 0, err
	}
	bindings := running.NetworkSettings.Ports[inside]
	if len(bindings) == 0 {
		return 0, errors.New("docker published no port")
	}
	if _, err := netip.ParseAddr(bindings[0].HostIP); err != nil {
		return 0, err
	}
	url := "http://" + net.JoinHostPort(bindings[0].HostIP, bindings[0].HostPort)
	err = Eventually(ctx, time.Minute, func() (bool, error) {
		status, _, err := Get(ctx, url)
		return status != 0, err
	})
	return time.Since(started).Milliseconds(), err
}
