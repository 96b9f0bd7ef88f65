// Package docker implements runtime.Runtime on a Docker engine, API 1.41 (20.10)
// or newer.
//
// One placement is one container, one bridge network of its own and one folder
// of the state directory, which holds its disk images. All of them are found
// again by labels or by the placement's key, so nothing is kept in memory that
// a restarted worker would miss.
package docker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/client"

	"github.com/isuncoin/isuncoin/worker/runtime"
)

// Defaults of Config.
const (
	DefaultHostIP       = "127.0.0.1"
	DefaultBridgePrefix = "isun"
	// The node-port range of the field, below the kernel's ephemeral ports, so
	// that no outgoing connection takes a port while its placement restarts.
	DefaultPortFirst uint16 = 30000
	DefaultPortLast  uint16 = 32767

	// cleanupTimeout bounds undoing a failed creation, which must go on when
	// the caller's own deadline is what made it fail.
	cleanupTimeout = 30 * time.Second
)

// DefaultSubnets is divided among the placements' networks. The engine's own
// pools hold about thirty networks, too few for one machine's leases.
var DefaultSubnets = netip.MustParsePrefix("10.213.0.0/16")

// DefaultDNS are public resolvers: one in the host's LAN is out of a
// placement's reach.
var DefaultDNS = []string{"1.1.1.1", "8.8.8.8"}

// Config says which engine to use and for whom.
type Config struct {
	// Host is the engine's address; empty means DOCKER_HOST or the default
	// socket.
	Host string
	// Chain and Node bind the runtime: it sees nothing else.
	Chain, Node string
	// StateDir holds the disk images of this node's placements. It must be on
	// a file system that the engine sees under the same path.
	StateDir string
	// HostIP is the address ports are published on; empty is DefaultHostIP.
	HostIP string
	// PortFirst and PortLast bound the host ports; zero means the defaults.
	PortFirst, PortLast uint16
	// DNS lists resolvers for placements; empty means DefaultDNS.
	DNS []string
	// Subnets is cut into one small network per placement; the zero value
	// means DefaultSubnets.
	Subnets netip.Prefix
	// BridgePrefix begins the name of every bridge, at most 4 letters; the
	// firewall of package netguard knows our bridges by it. Empty is
	// DefaultBridgePrefix.
	BridgePrefix string
	// Storage forces a kind of disk limit; empty means the best that works.
	Storage runtime.Storage
	// Proc and Sys are where the kernel shows itself; empty is /proc and /sys.
	Proc, Sys string
	// Logger is told what was cleaned up; nil discards.
	Logger *slog.Logger
}

// Runtime is a runtime.Runtime on a Docker engine.
type Runtime struct {
	cfg     Config
	api     *client.Client
	log     *slog.Logger
	storage storage
	engine  system.Info
	// unshapable says why bandwidth cannot be limited here; nil if it can.
	unshapable error
	// locks orders calls that change one placement.
	locks keyedMutex
	looks looks
	// lock is held by the first process of this chain and node, else nil.
	lock *os.File
}

var _ runtime.Runtime = (*Runtime)(nil)

// New connects, finds out how storage can be limited, and, if no other process
// has the same chain and node open, removes what an earlier one left half made.
// ErrUnavailable if no engine answers.
func New(ctx context.Context, cfg Config) (*Runtime, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	opts := []client.Opt{client.FromEnv, client.WithAPIVersionNegotiation()}
	if cfg.Host != "" {
		opts = append(opts, client.WithHost(cfg.Host))
	}
	api, err := client.NewClientWithOpts(opts...)
	if err != nil {
		return nil, fmt.Errorf("docker client: %w", err)
	}
	r := &Runtime{cfg: cfg, api: api, log: cfg.Logger}
	if err := r.open(ctx); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *Runtime) open(ctx context.Context) (err error) {
	if r.engine, err = r.api.Info(ctx); err != nil {
		return engineError("info", err)
	}
	if r.storage, err = r.openStorage(ctx); err != nil {
		return err
	}
	if r.unshapable = probeShaping(ctx); r.unshapable != nil {
		r.log.Warn("bandwidth is not limited", "error", r.unshapable)
	}
	return r.sweep(ctx)
}

func (c *Config) setDefaults() error {
	probe := runtime.ID{Chain: c.Chain, Node: c.Node, Lease: "probe/1"}
	if err := probe.Validate(); err != nil {
		return fmt.Errorf("docker runtime: %w", err)
	}
	if c.StateDir == "" {
		return errors.New("docker runtime: no state directory")
	}
	abs, err := filepath.Abs(c.StateDir)
	if err != nil {
		return fmt.Errorf("docker runtime: state directory: %w", err)
	}
	c.StateDir = abs
	if err := os.MkdirAll(c.StateDir, 0o700); err != nil {
		return fmt.Errorf("docker runtime: %w", err)
	}
	setDefault(&c.HostIP, DefaultHostIP)
	setDefault(&c.BridgePrefix, DefaultBridgePrefix)
	setDefault(&c.PortFirst, DefaultPortFirst)
	setDefault(&c.PortLast, DefaultPortLast)
	setDefault(&c.Subnets, DefaultSubnets)
	setDefault(&c.Proc, "/proc")
	setDefault(&c.Sys, "/sys")
	if len(c.DNS) == 0 {
		c.DNS = DefaultDNS
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c.check()
}

func (c *Config) check() error {
	if _, err := netip.ParseAddr(c.HostIP); err != nil {
		return fmt.Errorf("docker runtime: host address: %w", err)
	}
	for _, server := range c.DNS {
		if _, err := netip.ParseAddr(server); err != nil {
			return fmt.Errorf("docker runtime: resolver: %w", err)
		}
	}
	switch {
	case len(c.BridgePrefix) > 4:
		return fmt.Errorf("docker runtime: bridge prefix %q is longer than 4", c.BridgePrefix)
	case c.PortLast < c.PortFirst:
		return fmt.Errorf("docker runtime: port range %d to %d is empty", c.PortFirst, c.PortLast)
	case !c.Subnets.Addr().Is4() || c.Subnets.Bits() > subnetBits:
		return fmt.Errorf("docker runtime: subnets %s hold no IPv4 /%d", c.Subnets, subnetBits)
	}
	return nil
}

func setDefault[T comparable](value *T, otherwise T) {
	var zero T
	if *value == zero {
		*value = otherwise
	}
}

// Close implements runtime.Runtime.
func (r *Runtime) Close() error {
	if r.lock == nil {
		return r.api.Close()
	}
	return errors.Join(r.lock.Close(), r.api.Close())
}

// Info implements runtime.Runtime.
func (r *Runtime) Info(ctx context.Context) (runtime.Info, error) {
	info, err := r.api.Info(ctx)
	if err != nil {
		return runtime.Info{}, engineError("info", err)
	}
	names := make([]string, 0, len(info.Runtimes))
	for name := range info.Runtimes {
		names = append(names, name)
	}
	slices.Sort(names)
	return runtime.Info{
		Engine: "docker", Version: info.ServerVersion, APIVersion: r.api.ClientVersion(),
		CgroupVersion: info.CgroupVersion, Storage: r.storage.kind(), Runtimes: names,
		RootDir: info.DockerRootDir, CPUs: info.NCPU, MemoryMiB: info.MemTotal >> 20,
		Bounds: r.facts(info).bounds(),
	}, nil
}

// HasImage implements runtime.Runtime.
func (r *Runtime) HasImage(ctx context.Context, image string) (bool, error) {
	_, err := r.api.ImageInspect(ctx, image)
	if cerrdefs.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, engineError("inspect image", err)
	}
	return true, nil
}

// owns refuses ids of another chain or node before the engine hears of them.
func (r *Runtime) owns(id runtime.ID) error {
	if id.Chain != r.cfg.Chain || id.Node != r.cfg.Node {
		return fmt.Errorf("%w: %s on node %s of %s", runtime.ErrForeign, id, id.Node, id.Chain)
	}
	return id.Validate()
}

// engineError says what was tried, and turns what callers decide by into the
// sentinels of package runtime.
func engineError(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("docker %s: %w", what, err)
	case client.IsErrConnectionFailed(err), isDialError(err):
		return fmt.Errorf("%w: docker %s: %w", runtime.ErrUnavailable, what, err)
	case cerrdefs.IsNotFound(err):
		return fmt.Errorf("%w: docker %s: %w", runtime.ErrNotFound, what, err)
	case strings.Contains(err.Error(), "no space left on device"):
		return fmt.Errorf("%w: docker %s: %w", runtime.ErrNoSpace, what, err)
	}
	return fmt.Errorf("docker %s: %w", what, err)
}
