package probe

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// System is what the machine is and what runs on it.
type System struct {
	// Machine is the maker's name of the model, such as "Raspberry Pi 4 Model
	// B Rev 1.4" or "Amazon EC2 m7g.large". There is no serial number in it.
	Machine string `json:"machine,omitempty"`
	// Kernel is its release, OS the distribution's full name.
	Kernel string `json:"kernel"`
	OS     string `json:"os"`
	// Hypervisor is such as "kvm", "vmware" or "unknown"; empty on bare metal.
	Hypervisor string `json:"hypervisor,omitempty"`
	// Container is "docker", "podman", "lxc", "kubernetes" and so on; empty
	// when the worker does not run inside one.
	Container string `json:"container,omitempty"`
	// Engines are the container engines that were found. Whether one can run
	// placements is for `isun-worker doctor` to say.
	Engines []Engine `json:"engines"`
}

func (h Host) probeSystem(out *System, info cpuinfo, note notef) {
	out.Machine = h.machine()
	if out.Kernel = textOf(h.Proc, "sys/kernel/osrelease"); out.Kernel == "" {
		note("system.kernel", Absent, "it does not name its release")
	}
	if out.OS = h.osName(); out.OS == "" {
		note("system.os", Absent, "there is no os-release")
	}
	out.Hypervisor = h.hypervisor(info, out.Machine)
	out.Container = h.container()
}

// unnamed is what makers leave in who do not care.
var unnamed = []string{"to be filled by o.e.m.", "system product name", "system manufacturer", "default string", "not specified", "none"}

// machine is vendor and product by the firmware, or the device tree's model.
func (h Host) machine() string {
	var words []string
	for _, file := range []string{"sys_vendor", "product_name"} {
		text := textOf(h.Sys, "class/dmi/id", file)
		if text != "" && !slices.Contains(unnamed, strings.ToLower(text)) {
			words = append(words, text)
		}
	}
	if len(words) == 0 {
		return textOf(h.Proc, "device-tree/model")
	}
	return strings.Join(words, " ")
}

// osName is PRETTY_NAME of os-release.
func (h Host) osName() string {
	for _, path := range []string{"etc/os-release", "usr/lib/os-release"} {
		for line := range strings.SplitSeq(textOf(h.root(), path), "\n") {
			if name, ok := strings.CutPrefix(line, "PRETTY_NAME="); ok {
				return strings.Trim(name, `"'`)
			}
		}
	}
	return ""
}

// hypervisors by what the firmware calls the machine. Clouds that also rent
// bare metal say so in the product's name.
var hypervisors = []struct{ part, name string }{
	{"QEMU", "kvm"},
	{"KVM", "kvm"},
	{"VMware", "vmware"},
	{"VirtualBox", "virtualbox"},
	{"innotek", "virtualbox"},
	{"Microsoft Corporation Virtual Machine", "hyperv"},
	{"Xen", "xen"},
	{"Bochs", "bochs"},
	{"Parallels", "parallels"},
	{"BHYVE", "bhyve"},
	{"Google Compute Engine", "kvm"},
	{"Amazon EC2", "kvm"},
	{"DigitalOcean", "kvm"},
	{"OpenStack", "kvm"},
	{"Alibaba Cloud", "kvm"},
	{"Hetzner vServer", "kvm"},
	{"Apple Virtualization", "apple"},
}

// hypervisor goes by what each leaves for a guest to find: the firmware's
// name, its clock, its kind in /sys, and last the processor's flag.
func (h Host) hypervisor(info cpuinfo, machine string) string {
	clocks := textOf(h.Sys, "devices/system/clocksource/clocksource0/available_clocksource")
	guest := slices.Contains(info.flags(), "hypervisor")
	switch {
	case textOf(h.Sys, "hypervisor/type") == "xen":
		if strings.Contains(textOf(h.Proc, "xen/capabilities"), "control_d") {
			return "" // the domain that runs the others is the machine itself
		}
		return "xen"
	case strings.Contains(clocks, "kvm-clock"):
		return "kvm"
	case strings.Contains(clocks, "hyperv"):
		return "hyperv"
	}
	for _, v := range hypervisors {
		if strings.Contains(machine, v.part) && !strings.HasSuffix(machine, ".metal") && !strings.Contains(machine, ".metal-") {
			return v.name
		}
	}
	if guest || len(names(h.Sys, "bus/virtio/devices")) > 0 || exists(h.Proc, "device-tree/hypervisor") {
		return "unknown"
	}
	return ""
}

// container goes by the marks that engines leave.
func (h Host) container() string {
	mounts, _ := h.mounts() // without a list there is one mark less
	groups := textOf(h.Proc, "self/cgroup")
	mounted := func(part string) bool {
		return slices.ContainsFunc(mounts, func(m mount) bool { return strings.Contains(m.root, part) })
	}
	switch {
	case strings.Contains(groups, "/kubepods") || exists(h.root(), "var/run/secrets/kubernetes.io") || mounted("/kubelet/pods/"):
		return "kubernetes"
	case strings.Contains(groups, "/docker/") || mounted("/docker/containers/"):
		return "docker"
	case exists(h.root(), ".dockerenv") && !onDisk(mounts): // virtual disks made of images have it too
		return "docker"
	case exists(h.root(), "run/.containerenv") || strings.Contains(groups, "/libpod"):
		return "podman"
	}
	if named := textOf(h.root(), "run/systemd/container"); named != "" {
		return named
	}
	if strings.Contains(groups, "/lxc/") || strings.Contains(groups, "/lxc.payload") || h.startedAs("lxc") ||
		slices.ContainsFunc(mounts, func(m mount) bool { return m.fsType == "fuse.lxcfs" }) {
		return "lxc"
	}
	if strings.Contains(strings.ToLower(textOf(h.Proc, "sys/kernel/osrelease")), "microsoft") {
		return "wsl"
	}
	return ""
}

// onDisk says that the root file system is a block device's.
func onDisk(mounts []mount) bool {
	root, ok := mountOf(mounts, "/")
	return ok && strings.HasPrefix(root.source, "/dev/")
}

// startedAs looks at the variable that engines give a container's first
// process, if this one may see it.
func (h Host) startedAs(name string) bool {
	raw, _ := os.ReadFile(filepath.Join(h.Proc, "1/environ")) // root alone may
	return slices.Contains(strings.Split(string(raw), "\x00"), "container="+name)
}
