package reconciler

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/isuncoin/isuncoin/worker/runtime"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

// Spec says how to run a placement of an image that the engine has.
func Spec(
	id runtime.ID, p leasetypes.NodePlacement, image uaitypes.Image, local string, limits runtime.Limits, devices []runtime.Device,
	ociRuntime string, grace time.Duration,
) (runtime.Spec, error) {
	spec := runtime.Spec{
		ID: id, Image: local, Args: p.Args, Limits: limits, Devices: devices, Runtime: ociRuntime, StopGrace: grace,
	}
	for _, e := range p.Env {
		spec.Env = append(spec.Env, e.Name+"="+e.Value)
	}
	for _, port := range image.Ports {
		if port.ContainerPort > 65535 {
			return runtime.Spec{}, fmt.Errorf("%w: port %q is %d", runtime.ErrInvalidSpec, port.Name, port.ContainerPort)
		}
		spec.Ports = append(spec.Ports, runtime.Port{
			Name: port.Name, Protocol: runtime.Protocol(port.Protocol), ContainerPort: uint16(port.ContainerPort),
		})
	}
	for _, v := range image.Volumes {
		if v.SizeMiB > 1<<40 {
			return runtime.Spec{}, fmt.Errorf("%w: volume %q has %d MiB", runtime.ErrInvalidSpec, v.Name, v.SizeMiB)
		}
		spec.Volumes = append(spec.Volumes, runtime.Volume{Name: v.Name, Path: v.Path, SizeMiB: int64(v.SizeMiB)})
	}
	return spec, spec.Validate()
}

// Endpoints are a container's ports as tenants reach them, sorted by name.
func Endpoints(state runtime.State, published string) []leasetypes.Endpoint {
	var endpoints []leasetypes.Endpoint
	for _, e := range state.Endpoints {
		if e.HostPort == 0 {
			continue // not bound yet
		}
		endpoints = append(endpoints, leasetypes.Endpoint{
			Name: e.Name, Protocol: string(e.Protocol),
			Address:       net.JoinHostPort(published, strconv.Itoa(int(e.HostPort))),
			ContainerPort: uint32(e.ContainerPort),
		})
	}
	slices.SortFunc(endpoints, func(a, b leasetypes.Endpoint) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ContainerPort, b.ContainerPort))
	})
	return endpoints
}
