package docker

import (
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"syscall"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"

	"github.com/isuncoin/isuncoin/worker/runtime"
)

// Labels of containers beyond those of package runtime: what List must say and
// the engine does not keep.
const (
	labelPorts     = "isun.ports"     // JSON of the spec's ports
	labelStorage   = "isun.storage"   // storage limit in MiB
	labelBandwidth = "isun.bandwidth" // bandwidth limit in Mbit/s
)

const (
	mib = 1 << 20
	// nofileMost is what servers expect; the engine's own default, a million,
	// makes programs that loop over all descriptors crawl.
	nofileMost = 65536
	// oomScoreAdj makes the kernel take a tenant's process before the host's.
	oomScoreAdj = 500
	shmBytes    = 64 * mib
	// logFiles: the engine drops the older half of a log when it is full.
	logFiles = 2
)

// containerConfig is the part of the container that the image also has a say
// in. The engine fills what is empty from the image.
func (r *Runtime) containerConfig(spec runtime.Spec, imageID string) *container.Config {
	grace := stopSeconds(spec)
	cfg := &container.Config{
		Hostname:     hostname(spec),
		User:         spec.User,
		Env:          r.environment(spec),
		Cmd:          spec.Args,
		Image:        imageID,
		StopSignal:   spec.StopSignal,
		StopTimeout:  &grace,
		ExposedPorts: nat.PortSet{},
		Labels:       containerLabels(spec),
		// An image's own check would run commands inside the placement at a
		// pace its author chose; health is the worker's to ask.
		Healthcheck: &container.HealthConfig{Test: []string{"NONE"}},
	}
	for _, p := range spec.Ports {
		cfg.ExposedPorts[natPort(p)] = struct{}{}
	}
	return cfg
}

func containerLabels(spec runtime.Spec) map[string]string {
	labels := maps.Clone(spec.ID.Labels())
	ports, err := json.Marshal(spec.Ports)
	if err != nil { // plain values always marshal
		panic(err)
	}
	labels[runtime.LabelSpec] = spec.Digest()
	labels[labelPorts] = string(ports)
	labels[labelStorage] = strconv.FormatInt(spec.Limits.StorageMiB, 10)
	labels[labelBandwidth] = strconv.FormatInt(spec.Limits.BandwidthMbps, 10)
	return labels
}

// hostConfig is the part that fences the container in. Nothing in it comes
// from the image.
func (r *Runtime) hostConfig(spec runtime.Spec, areas writable, ports map[string]uint16) *container.HostConfig {
	useInit := r.engine.InitBinary != ""
	host := &container.HostConfig{
		NetworkMode:   container.NetworkMode(objectName(spec.ID)),
		PortBindings:  nat.PortMap{},
		RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyDisabled},
		LogConfig: container.LogConfig{
			Type: "json-file",
			Config: map[string]string{
				"max-size": strconv.FormatInt(spec.LogMiB()*mib/logFiles, 10),
				"max-file": strconv.Itoa(logFiles),
			},
		},
		CapDrop:        []string{"ALL"},
		SecurityOpt:    []string{"no-new-privileges"},
		DNS:            r.cfg.DNS,
		DNSSearch:      []string{"."}, // none of the host's own
		IpcMode:        container.IPCModePrivate,
		OomScoreAdj:    oomScoreAdj,
		ReadonlyRootfs: areas.rootMiB == 0,
		ShmSize:        shmBytes,
		Runtime:        spec.Runtime,
		Mounts:         areas.mounts,
		Init:           &useInit,
		Resources:      r.resources(spec.Limits),
	}
	if areas.rootMiB > 0 {
		host.StorageOpt = map[string]string{"size": strconv.FormatInt(areas.rootMiB, 10) + "m"}
	}
	files := nofileLimit()
	host.Ulimits = []*container.Ulimit{
		{Name: "nofile", Soft: files, Hard: files},
		{Name: "core", Soft: 0, Hard: 0},
	}
	for _, p := range spec.Ports {
		host.PortBindings[natPort(p)] = []nat.PortBinding{{
			HostIP: r.cfg.HostIP, HostPort: strconv.Itoa(int(ports[p.Name])),
		}}
	}
	return host
}

// resources are the limits that Resize may change too. Memory and swap go
// together: with equal figures there is no swap.
func (r *Runtime) resources(limits runtime.Limits) container.Resources {
	pids := limits.Pids
	if pids == 0 {
		pids = runtime.DefaultPids
	}
	// The engine refuses more cores than there are; a lease may hold more by
	// the rounding of SUNS.
	nano := min(limits.MilliCPU*1_000_000, int64(r.engine.NCPU)*1_000_000_000)
	resources := container.Resources{
		Memory: limits.MemoryMiB * mib, MemorySwap: limits.MemoryMiB * mib,
		NanoCPUs: nano, CPUShares: cpuShares(limits.MilliCPU), PidsLimit: &pids,
	}
	if r.engine.CgroupVersion == "1" {
		// Version 2 knows no swappiness, and needs none.
		never := int64(0)
		resources.MemorySwappiness = &never
	}
	return resources
}

const (
	// sharesPerCore is the engine's default for any container.
	sharesPerCore = 1024
	minShares     = 2 // the kernel's own bounds
	maxShares     = 1 << 18
)

// cpuShares divides processors by what was paid for while the owner's own
// programs want more than the machine's rest: with equal shares a large
// placement would lose most.
func cpuShares(milliCPU int64) int64 {
	return min(max(milliCPU*sharesPerCore/1000, minShares), maxShares)
}

// nofileLimit stays within this process's own limit: inside a container or a
// virtual machine without CAP_SYS_RESOURCE the engine has the same one, and
// could not start anything with more.
func nofileLimit() int64 {
	var own syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &own); err != nil || own.Max > nofileMost {
		return nofileMost
	}
	return int64(own.Max)
}

func networkingConfig(spec runtime.Spec) *network.NetworkingConfig {
	return &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{
		objectName(spec.ID): {},
	}}
}

// objectPrefix begins the names of all that is a placement's.
const objectPrefix = "isun-"

// objectName names the placement's container and its network.
func objectName(id runtime.ID) string { return objectPrefix + id.Key() }

// hostname is what the placement calls itself.
func hostname(spec runtime.Spec) string { return fmt.Sprintf("replica-%d", spec.ID.Replica) }

func natPort(p runtime.Port) nat.Port {
	return nat.Port(fmt.Sprintf("%d/%s", p.ContainerPort, p.Protocol.Transport()))
}

func stopSeconds(spec runtime.Spec) int {
	grace := spec.StopGrace
	if grace == 0 {
		grace = runtime.DefaultStopGrace
	}
	return wholeSeconds(grace)
}
