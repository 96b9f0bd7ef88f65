package types

import (
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

const (
	// MaxPorts bounds the ports of an image: each is a published port on the node of every replica.
	MaxPorts = 16
	// MaxPortNumber is the highest port of TCP and UDP.
	MaxPortNumber = 65535
	// MaxVolumes bounds the volumes of an image: each is a mount on the node of every replica.
	MaxVolumes = 8
	// MaxLabelLength bounds the names of ports and volumes, as DNS labels are bounded.
	MaxLabelLength = 63
	// MaxPathLength bounds the paths of volumes and health checks.
	MaxPathLength = 256
	// MaxVolumeMiB is 16 TiB, the largest file of ext4: beyond it no worker could make the volume.
	MaxVolumeMiB uint64 = 16 << 20

	// MaxCommandArgs bounds the words of a health check's command, which runs every few seconds.
	MaxCommandArgs = 32
	// MaxCommandBytes bounds all its words together.
	MaxCommandBytes = 4096
	// MaxHealthInterval is an hour, in seconds: a rarer check would outlast a billing period.
	MaxHealthInterval uint32 = 3600
	// MaxHealthRetries bounds how many failures in a row are still healthy.
	MaxHealthRetries uint32 = 100
	// MaxHealthStartPeriod is a day, in seconds: time enough to load any model.
	MaxHealthStartPeriod uint32 = 86_400
)

// Protocols of ports.
const (
	ProtocolHTTP = "http"
	ProtocolTCP  = "tcp"
	ProtocolUDP  = "udp"
)

// Kinds of health checks.
const (
	HealthHTTP = "http"
	HealthTCP  = "tcp"
	HealthExec = "exec"
)

// Classes of volumes. An empty class is persistent.
const (
	VolumePersistent = "persistent"
	VolumeScratch    = "scratch"
)

// Persistent says whether snapshots hold the volume, and another node restores it.
func (v Volume) Persistent() bool { return v.Class != VolumeScratch }

// reservedPaths belong to the container runtime: a volume over one of them would undo its isolation.
var reservedPaths = []string{"/proc", "/sys", "/dev"}

func validateDemand(demand sunstypes.Demand) error {
	if err := demand.Validate(); err != nil {
		return ErrInvalidImage.Wrapf("demand: %s", err)
	}
	return nil
}

func validatePorts(ports []Port) error {
	if len(ports) > MaxPorts {
		return ErrInvalidImage.Wrapf("%d ports, above %d", len(ports), MaxPorts)
	}
	type socket struct {
		udp    bool
		number uint32
	}
	var names []string
	var sockets []socket
	for _, port := range ports {
		if !isLabel(port.Name) || slices.Contains(names, port.Name) {
			return ErrInvalidImage.Wrapf("port name %.100q is not a label of its own (a-z, 0-9 and '-', up to %d)",
				port.Name, MaxLabelLength)
		}
		if port.Protocol != ProtocolHTTP && port.Protocol != ProtocolTCP && port.Protocol != ProtocolUDP {
			return ErrInvalidImage.Wrapf("port %s: protocol %.100q is not http, tcp or udp", port.Name, port.Protocol)
		}
		if port.ContainerPort == 0 || port.ContainerPort > MaxPortNumber {
			return ErrInvalidImage.Wrapf("port %s: container_port %d is not in 1..%d", port.Name, port.ContainerPort, MaxPortNumber)
		}
		at := socket{udp: port.Protocol == ProtocolUDP, number: port.ContainerPort}
		if slices.Contains(sockets, at) {
			return ErrInvalidImage.Wrapf("port %s: container_port %d is there twice", port.Name, port.ContainerPort)
		}
		names, sockets = append(names, port.Name), append(sockets, at)
	}
	return nil
}

// validate holds a health check to what its kind means; no check is valid too.
func (h *HealthCheck) validate(ports []Port) error {
	if h == nil {
		return nil
	}
	if err := h.validateTimes(); err != nil {
		return err
	}
	switch h.Kind {
	case HealthHTTP:
		return firstError(h.validatePort(ports), h.validatePath(), h.validateNoCommand())
	case HealthTCP:
		if h.Path != "" {
			return ErrInvalidImage.Wrap("health: a tcp check has no path")
		}
		return firstError(h.validatePort(ports), h.validateNoCommand())
	case HealthExec:
		if h.Port != "" || h.Path != "" {
			return ErrInvalidImage.Wrap("health: an exec check has neither port nor path")
		}
		return h.validateCommand()
	default:
		return ErrInvalidImage.Wrapf("health: kind %.100q is not http, tcp or exec", h.Kind)
	}
}

func (h *HealthCheck) validateTimes() error {
	if h.IntervalSeconds == 0 || h.IntervalSeconds > MaxHealthInterval {
		return ErrInvalidImage.Wrapf("health: interval_seconds %d is not in 1..%d", h.IntervalSeconds, MaxHealthInterval)
	}
	if h.TimeoutSeconds == 0 || h.TimeoutSeconds > h.IntervalSeconds {
		return ErrInvalidImage.Wrapf("health: timeout_seconds %d is not in 1..%d, the interval", h.TimeoutSeconds, h.IntervalSeconds)
	}
	if h.Retries == 0 || h.Retries > MaxHealthRetries {
		return ErrInvalidImage.Wrapf("health: retries %d is not in 1..%d", h.Retries, MaxHealthRetries)
	}
	if h.StartPeriodSeconds > MaxHealthStartPeriod {
		return ErrInvalidImage.Wrapf("health: start_period_seconds %d is above %d", h.StartPeriodSeconds, MaxHealthStartPeriod)
	}
	return nil
}

func (h *HealthCheck) validatePort(ports []Port) error {
	for _, port := range ports {
		if port.Name != h.Port {
			continue
		}
		if port.Protocol == ProtocolUDP {
			return ErrInvalidImage.Wrapf("health: port %s is udp, which cannot be asked", h.Port)
		}
		return nil
	}
	return ErrInvalidImage.Wrapf("health: the image has no port %.100q", h.Port)
}

func (h *HealthCheck) validatePath() error {
	if len(h.Path) > MaxPathLength || !strings.HasPrefix(h.Path, "/") {
		return ErrInvalidImage.Wrapf("health: path %.300q does not begin with / or has more than %d characters", h.Path, MaxPathLength)
	}
	for _, c := range []byte(h.Path) {
		if c <= ' ' || c > '~' {
			return ErrInvalidImage.Wrapf("health: path %q holds a character that must be escaped", h.Path)
		}
	}
	return nil
}

func (h *HealthCheck) validateNoCommand() error {
	if len(h.Command) > 0 {
		return ErrInvalidImage.Wrapf("health: a %s check has no command", h.Kind)
	}
	return nil
}

func (h *HealthCheck) validateCommand() error {
	if len(h.Command) == 0 || len(h.Command) > MaxCommandArgs || h.Command[0] == "" {
		return ErrInvalidImage.Wrapf("health: command has %d words, not 1..%d, or no program", len(h.Command), MaxCommandArgs)
	}
	size := 0
	for _, arg := range h.Command {
		size += len(arg)
		if !utf8.ValidString(arg) || strings.ContainsRune(arg, 0) {
			return ErrInvalidImage.Wrapf("health: word %.100q of the command is not text", arg)
		}
	}
	if size > MaxCommandBytes {
		return ErrInvalidImage.Wrapf("health: command has %d bytes, above %d", size, MaxCommandBytes)
	}
	return nil
}

func validateVolumes(volumes []Volume) error {
	if len(volumes) > MaxVolumes {
		return ErrInvalidImage.Wrapf("%d volumes, above %d", len(volumes), MaxVolumes)
	}
	var names, paths []string
	for _, volume := range volumes {
		if !isLabel(volume.Name) || slices.Contains(names, volume.Name) {
			return ErrInvalidImage.Wrapf("volume name %.100q is not a label of its own (a-z, 0-9 and '-', up to %d)",
				volume.Name, MaxLabelLength)
		}
		if err := validateVolumePath(volume.Path); err != nil {
			return err
		}
		if slices.Contains(paths, volume.Path) {
			return ErrInvalidImage.Wrapf("volume %s: path %s is there twice", volume.Name, volume.Path)
		}
		if volume.SizeMiB == 0 || volume.SizeMiB > MaxVolumeMiB {
			return ErrInvalidImage.Wrapf("volume %s: size_mib %d is not in 1..%d", volume.Name, volume.SizeMiB, MaxVolumeMiB)
		}
		if volume.Class != "" && volume.Class != VolumePersistent && volume.Class != VolumeScratch {
			return ErrInvalidImage.Wrapf("volume %s: class %.100q is not %s or %s",
				volume.Name, volume.Class, VolumePersistent, VolumeScratch)
		}
		names, paths = append(names, volume.Name), append(paths, volume.Path)
	}
	return nil
}

// validateVolumePath takes clean absolute paths of plain letters: what a container engine reads in one way only.
func validateVolumePath(p string) error {
	if len(p) < 2 || len(p) > MaxPathLength || p[0] != '/' || path.Clean(p) != p {
		return ErrInvalidImage.Wrapf("volume path %.300q is not a clean absolute path of up to %d characters", p, MaxPathLength)
	}
	for _, c := range []byte(p) {
		if !isAlphanumeric(c) && !strings.ContainsRune("/._-@+", rune(c)) {
			return ErrInvalidImage.Wrapf("volume path %q holds something else than letters, digits and / . _ - @ +", p)
		}
	}
	for _, reserved := range reservedPaths {
		if p == reserved || strings.HasPrefix(p, reserved+"/") {
			return ErrInvalidImage.Wrapf("volume path %s lies in %s, which belongs to the runtime", p, reserved)
		}
	}
	return nil
}

// isLabel says whether s is a DNS label in lower case.
func isLabel(s string) bool {
	if s == "" || len(s) > MaxLabelLength || !isLowerAlphanumeric(s[0]) || !isLowerAlphanumeric(s[len(s)-1]) {
		return false
	}
	for _, c := range []byte(s) {
		if !isLowerAlphanumeric(c) && c != '-' {
			return false
		}
	}
	return true
}
