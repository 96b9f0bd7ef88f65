package runtime

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

// Device is an accelerator that a placement holds, whole. It comes from this
// machine's own inventory, never from a tenant.
type Device struct {
	// ID is the device's on the chain, such as a GPU's UUID.
	ID string
	// NVIDIA is the UUID to ask NVIDIA's container runtime for; empty where
	// the nodes are all there is to it.
	NVIDIA string
	// Nodes are character devices below /dev, found under the same path inside
	// the container.
	Nodes []string
	// Env are variables that a program needs to find the device, NAME=value.
	// They count before the tenant's.
	Env []string
}

const (
	maxDevices     = 16 // as many as a node can have on the chain
	maxDeviceNodes = 16
)

var (
	deviceIDPattern = regexp.MustCompile(`^[!-~]([ -~]{0,62}[!-~])?$`)
	// A card's or a slice's own UUID. NVIDIA's runtime also knows words such
	// as "all", which no placement may say.
	nvidiaPattern = regexp.MustCompile(`^(GPU|MIG)-[A-Za-z0-9][A-Za-z0-9/-]{0,79}$`)
	nodesPattern  = regexp.MustCompile(`^/dev(/[A-Za-z0-9][A-Za-z0-9_.-]*)+$`)
)

func (s Spec) validateDevices() error {
	if len(s.Devices) > maxDevices {
		return invalid("%d devices, at most %d", len(s.Devices), maxDevices)
	}
	seen := map[string]bool{}
	for _, d := range s.Devices {
		if err := d.validate(); err != nil {
			return err
		}
		if seen[d.ID] {
			return invalid("device %q twice", d.ID)
		}
		seen[d.ID] = true
	}
	return nil
}

func (d Device) validate() error {
	switch {
	case !deviceIDPattern.MatchString(d.ID):
		return invalid("device id %.80q", d.ID)
	case d.NVIDIA == "" && len(d.Nodes) == 0:
		return invalid("device %q has neither nodes nor a UUID for NVIDIA's runtime", d.ID)
	case d.NVIDIA != "" && !nvidiaPattern.MatchString(d.NVIDIA):
		return invalid("device %q: %.80q is no UUID of NVIDIA's", d.ID, d.NVIDIA)
	case len(d.Nodes) > maxDeviceNodes:
		return invalid("device %q has %d nodes, at most %d", d.ID, len(d.Nodes), maxDeviceNodes)
	}
	for _, node := range d.Nodes {
		if !nodesPattern.MatchString(node) || path.Clean(node) != node {
			return invalid("device %q: node %.80q is not a plain path below /dev", d.ID, node)
		}
	}
	if err := validateStrings("env of device "+d.ID, d.Env); err != nil {
		return err
	}
	for _, e := range d.Env {
		if name, _, ok := strings.Cut(e, "="); !ok || !envNamePattern.MatchString(name) {
			return invalid("device %q: env %.80q is not NAME=value", d.ID, e)
		}
	}
	return nil
}

// DeviceNodes are the nodes of all devices, each once: cards of one maker
// share some, such as /dev/kfd.
func (s Spec) DeviceNodes() []string {
	var nodes []string
	for _, d := range s.Devices {
		nodes = append(nodes, d.Nodes...)
	}
	slices.Sort(nodes)
	return slices.Compact(nodes)
}

// Environment are all variables, the first of a name only: what an engine adds
// itself, then what the devices need, then what the tenant wants.
func (s Spec) Environment(own ...string) []string {
	lists := [][]string{own}
	for _, d := range s.Devices {
		lists = append(lists, d.Env)
	}
	var env []string
	seen := map[string]bool{}
	for _, e := range slices.Concat(append(lists, s.Env)...) {
		if name, _, _ := strings.Cut(e, "="); !seen[name] {
			seen[name] = true
			env = append(env, e)
		}
	}
	return env
}

// NVIDIADevices are the UUIDs to ask NVIDIA's container runtime for.
func (s Spec) NVIDIADevices() []string {
	var uuids []string
	for _, d := range s.Devices {
		if d.NVIDIA != "" {
			uuids = append(uuids, d.NVIDIA)
		}
	}
	return uuids
}
