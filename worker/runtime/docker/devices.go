package docker

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/docker/docker/api/types/container"

	"github.com/isuncoin/isuncoin/worker/runtime"
)

// visibleDevices is the variable by which NVIDIA's runtime decides what a
// container gets; "void" is nothing.
const visibleDevices = "NVIDIA_VISIBLE_DEVICES"

// handover is how a container gets the devices of its placement.
type handover struct {
	nodes    []container.DeviceMapping
	requests []container.DeviceRequest
	groups   []string
}

// handover looks at the nodes on this host, which the engine must share.
// ErrNoDevice if one has gone, ErrInvalidSpec if it is no character device: a
// block device would be somebody's disk.
func (r *Runtime) handover(spec runtime.Spec) (handover, error) {
	var h handover
	nodes := spec.DeviceNodes()
	if len(nodes) > 0 && strings.Contains(r.runtimeOf(spec), "runsc") {
		return h, fmt.Errorf("%w: gVisor hands over no device nodes; set engine.runtime to runc, or offer no accelerators",
			runtime.ErrNoDevice)
	}
	for _, node := range nodes {
		group, err := checkNode(node)
		if err != nil {
			return handover{}, err
		}
		// Without "m": nobody makes further nodes inside.
		h.nodes = append(h.nodes, container.DeviceMapping{PathOnHost: node, PathInContainer: node, CgroupPermissions: "rw"})
		if group != "" && !slices.Contains(h.groups, group) {
			h.groups = append(h.groups, group)
		}
	}
	if uuids := spec.NVIDIADevices(); len(uuids) > 0 {
		h.requests = []container.DeviceRequest{{
			Driver: "nvidia", DeviceIDs: uuids, Capabilities: [][]string{{"gpu", "compute", "utility"}},
		}}
	}
	return h, nil
}

// checkNode gives the group that may use a node, as a number, if that is what
// it takes: a placement has no capabilities, so neither root in it nor anybody
// else passes by a node's mode.
func checkNode(node string) (group string, err error) {
	info, err := os.Stat(node)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%w: %s is not there any more", runtime.ErrNoDevice, node)
	}
	if err != nil {
		return "", fmt.Errorf("%w: %w", runtime.ErrNoDevice, err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || info.Mode()&fs.ModeCharDevice == 0 {
		return "", fmt.Errorf("%w: %s is no character device", runtime.ErrInvalidSpec, node)
	}
	const everybody, byGroup = 0o006, 0o060
	if mode := info.Mode().Perm(); mode&everybody != everybody && mode&byGroup == byGroup && stat.Gid != 0 {
		group = strconv.FormatUint(uint64(stat.Gid), 10)
	}
	return group, nil
}

func (h handover) to(host *container.HostConfig) {
	host.Devices = h.nodes
	host.DeviceRequests = h.requests
	host.GroupAdd = h.groups
}

// runtimeOf names the OCI runtime that a placement gets.
func (r *Runtime) runtimeOf(spec runtime.Spec) string {
	if spec.Runtime != "" {
		return spec.Runtime
	}
	return r.engine.DefaultRuntime
}

// environment is what the container is told. Under NVIDIA's runtime it gets the
// devices that its environment names: there the tenant's and the image's word
// must not count.
func (r *Runtime) environment(spec runtime.Spec) []string {
	if !strings.Contains(r.runtimeOf(spec), "nvidia") {
		return spec.Environment()
	}
	devices := "void"
	if uuids := spec.NVIDIADevices(); len(uuids) > 0 {
		devices = strings.Join(uuids, ",")
	}
	return spec.Environment(visibleDevices + "=" + devices)
}

// deviceError says whether a failed start is for want of a device.
func deviceError(text string) bool {
	for _, sign := range []string{
		"gathering device information",   // a node has gone
		"could not select device driver", // NVIDIA's container toolkit is absent
		"nvidia-container-cli",           // it is there and the card is not
		"unresolvable CDI devices",       // the same where it works through CDI
	} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}
