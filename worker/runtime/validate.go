package runtime

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Defaults and bounds of a spec.
const (
	// DefaultPids leaves room for gVisor's own threads, which the host counts
	// too, and for an ordinary server.
	DefaultPids int64 = 512
	// DefaultStopGrace is Docker's own.
	DefaultStopGrace = 10 * time.Second

	// MinMemoryMiB is the least that an init process and a small program
	// start in; an engine refuses less than 6 MiB.
	MinMemoryMiB int64 = 16
	// MinMilliCPU is the smallest quota the kernel takes: 1 ms in 100 ms.
	MinMilliCPU int64 = 10
	// MinVolumeMiB is the least on which ext4 can be made with room to spare.
	MinVolumeMiB int64 = 4

	maxMilliCPU     int64 = 1 << 20 // about a thousand cores
	maxMemoryMiB    int64 = 1 << 26 // 64 TiB
	maxStorageMiB   int64 = 1 << 30 // 1 PiB
	maxMbps         int64 = 1 << 20 // 1 Tbit/s
	maxPids         int64 = 1 << 22 // the kernel's own pid_max
	maxPorts              = 16
	maxVolumes            = 8
	maxStopGrace          = 10 * time.Minute
	maxStrings            = 256       // args and env entries, each list
	maxStringsBytes       = 128 << 10 // below the kernel's limit for one execve
)

var (
	namePattern    = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`)
	ownerPattern   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)
	nodePattern    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}(/[0-9]{1,20})?$`)
	imagePattern   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,511}$`)
	userPattern    = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,63})?$`)
	runtimePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)
	signalPattern  = regexp.MustCompile(`^SIG[A-Z0-9+]{2,12}$`)
	envNamePattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,255}$`)
	pathPattern    = regexp.MustCompile(`^(/[A-Za-z0-9_@+. -]+)+$`)
)

// reservedPaths cannot be volumes: the kernel's own trees, what the engine
// mounts itself, and the scratch mounts every placement has.
var reservedPaths = []string{"/proc", "/sys", "/dev", "/run", "/tmp", "/var/tmp", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf"}

// Validate checks an id's fields. ErrInvalidSpec says which one is at fault.
func (id ID) Validate() error {
	if !ownerPattern.MatchString(id.Chain) {
		return invalid("chain id %q", id.Chain)
	}
	if !nodePattern.MatchString(id.Node) {
		return invalid("node %q", id.Node)
	}
	tenant, _, err := SplitLease(id.Lease)
	if err != nil {
		return invalid("%v", err)
	}
	if !ownerPattern.MatchString(tenant) {
		return invalid("lease %q: malformed tenant", id.Lease)
	}
	return nil
}

// Validate checks limits against their bounds.
func (l Limits) Validate() error {
	for _, b := range []struct {
		name           string
		value, lo, top int64
	}{
		{"milli-CPU", l.MilliCPU, MinMilliCPU, maxMilliCPU},
		{"memory MiB", l.MemoryMiB, MinMemoryMiB, maxMemoryMiB},
		{"storage MiB", l.StorageMiB, 0, maxStorageMiB},
		{"bandwidth Mbit/s", l.BandwidthMbps, 0, maxMbps},
		{"pids", l.Pids, 0, maxPids},
	} {
		if b.value < b.lo || b.value > b.top {
			return invalid("%s is %d, want %d to %d", b.name, b.value, b.lo, b.top)
		}
	}
	return nil
}

// Validate refuses whatever an engine could be tricked with. It is the one
// gate between what a tenant writes on the chain and the engine's API, which
// runs as root; so it lists what is allowed, never what is forbidden.
func (s Spec) Validate() error {
	if err := s.ID.Validate(); err != nil {
		return err
	}
	if err := s.Limits.Validate(); err != nil {
		return err
	}
	switch {
	case !imagePattern.MatchString(s.Image):
		return invalid("image %q", s.Image)
	case s.User != "" && !userPattern.MatchString(s.User):
		return invalid("user %q", s.User)
	case s.Runtime != "" && !runtimePattern.MatchString(s.Runtime):
		return invalid("runtime %q", s.Runtime)
	case s.StopSignal != "" && !signalPattern.MatchString(s.StopSignal):
		return invalid("stop signal %q", s.StopSignal)
	case s.StopGrace < 0 || s.StopGrace > maxStopGrace:
		return invalid("stop grace %s, want 0 to %s", s.StopGrace, maxStopGrace)
	}
	if err := validateStrings("args", s.Args); err != nil {
		return err
	}
	if err := validateStrings("env", s.Env); err != nil {
		return err
	}
	for _, e := range s.Env {
		if name, _, ok := strings.Cut(e, "="); !ok || !envNamePattern.MatchString(name) {
			return invalid("env %q is not NAME=value", e)
		}
	}
	if err := validatePorts(s.Ports); err != nil {
		return err
	}
	if err := s.validateDevices(); err != nil {
		return err
	}
	return s.validateVolumes()
}

func validateStrings(what string, list []string) error {
	if len(list) > maxStrings {
		return invalid("%d %s, at most %d", len(list), what, maxStrings)
	}
	total := 0
	for _, s := range list {
		total += len(s) + 1
		if strings.ContainsRune(s, 0) {
			return invalid("%s %q holds a zero byte", what, s)
		}
	}
	if total > maxStringsBytes {
		return invalid("%s take %d bytes, at most %d", what, total, maxStringsBytes)
	}
	return nil
}

func validatePorts(ports []Port) error {
	if len(ports) > maxPorts {
		return invalid("%d ports, at most %d", len(ports), maxPorts)
	}
	names := make(map[string]bool, len(ports))
	numbers := make(map[string]bool, len(ports))
	for _, p := range ports {
		switch p.Protocol {
		case ProtocolTCP, ProtocolUDP, ProtocolHTTP:
		default:
			return invalid("port %q: protocol %q is none of tcp, udp, http", p.Name, p.Protocol)
		}
		number := fmt.Sprintf("%d/%s", p.ContainerPort, p.Protocol.Transport())
		switch {
		case !namePattern.MatchString(p.Name):
			return invalid("port name %q", p.Name)
		case p.ContainerPort == 0:
			return invalid("port %q has number 0", p.Name)
		case names[p.Name]:
			return invalid("port name %q occurs twice", p.Name)
		case numbers[number]:
			return invalid("port %s occurs twice", number)
		}
		names[p.Name], numbers[number] = true, true
	}
	return nil
}

func (s Spec) validateVolumes() error {
	if len(s.Volumes) > maxVolumes {
		return invalid("%d volumes, at most %d", len(s.Volumes), maxVolumes)
	}
	names := make(map[string]bool, len(s.Volumes))
	taken := ReservedPaths()
	left := s.Limits.StorageMiB
	for _, v := range s.Volumes {
		switch {
		case !namePattern.MatchString(v.Name):
			return invalid("volume name %q", v.Name)
		case names[v.Name]:
			return invalid("volume name %q occurs twice", v.Name)
		case v.SizeMiB < MinVolumeMiB || v.SizeMiB > maxStorageMiB:
			return invalid("volume %q has %d MiB, want %d to %d", v.Name, v.SizeMiB, MinVolumeMiB, maxStorageMiB)
		}
		if err := CheckMountPath(v.Path, taken); err != nil {
			return invalid("volume %q: %v", v.Name, err)
		}
		names[v.Name] = true
		taken = append(taken, v.Path)
		left -= v.SizeMiB
	}
	if left < 0 {
		return invalid("volumes need %d MiB more than the storage limit of %d MiB", -left, s.Limits.StorageMiB)
	}
	return nil
}

// ReservedPaths lists where no volume may be mounted, in a slice of its own.
func ReservedPaths() []string { return slices.Clone(reservedPaths) }

// CheckMountPath wants an absolute, clean path that neither holds nor lies in
// one that is taken: nested mounts would depend on their order.
func CheckMountPath(p string, taken []string) error {
	if len(p) > 255 || path.Clean(p) != p || !pathPattern.MatchString(p) {
		return fmt.Errorf("path %q is not absolute and clean", p)
	}
	for _, t := range taken {
		if p == t || strings.HasPrefix(p, t+"/") || strings.HasPrefix(t, p+"/") {
			return fmt.Errorf("path %q collides with %s", p, t)
		}
	}
	return nil
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalidSpec, fmt.Sprintf(format, args...))
}
