package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	chainclient "github.com/isuncoin/isuncoin/client/chain"
	"github.com/isuncoin/isuncoin/worker/accel"
	"github.com/isuncoin/isuncoin/worker/config"
	"github.com/isuncoin/isuncoin/worker/identity"
	"github.com/isuncoin/isuncoin/worker/netguard"
	"github.com/isuncoin/isuncoin/worker/probe"
	"github.com/isuncoin/isuncoin/worker/runtime"
)

// Engine is asked for what it is; it is closed afterwards.
type Engine interface {
	Info(ctx context.Context) (runtime.Info, error)
	Close() error
}

// Guard looks at the firewall rules around tenants' containers.
type Guard interface {
	Check(ctx context.Context) ([]string, error)
}

// Chain is what the doctor asks of the chain.
type Chain interface {
	ChainID() string
	Endpoint() string
	LatestBlock(ctx context.Context) (chainclient.Block, error)
	Close() error
}

// Patient is the worker that is examined, and the means to do it.
type Patient struct {
	Home   config.Home
	Config config.Config
	Engine func(ctx context.Context) (Engine, error)
	Guard  func() (Guard, error)
	Chain  func(ctx context.Context, chainID string) (Chain, error)
	// Accelerators asks all sources of devices; nil looks for none.
	Accelerators func(ctx context.Context) (accel.Found, error)
	// Root is this machine's files; nil is /.
	Root fs.FS
	// Now is the machine's clock, which the chain's blocks are compared with.
	Now func() time.Time
}

// Checks are all there is to look at.
func Checks(p Patient) []Check {
	return []Check{
		{"engine", p.engine},
		{"cgroups", p.cgroups},
		{"limits", p.limits},
		{"machine", p.machine},
		{"disk", p.disk},
		{"accelerators", p.accelerators},
		{"firewall", p.firewall},
		{"ports", p.ports},
		{"chain", p.chain},
		{"clock", p.clock},
		{"images", p.images},
		{"identity", p.identity},
	}
}

func (p Patient) info(ctx context.Context) (runtime.Info, error) {
	engine, err := p.Engine(ctx)
	if err != nil {
		return runtime.Info{}, err
	}
	info, err := engine.Info(ctx)
	return info, errors.Join(err, engine.Close())
}

func (p Patient) engine(ctx context.Context) Finding {
	info, err := p.info(ctx)
	switch {
	case err == nil:
		return ok(fmt.Sprintf("%s %s (API %s) at %s", info.Engine, info.Version, info.APIVersion, p.Config.Engine.Host))
	case errors.Is(err, os.ErrPermission):
		return fail(err.Error(), "run the worker as root, or add its user to the group docker and log in again")
	}
	return fail(err.Error(), "install Docker (Debian: `apt-get install docker.io`) and start it (`systemctl start docker`), "+
		"or name its socket in engine.host of "+p.Home.Config())
}

func (p Patient) cgroups(ctx context.Context) Finding {
	info, err := p.info(ctx)
	if err != nil {
		return warn("the engine does not say", "mend the engine first")
	}
	// Usage is read from these files, so they must be readable here too.
	if _, err := os.Stat(filepath.Join(p.Config.Host.Sys, "fs/cgroup")); err != nil {
		return fail(err.Error(), "mount the control groups at /sys/fs/cgroup: usage is metered there")
	}
	if info.CgroupVersion != "1" && info.CgroupVersion != "2" {
		return fail(fmt.Sprintf("the engine limits nothing (cgroup version %q)", info.CgroupVersion),
			"use a kernel with control groups: without them no container has limits")
	}
	return ok("version " + info.CgroupVersion)
}

func (p Patient) facts(ctx context.Context) (probe.Facts, error) {
	return probe.Probe(ctx, probe.Host{
		Proc: p.Config.Host.Proc, Sys: p.Config.Host.Sys, DataDir: p.Home.Data(p.Config),
	})
}

func (p Patient) machine(ctx context.Context) Finding {
	facts, err := p.facts(ctx)
	if err != nil {
		return fail(err.Error(), "try again")
	}
	if failed := facts.Failures(); len(failed) > 0 {
		return fail(fmt.Sprintf("%s cannot be read: %s", failed[0].Fact, failed[0].Detail),
			"the worker needs to read "+p.Config.Host.Proc+" and "+p.Config.Host.Sys)
	}
	detail := fmt.Sprintf("%s, %d threads usable, %d MiB of memory usable", facts.CPU.Model, facts.CPU.Usable, facts.Memory.UsableMiB)
	if facts.Memory.UsableMiB <= p.Config.Offer.ReserveMemory {
		return fail(detail, fmt.Sprintf("nothing is left to offer after offer.reserve_memory_mib = %d", p.Config.Offer.ReserveMemory))
	}
	return ok(detail)
}

func (p Patient) disk(ctx context.Context) Finding {
	facts, err := p.facts(ctx)
	if err != nil || facts.Disk.Path == "" {
		return fail("the data folder cannot be looked at", "check placements.data_dir in "+p.Home.Config())
	}
	detail := fmt.Sprintf("%d MiB free at %s (%s)", facts.Disk.FreeMiB, facts.Disk.Path, facts.Disk.FileSystem)
	if facts.Disk.FreeMiB <= p.Config.Offer.ReserveDisk {
		return fail(detail, fmt.Sprintf("free some space, choose another placements.data_dir, or lower offer.reserve_disk_mib (%d)",
			p.Config.Offer.ReserveDisk))
	}
	info, err := p.info(ctx)
	if err == nil && info.Storage == runtime.StorageTmpfs {
		return warn(detail+"; what placements write is kept in memory", "run the worker as root, so that it can give each a disk image of its own")
	}
	if err == nil {
		detail += "; limits by " + string(info.Storage)
	}
	return ok(detail)
}

func (p Patient) firewall(ctx context.Context) Finding {
	if !p.Config.Engine.Guard {
		return warn("the worker is told not to keep rules", "make sure that something else keeps containers from this host and its network")
	}
	guard, err := p.Guard()
	if err != nil {
		return fail(err.Error(), "check the network interfaces of this machine")
	}
	problems, err := guard.Check(ctx)
	switch {
	case errors.Is(err, netguard.ErrNoDockerChain):
		return fail(err.Error(), "start the engine with its iptables option on: tenants' containers are fenced in there")
	case err != nil:
		return fail(err.Error(), "install iptables (Debian: `apt-get install iptables`) and run the worker as root")
	case len(problems) > 0:
		return warn(fmt.Sprintf("%d rules are not in place yet, the first: %s", len(problems), problems[0]),
			"nothing: the worker puts them in place when it starts")
	}
	return ok("containers reach the internet and nothing else")
}

// ports tries whether ports of the range can be opened at all.
func (p Patient) ports(ctx context.Context) Finding {
	first, last := int(p.Config.Network.PortFirst), int(p.Config.Network.PortLast)
	free, tried := 0, 0
	step := max((last-first)/16, 1)
	var config net.ListenConfig
	for port := first; port <= last; port += step {
		tried++
		listener, err := config.Listen(ctx, "tcp", net.JoinHostPort("", strconv.Itoa(port)))
		if err == nil {
			free++
			_ = listener.Close() // it was only a try
		}
	}
	detail := fmt.Sprintf("%d of %d tried between %d and %d are free", free, tried, first, last)
	if free == 0 {
		return fail(detail, "choose another network.port_first and port_last")
	}
	return ok(detail + "; open the range in your router if tenants come from outside")
}

func (p Patient) chain(ctx context.Context) Finding {
	conn, err := p.Chain(ctx, p.Config.Chain.ID)
	if err != nil {
		return fail(err.Error(), "check chain.endpoints in "+p.Home.Config()+", or start a chain here with `isunchaind localnet`")
	}
	defer conn.Close()
	block, err := conn.LatestBlock(ctx)
	switch {
	case err != nil:
		return fail(err.Error(), "try again, or add another endpoint to chain.endpoints")
	case block.CatchingUp:
		return warn(fmt.Sprintf("%s at %s is still catching up, height %d", conn.ChainID(), conn.Endpoint(), block.Height),
			"wait, or use an endpoint that is up to date")
	}
	return ok(fmt.Sprintf("%s at %s, height %d", conn.ChainID(), conn.Endpoint(), block.Height))
}

// How far this machine's clock may be from the last block's time. Blocks come
// every second; a chain that stands still looks like a clock that runs ahead.
const (
	clockWarn = 10 * time.Second
	clockFail = 10 * time.Minute
)

func (p Patient) clock(ctx context.Context) Finding {
	conn, err := p.Chain(ctx, p.Config.Chain.ID)
	if err != nil {
		return warn("cannot be compared without a chain", "mend the chain first")
	}
	defer conn.Close()
	block, err := conn.LatestBlock(ctx)
	if err != nil || block.CatchingUp {
		return warn("cannot be compared without a chain that is up to date", "mend the chain first")
	}
	ahead := p.Now().Sub(block.Time).Round(time.Millisecond)
	detail := fmt.Sprintf("%s ahead of the last block", ahead)
	mend := "synchronise the clock (Debian: `apt-get install chrony`); if it is right, the chain has stopped or the endpoint lags"
	switch distance := max(ahead, -ahead); {
	case distance >= clockFail:
		return fail(detail, mend)
	case distance >= clockWarn:
		return warn(detail, mend)
	}
	return ok(detail)
}

func (p Patient) images(context.Context) Finding {
	for _, dir := range p.Config.Images.Layouts {
		info, err := os.Stat(dir)
		if err != nil || !info.IsDir() {
			return warn(fmt.Sprintf("layout folder %s cannot be read", dir), "create it, or take it out of images.layouts")
		}
	}
	switch {
	case len(p.Config.Images.Layouts) > 0 && p.Config.Images.Registries:
		return ok(fmt.Sprintf("%d layout folders, and registries", len(p.Config.Images.Layouts)))
	case len(p.Config.Images.Layouts) > 0:
		return ok(fmt.Sprintf("%d layout folders", len(p.Config.Images.Layouts)))
	case p.Config.Images.Registries:
		return ok("from registries")
	}
	return fail("neither layout folders nor registries are allowed", "set images.layouts or images.registries in "+p.Home.Config())
}

func (p Patient) identity(context.Context) Finding {
	_, err := identity.LoadKey(p.Home.AgentKey())
	if errors.Is(err, identity.ErrNoKey) {
		return warn("not joined yet", "`isun-worker join --operator-key NAME …` makes the agent's key and registers this machine")
	}
	if err != nil {
		return fail(err.Error(), "restore the file from a backup; a node whose agent key is lost needs a new agent")
	}
	node, err := identity.LoadNode(p.Home.Node())
	if err != nil {
		return warn(err.Error(), "run `isun-worker join` again: it finds the node that is there")
	}
	return ok(fmt.Sprintf("node %s of %s", node.ID(), node.ChainID))
}
