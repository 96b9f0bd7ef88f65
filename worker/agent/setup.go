package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	dockerclient "github.com/docker/docker/client"
	"golang.org/x/sync/errgroup"

	chainclient "github.com/isuncoin/isuncoin/client/chain"
	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/accel"
	"github.com/isuncoin/isuncoin/worker/bench"
	"github.com/isuncoin/isuncoin/worker/bootclock"
	"github.com/isuncoin/isuncoin/worker/chain"
	"github.com/isuncoin/isuncoin/worker/cloud/vault"
	"github.com/isuncoin/isuncoin/worker/config"
	"github.com/isuncoin/isuncoin/worker/control"
	"github.com/isuncoin/isuncoin/worker/identity"
	"github.com/isuncoin/isuncoin/worker/images"
	"github.com/isuncoin/isuncoin/worker/journal"
	"github.com/isuncoin/isuncoin/worker/meter"
	"github.com/isuncoin/isuncoin/worker/metrics"
	"github.com/isuncoin/isuncoin/worker/netbench"
	"github.com/isuncoin/isuncoin/worker/netguard"
	"github.com/isuncoin/isuncoin/worker/runtime"
	"github.com/isuncoin/isuncoin/worker/runtime/docker"
	"github.com/isuncoin/isuncoin/worker/sender"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

// ErrRunning: a worker runs in this home already.
var ErrRunning = errors.New("a worker is running in this home already")

// ErrNodeRunning: a worker of the same node runs from another home.
var ErrNodeRunning = errors.New("a worker of this node is running on this machine already, from another home")

// engineRetry is how often a worker looks for an engine that does not answer.
const engineRetry = 5 * time.Second

// guardEvery is how often the firewall rules are put back, in case somebody
// flushed them.
const guardEvery = time.Minute

// connectTimeout bounds the first try to reach the chain.
const connectTimeout = 5 * time.Second

// Start runs the worker of a home until ctx ends, or the node has retired.
// sources know the machine's accelerators.
func Start(ctx context.Context, home config.Home, cfg config.Config, sources []accel.Source, log *slog.Logger) error {
	unlock, err := Lock(home.Lock())
	if err != nil {
		return err
	}
	defer unlock()
	node, err := identity.LoadNode(home.Node())
	if err != nil {
		return err
	}
	key, err := identity.LoadKey(home.AgentKey())
	if err != nil {
		return err
	}
	leave, err := lockNode(node)
	if err != nil {
		return err
	}
	defer leave()
	report, err := bench.Load(home.Report())
	if err != nil {
		return fmt.Errorf("%w; run `isun-worker join` to measure the machine again", err)
	}
	log = log.With("node", node.ID().String())
	if report.Outdated() {
		log.Warn("the machine was measured by an earlier benchmark; placements are sized by it until it is measured again: "+
			"run `isun-worker bench --submit --operator-key NAME`", "version", report.Version, "current", bench.Version)
	}
	rt, api, err := openEngine(ctx, home, cfg, node, log)
	if err != nil {
		return err
	}
	defer rt.Close()
	defer api.Close()
	if err := requireBounds(ctx, rt, log); err != nil {
		return err
	}
	guard, err := openGuard(ctx, cfg)
	if err != nil {
		return err
	}
	return run(ctx, parts{home: home, cfg: cfg, sources: sources, node: node, key: key, report: report, rt: rt, api: api, guard: guard, log: log})
}

// parts are what is open while a worker runs.
type parts struct {
	home    config.Home
	cfg     config.Config
	sources []accel.Source
	node    identity.Node
	key     identity.Key
	report  bench.Report
	rt      runtime.Runtime
	api     *dockerclient.Client
	guard   *netguard.Guard
	log     *slog.Logger
}

func run(ctx context.Context, p parts) error {
	j, setAside, err := journal.Open(p.home.Journal())
	if err != nil {
		return err
	}
	defer j.Close()
	if setAside != "" {
		p.log.Error("THE JOURNAL WAS DAMAGED and has been set aside; usage goes on from what the chain holds", "kept_as", setAside)
	}
	boot, err := bootclock.New(p.cfg.Host.Proc)
	if err != nil {
		return err
	}
	start := time.Now()
	clock := func() time.Duration { return time.Since(start) + time.Second } // 0 means never
	signer, err := chainclient.NewKeySigner(p.key.Private().Key)
	if err != nil {
		return err
	}
	client, err := chain.NewClient(ChainConfig(p.cfg, p.node.ChainID), signer, p.node.ID(), clock)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := connect(ctx, client, p.log); err != nil {
		return err
	}
	settleReport(ctx, client, p.home.Report(), p.node.ID(), p.log)
	send := sender.New(client, p.log)
	cloud, err := openCloud(p, client, send)
	if err != nil {
		return fmt.Errorf("iSunCloud: %w", err)
	}
	if cloud != nil {
		defer cloud.Close()
	}
	imageConfig, err := configureImages(p, cloud)
	if err != nil {
		return err
	}
	store, err := images.New(images.Docker(p.api), imageConfig)
	if err != nil {
		return err
	}
	defer store.Close()
	published := Published(p.cfg)
	worker, err := New(Options{
		Node: p.node, Chain: client, Runtime: p.rt, Images: resolver{store}, Journal: j, Sender: send,
		Meter:  meter.New(meter.NewHost(p.cfg.Host.Proc, p.cfg.Host.Sys), meter.Clock(clock)),
		Switch: control.NewSwitch(p.home.Paused()), Boot: boot, Clock: clock, Limits: newSizes(p.home.Report(), p.report, p.log).limits,
		Devices: accel.Watch{Sources: p.sources}, Published: published, OCIRuntime: p.cfg.Engine.Runtime, StopGrace: p.cfg.Placements.StopGrace.D(),
		Parallel: p.cfg.Placements.Parallel, MaxFailures: p.cfg.Placements.MaxFailures,
		PollEvery: p.cfg.Chain.PollInterval.D(), SampleEvery: p.cfg.Placements.SampleEvery.D(),
		PersistEvery: p.cfg.Placements.PersistEvery.D(),
		Blocks:       client.NewBlocks,
		Endpoint:     client.Endpoint, Engine: engineName(ctx, p.rt), Log: p.log,
	})
	if err != nil {
		return err
	}
	p.log.Info("worker runs", "chain", p.node.ChainID, "endpoint", client.Endpoint(), "published", published,
		"agent", p.node.Agent, "paused", control.NewSwitch(p.home.Paused()).Paused())
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() error { return worker.Run(ctx) })
	all.Go(func() error { return control.Serve(ctx, p.home.Socket(), worker) })
	all.Go(func() error { return keepTidy(ctx, client, images.NewTidier(store, 0, clock), p.log) })
	if cloud != nil {
		all.Go(func() error { return cloud.Run(ctx) })
	}
	if p.cfg.Metrics.Listen != "" {
		all.Go(func() error { return metrics.Serve(ctx, p.cfg.Metrics.Listen, worker) })
	}
	if p.cfg.Measuring.Listen != "" {
		measuring, err := netbench.NewServer(netbench.DefaultLimits(), p.log)
		if err != nil {
			return err
		}
		all.Go(func() error { return measuring.Listen(ctx, p.cfg.Measuring.Listen) })
	}
	if p.guard != nil {
		all.Go(func() error { return keepGuard(ctx, p.guard, p.log) })
	}
	err = all.Wait()
	if errors.Is(err, ErrRetired) {
		p.log.Info("the worker ends: " + ErrRetired.Error())
		return nil
	}
	p.log.Info("worker stopped; its containers run on")
	return err
}

// Lock makes sure that one worker runs in a home. The kernel lets go of it
// when the process ends, however it ends.
func Lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the worker's home: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %s", ErrRunning, filepath.Dir(path)), f.Close())
	}
	return func() { _ = f.Close() }, nil // closing unlocks
}

// lockNode makes sure that one worker of a node runs on this machine, also if
// a home was copied: two would undo each other's work, and number their
// attestations alike. The kernel lets go of the name with the process.
func lockNode(node identity.Node) (unlock func(), err error) {
	sum := sha256.Sum256([]byte(node.ChainID + "\x00" + node.ID().String()))
	name := "@isun-worker-" + hex.EncodeToString(sum[:])
	listener, err := net.Listen("unix", name)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%w: node %s of %s, %s; stop that one, or join with a fresh home to register another node",
			ErrNodeRunning, node.ID(), node.ChainID, listening(name))
	}
	if err != nil {
		return nil, fmt.Errorf("lock the node: %w", err)
	}
	return func() { _ = listener.Close() }, nil
}

// listening says which process has the name, as far as the kernel tells.
func listening(name string) string {
	conn, err := net.Dial("unix", name)
	if err != nil {
		return "in another process"
	}
	defer conn.Close()
	pid := 0
	if socket, ok := conn.(*net.UnixConn); ok {
		if raw, err := socket.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) { // without an answer the number stays 0
				if peer, err := syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED); err == nil {
					pid = int(peer.Pid)
				}
			})
		}
	}
	if pid == 0 {
		return "in another process"
	}
	return fmt.Sprintf("in process %d", pid)
}

// openEngine waits for the engine: a machine that boots starts the worker
// first as likely as not.
func openEngine(ctx context.Context, home config.Home, cfg config.Config, node identity.Node, log *slog.Logger) (runtime.Runtime, *dockerclient.Client, error) {
	api, err := dockerclient.NewClientWithOpts(dockerclient.WithHost(cfg.Engine.Host), dockerclient.WithAPIVersionNegotiation())
	if err != nil {
		return nil, nil, fmt.Errorf("engine.host %q: %w", cfg.Engine.Host, err)
	}
	dir, err := filepath.Abs(home.Data(cfg))
	if err != nil {
		return nil, nil, errors.Join(err, api.Close())
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("placements.data_dir: %w", err), api.Close())
	}
	for told := false; ; told = true {
		rt, err := docker.New(ctx, docker.Config{
			Host: cfg.Engine.Host, Chain: node.ChainID, Node: node.ID().String(), StateDir: dir, Logger: log,
			HostIP: bindAddress(Published(cfg)), PortFirst: cfg.Network.PortFirst, PortLast: cfg.Network.PortLast,
		})
		if err == nil {
			return rt, api, nil
		}
		if !errors.Is(err, runtime.ErrUnavailable) || ctx.Err() != nil {
			return nil, nil, errors.Join(err, api.Close())
		}
		if !told {
			log.Warn("waiting for the container engine; `isun-worker doctor` says how to mend it", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil, nil, errors.Join(context.Cause(ctx), api.Close())
		case <-time.After(engineRetry):
		}
	}
}

// requireBounds refuses a machine on which one tenant could take what is
// others', and tells what is not held.
func requireBounds(ctx context.Context, rt runtime.Runtime, log *slog.Logger) error {
	info, err := rt.Info(ctx)
	if err != nil {
		return err
	}
	for _, b := range info.Bounds {
		if b.Held != runtime.Fully {
			log.Warn("a limit is not fully held", "limit", b.Limit, "held", b.Held, "detail", b.Detail, "mend", b.Mend)
		}
	}
	return info.Bounded()
}

// openGuard puts the fence up before any container runs: without it a tenant
// could reach this host and its network.
func openGuard(ctx context.Context, cfg config.Config) (*netguard.Guard, error) {
	if !cfg.Engine.Guard {
		return nil, nil //nolint:nilnil // no guard is wanted
	}
	networks, err := netguard.ConnectedNetworks()
	if err != nil {
		return nil, err
	}
	guard, err := netguard.New(netguard.Config{Blocked: networks})
	if err != nil {
		return nil, err
	}
	if err := guard.Install(ctx); err != nil {
		return nil, fmt.Errorf("tenants' containers cannot be kept from this machine's network: %w "+
			"(if something else does that, set engine.guard = false)", err)
	}
	return guard, nil
}

func keepGuard(ctx context.Context, guard *netguard.Guard, log *slog.Logger) error {
	ticker := time.NewTicker(guardEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if err := guard.Install(ctx); err != nil && ctx.Err() == nil {
			log.Error("the firewall rules around tenants' containers cannot be kept up", "error", err)
		}
	}
}

// connect tries the chain once. One that does not answer is no reason not to
// start: what runs here has to be paused in time all the same. Another chain,
// or a config that can never work, is.
func connect(ctx context.Context, client *chain.Client, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	_, err := client.Connect(ctx)
	if err == nil || (!chainclient.IsUnreachable(err) && ctx.Err() == nil) {
		return err
	}
	log.Warn("the chain does not answer yet; trying on", "error", err)
	return nil
}

// ChainConfig is how to reach the chain of a config.
func ChainConfig(cfg config.Config, chainID string) chainclient.Config {
	return chainclient.Config{
		ChainID: chainID, Endpoints: cfg.Chain.Endpoints,
		GasPrices: cfg.Fees.GasPrices, GasAdjustment: cfg.Fees.GasAdjustment,
	}
}

// resolver brings images for the reconciler.
type resolver struct{ store *images.Store }

// Resolve implements reconciler.Images.
func (r resolver) Resolve(ctx context.Context, image uaitypes.Image) (local string, forGood bool, err error) {
	found, err := r.store.Resolve(ctx, images.Request{
		Digest: image.Digest, Reference: image.Reference, Subject: "image/" + image.Ref(), SizeBytes: int64(image.SizeBytes),
	})
	if err != nil {
		return "", permanent(err), err
	}
	return found.ID, false, nil
}

// permanent says whether an image will never run here: nothing about it
// changes by trying again.
func permanent(err error) bool {
	for _, final := range []error{uai.ErrNoPlatform, uai.ErrTooLarge, uai.ErrMalformed, uai.ErrWrongKey, vault.ErrKept} {
		if errors.Is(err, final) {
			return true
		}
	}
	return false
}

func engineName(ctx context.Context, rt runtime.Runtime) string {
	info, err := rt.Info(ctx)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%s %s, cgroup v%s, storage by %s", info.Engine, info.Version, info.CgroupVersion, info.Storage)
}

// Published is the address that tenants reach this machine at: the owner's
// word, or the address this machine speaks to the chain from.
func Published(cfg config.Config) string {
	if cfg.Network.PublishedAddress != "" {
		return cfg.Network.PublishedAddress
	}
	for _, endpoint := range cfg.Chain.Endpoints {
		if address, ok := source(endpoint); ok {
			return address
		}
	}
	return "127.0.0.1"
}

// bindAddress is where ports are opened: on this machine alone if that is all
// tenants are told, and everywhere otherwise, since the published address may
// be a router's.
func bindAddress(published string) string {
	if ip := net.ParseIP(published); (ip != nil && ip.IsLoopback()) || published == "localhost" {
		return "127.0.0.1"
	}
	return "0.0.0.0"
}

// source is the local address of a route to an endpoint; nothing is sent.
func source(endpoint string) (string, bool) {
	host := endpoint
	if strings.Contains(endpoint, "://") {
		u, err := url.Parse(endpoint)
		if err != nil {
			return "", false
		}
		host = u.Host
	}
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	conn, err := net.Dial("udp", net.JoinHostPort(host, "9"))
	if err != nil {
		return "", false
	}
	defer conn.Close()
	address, ok := conn.LocalAddr().(*net.UDPAddr)
	if !ok {
		return "", false
	}
	return address.IP.String(), true
}
