package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/docker/docker/client"
	"github.com/spf13/cobra"

	"github.com/isuncoin/isuncoin/client/format"
	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/bench"
	workerconfig "github.com/isuncoin/isuncoin/worker/config"
	"github.com/isuncoin/isuncoin/worker/images"
	"github.com/isuncoin/isuncoin/worker/runtime"
	"github.com/isuncoin/isuncoin/worker/runtime/docker"
	"github.com/isuncoin/isuncoin/worker/sizing"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

const (
	// Containers that run makes belong to this chain and node, which no real
	// one can have. The number of the lease is the process that made it.
	runChain  = "isun-run"
	runNode   = "here"
	runTenant = "here"
	// runUndo bounds removing the container after Ctrl-C, beyond its grace.
	runUndo = 30 * time.Second
	// referencePoints are what a thread has on a machine that was not measured.
	referencePoints = 1000
)

// runFlags are those of uai run.
type runFlags struct {
	which, suns  string
	env, args    []string
	publishHosts string
}

// running is what uai run prints as JSON when the container runs.
type running struct {
	Digest    string          `json:"digest"`
	Container string          `json:"container"`
	MilliSuns uint64          `json:"milli_suns"`
	Limits    runningLimits   `json:"limits"`
	Ports     []runningPort   `json:"ports"`
	Volumes   []runningVolume `json:"volumes"`
}

type runningLimits struct {
	MilliCPU      int64 `json:"milli_cpu"`
	MemoryMiB     int64 `json:"memory_mib"`
	StorageMiB    int64 `json:"storage_mib"`
	BandwidthMbps int64 `json:"bandwidth_mbps"`
	Pids          int64 `json:"pids"`
}

type runningPort struct {
	Name          string `json:"name"`
	Protocol      string `json:"protocol"`
	Address       string `json:"address"`
	ContainerPort uint32 `json:"container_port"`
}

type runningVolume struct {
	Name    string `json:"name"`
	Path    string `json:"path"`
	SizeMiB uint64 `json:"size_mib"`
}

func (c *commands) uaiRun() *cobra.Command {
	f := &runFlags{}
	cmd := &cobra.Command{
		Use:   "run IMAGE",
		Short: "Run an image here, under the limits that a node would set",
		Long: `Run an image in this machine's container engine under the limits that a node would set:
processor, memory, storage, bandwidth, no rights, a network of its own. It ends at
Ctrl-C or by itself, and nothing of it stays. As root all limits hold; without, storage
is memory.`,
		Example: `  isun uai run site.tar
  isun uai run hello:1 --suns 0.5 --env GREETING=hi`,
		Args:              exactArgs("IMAGE"),
		RunE:              func(cmd *cobra.Command, args []string) error { return c.runImage(cmd.Context(), f, args[0]) },
		ValidArgsFunction: c.completeLocal,
	}
	addWhich(cmd, &f.which)
	flags := cmd.Flags()
	flags.StringVar(&f.suns, "suns", "", "SUNS of general resources (default: what the image needs, or 1)")
	flags.StringArrayVarP(&f.env, "env", "e", nil, "an environment variable, NAME=VALUE")
	flags.StringArrayVar(&f.args, "arg", nil, "an argument in place of the image's; repeat it for each")
	flags.StringVar(&f.publishHosts, "address", docker.DefaultHostIP, "address of this machine that the ports are on")
	return cmd
}

// hereRun is one run of an image.
type hereRun struct {
	*commands
	api     *client.Client
	runtime *docker.Runtime
	id      runtime.ID
	tag     string
	grace   time.Duration
}

func (c *commands) runImage(ctx context.Context, f *runFlags, ref string) (err error) {
	found, err := c.locate(ref, f.which)
	if err != nil {
		return err
	}
	defer found.Close()
	variant, err := found.image.Select(uai.HostPlatform())
	if err != nil {
		return err
	}
	spec, milliSuns, err := hereSpec(f, found.image, variant)
	if err != nil {
		return err
	}
	r := &hereRun{commands: c, id: spec.ID, grace: spec.StopGrace}
	if err := r.open(ctx, f); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	if spec.Image, err = r.load(ctx, found.image, variant); err != nil {
		return err
	}
	state, err := r.runtime.Ensure(ctx, spec)
	if err != nil {
		return fmt.Errorf("start %s: %w", found.image.Digest, err)
	}
	if err := r.announce(found.image, spec, state, milliSuns); err != nil {
		return err
	}
	return r.follow(ctx)
}

// hereSpec is what a node would make of a lease of the image.
func hereSpec(f *runFlags, image *uai.Image, variant *uai.Variant) (runtime.Spec, uint64, error) {
	config := image.Config
	if config == nil {
		config = &uai.Config{}
		var exposed []string
		for port := range variant.Settings.Config.ExposedPorts {
			exposed = append(exposed, port)
		}
		suggestPorts(config, exposed)
	}
	milliSuns := config.Demand.GeneralMilliSuns
	if f.suns != "" {
		var err error
		if milliSuns, err = format.ParseSUNS(f.suns); err != nil {
			return runtime.Spec{}, 0, fmt.Errorf("--suns: %w", err)
		}
	}
	if milliSuns == 0 {
		milliSuns = 1000
	}
	limits, err := sizing.Limits(sunstypes.DefaultParams().Bundle, milliSuns, measured())
	if err != nil {
		return runtime.Spec{}, 0, err
	}
	if err := checkRoom(config.Volumes, limits, milliSuns); err != nil {
		return runtime.Spec{}, 0, fmt.Errorf("%w; --suns says more", err)
	}
	spec := runtime.Spec{
		ID:   runtime.ID{Chain: runChain, Node: runNode, Lease: runTenant + "/" + strconv.Itoa(os.Getpid()), Generation: 1},
		Args: f.args, Env: f.env, Limits: limits, Image: "pending", StopGrace: runtime.DefaultStopGrace,
	}
	for _, p := range config.Ports {
		spec.Ports = append(spec.Ports, runtime.Port{Name: p.Name, Protocol: runtime.Protocol(p.Protocol), ContainerPort: uint16(p.ContainerPort)})
	}
	for _, v := range config.Volumes {
		spec.Volumes = append(spec.Volumes, runtime.Volume{Name: v.Name, Path: v.Path, SizeMiB: int64(v.SizeMiB)})
	}
	if config.Stop != nil {
		spec.StopSignal = config.Stop.Signal
		if config.Stop.GraceSeconds > 0 {
			spec.StopGrace = time.Duration(config.Stop.GraceSeconds) * time.Second
		}
	}
	return spec, milliSuns, errors.Join(checkVariables(config, f.env), spec.Validate())
}

// checkRoom wants storage for the volumes; no node would start them otherwise.
func checkRoom(volumes []uai.Volume, limits runtime.Limits, milliSuns uint64) error {
	var needed uint64
	for _, v := range volumes {
		needed += v.SizeMiB
	}
	if storage := uint64(limits.StorageMiB); needed > storage {
		return fmt.Errorf("its volumes need %s, and %s SUNS have %s of storage", format.Bytes(needed<<20), format.SUNS(milliSuns), format.Bytes(storage<<20))
	}
	return nil
}

// checkVariables refuses to start what would not start on a node either.
func checkVariables(config *uai.Config, env []string) error {
	for _, v := range config.Environment {
		if v.Required && !slices.ContainsFunc(env, func(set string) bool { return strings.HasPrefix(set, v.Name+"=") }) {
			return fmt.Errorf("the image needs the variable %s: say --env %s=…", v.Name, v.Name)
		}
	}
	return nil
}

// measured is what isun-worker found out about this machine, or else a
// machine of reference cores.
func measured() sizing.Machine {
	report, err := bench.Load(workerconfig.DefaultHome().Report())
	if err != nil || !report.Complete() {
		return sizing.Machine{PointsPerThread: referencePoints}
	}
	return sizing.Machine{PointsPerThread: report.PointsPerThread(), Threads: report.Host.CPU.Usable}
}

// open connects to the engine and removes what a run that was killed left.
func (r *hereRun) open(ctx context.Context, f *runFlags) (err error) {
	r.api, err = client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return fmt.Errorf("container engine: %w", err)
	}
	r.runtime, err = docker.New(ctx, docker.Config{
		Chain: runChain, Node: runNode, StateDir: filepath.Join(r.flags.home, "run"), HostIP: f.publishHosts,
	})
	if err != nil {
		return errors.Join(fmt.Errorf("%w; is Docker running, and may this user talk to it?", err), r.api.Close())
	}
	states, err := r.runtime.List(ctx)
	for _, state := range states {
		_, pid, splitErr := runtime.SplitLease(state.ID.Lease)
		if splitErr == nil && !isAlive(int(pid)) {
			err = errors.Join(err, r.runtime.Remove(ctx, state.ID, 0))
		}
	}
	if err != nil {
		return errors.Join(err, r.runtime.Close(), r.api.Close())
	}
	return nil
}

func isAlive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

// close removes the container with its volumes and network, and the name that
// the image had in the engine.
func (r *hereRun) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), r.grace+runUndo)
	defer cancel()
	err := r.runtime.Remove(ctx, r.id, -1)
	if r.tag != "" {
		// Another run of the same image may have it.
		_ = images.Docker(r.api).RemoveTag(ctx, r.tag)
	}
	return errors.Join(err, r.runtime.Close(), r.api.Close())
}

// load gives the engine the image and returns its id there, which names the
// content and not what somebody may have tagged.
func (r *hereRun) load(ctx context.Context, image *uai.Image, variant *uai.Variant) (string, error) {
	engine := images.Docker(r.api)
	r.tag = fmt.Sprintf("isun-run:%d", os.Getpid())
	bar := r.transferBar("loading")
	defer bar.clear()
	reader, writer := io.Pipe()
	go func() { writer.CloseWithError(variant.WriteArchive(ctx, writer, []string{r.tag}, bar.set)) }()
	if err := errors.Join(engine.Load(ctx, reader), reader.Close()); err != nil {
		return "", fmt.Errorf("load %s: %w", image.Digest, err)
	}
	loaded, err := engine.ImageInspect(ctx, r.tag)
	if err != nil {
		return "", fmt.Errorf("load %s: %w", image.Digest, err)
	}
	return loaded.ID, nil
}

// announce says where the image can be reached.
func (r *hereRun) announce(image *uai.Image, spec runtime.Spec, state runtime.State, milliSuns uint64) error {
	l := spec.Limits
	shown := running{
		Digest: image.Digest.String(), Container: state.ContainerID, MilliSuns: milliSuns, Limits: runningLimits(l),
		Ports: []runningPort{}, Volumes: []runningVolume{},
	}
	for _, e := range state.Endpoints {
		shown.Ports = append(shown.Ports, runningPort{
			Name: e.Name, Protocol: string(e.Protocol), Address: fmt.Sprintf("%s:%d", e.HostIP, e.HostPort), ContainerPort: uint32(e.ContainerPort),
		})
	}
	for _, v := range spec.Volumes {
		shown.Volumes = append(shown.Volumes, runningVolume{Name: v.Name, Path: v.Path, SizeMiB: uint64(v.SizeMiB)})
	}
	return r.print(shown, func() error {
		err := r.say("%s runs with %s SUNS: %.2f cores, %s, %s of storage, %d Mbit/s; Ctrl-C ends it", shown.Digest, format.SUNS(milliSuns),
			float64(l.MilliCPU)/1000, format.Bytes(uint64(l.MemoryMiB)<<20), format.Bytes(uint64(l.StorageMiB)<<20), l.BandwidthMbps)
		width := 0
		for _, p := range shown.Ports {
			width = max(width, len(p.Name))
		}
		for _, p := range shown.Ports {
			address := p.Address
			if p.Protocol == "http" {
				address = "http://" + address + "/"
			}
			err = errors.Join(err, r.say("port %-*s  %s", width, p.Name, address))
		}
		return err
	})
}

// follow shows what it writes until it ends. For a program that reads JSON
// that goes to the standard error.
func (r *hereRun) follow(ctx context.Context) error {
	logs, err := r.runtime.Logs(ctx, r.id, runtime.LogOptions{Follow: true})
	if err != nil {
		return err
	}
	defer logs.Close()
	out := r.streams.Out
	if r.json() {
		out = r.streams.Err
	}
	if _, err := io.Copy(out, logs); err != nil && ctx.Err() == nil {
		return fmt.Errorf("read what it writes: %w", err)
	}
	if ctx.Err() != nil {
		fmt.Fprintf(r.streams.Err, "isun: ending it; it has %s to finish\n", r.grace)
		return errInterrupted
	}
	state, err := r.runtime.Inspect(ctx, r.id)
	switch {
	case err != nil:
		return err
	case state.OOMKilled:
		return errors.New("it was ended for want of memory: it needs more SUNS")
	case state.ExitCode != 0:
		return fmt.Errorf("it ended with code %d", state.ExitCode)
	}
	return nil
}
