package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/bootclock"
	"github.com/isuncoin/isuncoin/worker/chain"
	"github.com/isuncoin/isuncoin/worker/control"
	"github.com/isuncoin/isuncoin/worker/identity"
	"github.com/isuncoin/isuncoin/worker/journal"
	"github.com/isuncoin/isuncoin/worker/runtime"
	"github.com/isuncoin/isuncoin/worker/runtime/runtimetest"
	"github.com/isuncoin/isuncoin/worker/runtime/runtimetest/program"
	"github.com/isuncoin/isuncoin/worker/sender"
	audittypes "github.com/isuncoin/isuncoin/x/audit/types"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

const operatorAddress = "isun1operator"

// fakeChain is a chain of one node whose clock is the wall's: it keeps
// placements and checks sequences, as x/lease and x/audit do.
type fakeChain struct {
	mu         sync.Mutex
	begun      time.Time
	nodeStatus sunstypes.NodeStatus
	down       error
	placements []leasetypes.NodePlacement
	sequence   uint64
	usage      map[leasetypes.PlacementID]audittypes.UsageEntry
	checkIns   int
	refused    []error
}

func newChain() *fakeChain {
	return &fakeChain{begun: time.Now(), nodeStatus: sunstypes.NODE_STATUS_ACTIVE, usage: map[leasetypes.PlacementID]audittypes.UsageEntry{}}
}

func (c *fakeChain) nowMs() uint64 { return 1000 + uint64(time.Since(c.begun).Milliseconds()) }

func (c *fakeChain) View(context.Context) (chain.View, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := chain.View{NowMs: c.nowMs(), Seen: clock(), Epoch: chain.Epoch{Number: 1, StartMs: 1, EndsMs: 3_600_000}}
	v.Node.Node.ID = sunstypes.NodeID{Operator: operatorAddress, Number: 1}
	v.Node.Node.Status = c.nodeStatus
	v.Params.Suns.SilenceLimit = time.Minute
	v.Params.Suns.EpochDuration = time.Hour
	v.Params.Audit.AttestInterval = 100 * time.Millisecond
	v.Params.Lease.SettleGrace = time.Second
	v.Placements = append(v.Placements, c.placements...)
	return v, c.down
}

func (c *fakeChain) Usage(_ context.Context, id leasetypes.PlacementID) (journal.Usage, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return journal.UsageOf(c.usage[id]), c.down
}

func (c *fakeChain) Image(context.Context, string) (uaitypes.Image, error) {
	return uaitypes.Image{Ports: []uaitypes.Port{{Name: "web", Protocol: "http", ContainerPort: 8080}}}, nil
}

func (c *fakeChain) Attestation(context.Context) (audittypes.NodeAttestation, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return audittypes.NodeAttestation{Sequence: c.sequence, AttestedMs: c.nowMs()}, c.down
}

func (c *fakeChain) Broadcast(_ context.Context, msgs []sdk.Msg) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down != nil {
		return c.down
	}
	for _, m := range msgs {
		if err := c.deliver(m); err != nil {
			err = fmt.Errorf("%w: %w", sender.ErrRefused, err)
			c.refused = append(c.refused, err)
			return err
		}
	}
	return nil
}

func (c *fakeChain) deliver(m sdk.Msg) error {
	switch m := m.(type) {
	case *sunstypes.MsgCheckIn:
		c.checkIns++
	case *leasetypes.MsgStartPlacement:
		p := c.find(m.ID)
		if p == nil {
			return leasetypes.ErrPlacementNotFound
		}
		p.Status, p.Endpoints = leasetypes.PLACEMENT_STATUS_RUNNING, m.Endpoints
		if p.StartedMs == 0 {
			p.StartedMs = c.nowMs()
		}
	case *leasetypes.MsgRejectPlacement:
		c.end(m.ID)
	case *audittypes.MsgAttestUsage:
		if m.Sequence <= c.sequence {
			return errors.New("sequence is not above the last")
		}
		c.sequence = m.Sequence
		for _, e := range m.Entries {
			if c.find(e.ID) == nil {
				return leasetypes.ErrNotThisNode
			}
			if e.ServedMs < c.usage[e.ID].ServedMs {
				return errors.New("usage falls")
			}
			c.usage[e.ID] = e
		}
	}
	return nil
}

func (c *fakeChain) find(id leasetypes.PlacementID) *leasetypes.Placement {
	for i := range c.placements {
		if c.placements[i].Placement.ID == id {
			return &c.placements[i].Placement
		}
	}
	return nil
}

func (c *fakeChain) end(id leasetypes.PlacementID) {
	if p := c.find(id); p != nil {
		p.Status, p.EndedMs = leasetypes.PLACEMENT_STATUS_ENDED, c.nowMs()
	}
}

func (c *fakeChain) place(id leasetypes.PlacementID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.placements = append(c.placements, leasetypes.NodePlacement{
		Placement: leasetypes.Placement{
			ID: id, Status: leasetypes.PLACEMENT_STATUS_ASSIGNED, Image: "isun1pub/app:1", Digest: "sha256:aa",
			GeneralMilliSuns: 1000, MilliSuns: 1000,
		},
		Billing: leasetypes.PlacementBilling{PaidOperator: math.ZeroInt()},
		Args:    []string{program.Hang},
	})
}

func (c *fakeChain) setDown(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = err
}

func (c *fakeChain) served(id leasetypes.PlacementID) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.usage[id].ServedMs
}

func (c *fakeChain) status(id leasetypes.PlacementID) leasetypes.PlacementStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.find(id); p != nil {
		return p.Status
	}
	return leasetypes.PLACEMENT_STATUS_UNSPECIFIED
}

var started = time.Now()

func clock() time.Duration { return time.Since(started) }

// machine is what outlives a worker: its disk, its engine and the chain.
type machine struct {
	*testing.T
	dir    string
	rt     *runtimetest.Fake
	chain  *fakeChain
	boot   *bootclock.Fake
	sw     control.Switch
	agent  *Agent
	cancel context.CancelFunc
	ended  chan error
	j      *journal.Journal
	// change, if not nil, has the next worker's options.
	change func(*Options)
}

func newMachine(t *testing.T) *machine {
	dir := t.TempDir()
	m := &machine{
		T: t, dir: dir, chain: newChain(), boot: bootclock.NewFake(),
		rt: runtimetest.NewFake("isun-1", operatorAddress+"/1"), sw: control.NewSwitch(filepath.Join(dir, "paused")),
	}
	t.Cleanup(m.stop)
	return m
}

func (m *machine) Resolve(context.Context, uaitypes.Image) (string, bool, error) {
	return "sha256:local", false, nil
}

func (m *machine) Read(context.Context, runtime.State) (journal.Counters, error) {
	return journal.Counters{CPUMs: 5}, nil
}

// start begins a worker on the machine.
func (m *machine) start() {
	var setAside string
	var err error
	m.j, setAside, err = journal.Open(filepath.Join(m.dir, "journal.db"))
	require.NoError(m, err)
	require.Empty(m, setAside)
	options := Options{
		Node:  identity.Node{ChainID: "isun-1", Operator: operatorAddress, Number: 1, Agent: "isun1agent"},
		Chain: m.chain, Sender: sender.New(m.chain, slog.New(slog.DiscardHandler)), Runtime: m.rt, Images: m, Meter: m, Journal: m.j, Switch: m.sw, Boot: m.boot, Clock: clock,
		Limits: func(sunstypes.Capacity, uint64) (runtime.Limits, error) {
			return runtime.Limits{MilliCPU: 1000, MemoryMiB: 64, StorageMiB: 64}, nil
		},
		Published: "127.0.0.1", StopGrace: time.Second, Parallel: 2, MaxFailures: 3,
		PollEvery: 10 * time.Millisecond, SampleEvery: 10 * time.Millisecond, PersistEvery: 20 * time.Millisecond,
		Log: slog.New(slog.DiscardHandler),
	}
	if m.change != nil {
		m.change(&options)
	}
	m.agent, err = New(options)
	require.NoError(m, err)
	var ctx context.Context
	ctx, m.cancel = context.WithCancel(context.Background())
	m.ended = make(chan error, 1)
	go func() { m.ended <- m.agent.Run(ctx) }()
}

func (m *machine) stop() {
	if m.cancel == nil {
		return
	}
	m.cancel()
	require.NoError(m, <-m.ended)
	require.NoError(m, m.j.Close())
	m.cancel = nil
}

func (m *machine) eventually(what string, condition func() bool) {
	m.Helper()
	require.Eventually(m, condition, 20*time.Second, 5*time.Millisecond, what)
}

func (m *machine) container(id leasetypes.PlacementID) runtime.Status {
	state, _ := m.rt.Inspect(context.Background(), runtime.ID{
		Chain: "isun-1", Node: operatorAddress + "/1", Lease: id.Lease().String(), Replica: id.Replica, Generation: id.Generation,
	})
	return state.Status
}

var one = leasetypes.PlacementID{Tenant: "isun1tenant", Number: 1, Replica: 0, Generation: 1}

func TestFromPlacementToPayAndEnd(t *testing.T) {
	m := newMachine(t)
	m.start()
	m.eventually("an idle worker checks in once", func() bool {
		m.chain.mu.Lock()
		defer m.chain.mu.Unlock()
		return m.chain.checkIns == 1
	})
	m.chain.place(one)
	m.eventually("runs and is reported", func() bool { return m.chain.status(one) == leasetypes.PLACEMENT_STATUS_RUNNING })
	m.eventually("is attested", func() bool { return m.chain.served(one) > 300 })
	status := m.agent.Status()
	require.Equal(t, "active", status.Mode)
	require.Len(t, status.Placements, 1)
	require.Equal(t, "running", status.Placements[0].Chain)
	require.Equal(t, "running", status.Placements[0].Container)
	require.NotEmpty(t, status.Placements[0].Endpoints)

	m.chain.mu.Lock()
	m.chain.end(one)
	endedMs, startedMs := m.chain.find(one).EndedMs, m.chain.find(one).StartedMs
	m.chain.mu.Unlock()
	m.eventually("is removed", func() bool { return m.container(one) == runtime.StatusMissing })
	m.eventually("its last milliseconds are attested", func() bool {
		return m.agent.recorder.Records()[one].Attested == m.agent.recorder.Records()[one].Usage
	})
	require.LessOrEqual(t, m.chain.served(one), endedMs-startedMs+20, "never more than there was")
	require.Empty(t, m.chain.refused)
}

func TestRestartGoesOnWhereItEnded(t *testing.T) {
	m := newMachine(t)
	m.start()
	m.chain.place(one)
	m.eventually("is attested", func() bool { return m.chain.served(one) > 200 })
	m.stop()
	before := m.chain.served(one)
	require.Equal(t, runtime.StatusRunning, m.container(one), "a stopped worker's containers run on")
	sequence := m.chain.sequence

	m.start()
	m.eventually("goes on", func() bool { return m.chain.served(one) > before })
	require.Greater(t, m.chain.sequence, sequence)
	require.Empty(t, m.chain.refused)
}

func TestNoSplitBrain(t *testing.T) {
	m := newMachine(t)
	m.start()
	m.chain.place(one)
	m.eventually("runs", func() bool { return m.chain.served(one) > 0 })

	m.chain.setDown(errors.New("no node answers"))
	m.boot.Advance(40 * time.Second) // of a limit of 60 s, with a margin of 12 s
	require.Never(t, func() bool { return m.container(one) != runtime.StatusRunning }, 100*time.Millisecond, 10*time.Millisecond)
	m.boot.Advance(9 * time.Second)
	m.eventually("pauses before the chain moves it", func() bool { return m.container(one) == runtime.StatusPaused })
	require.Equal(t, "silent", m.agent.Status().Mode)

	// The chain moved it meanwhile, and gave the node another.
	m.chain.mu.Lock()
	m.chain.end(one)
	m.chain.down = nil
	m.chain.mu.Unlock()
	two := one
	two.Generation = 2
	m.chain.place(two)
	m.eventually("the old one goes", func() bool { return m.container(one) == runtime.StatusMissing })
	m.eventually("the new one comes", func() bool { return m.chain.status(two) == leasetypes.PLACEMENT_STATUS_RUNNING })
	require.Equal(t, "active", m.agent.Status().Mode)
}

func TestNothingBeginsBeforeTheChainConfirms(t *testing.T) {
	m := newMachine(t)
	m.start()
	m.chain.place(one)
	m.eventually("runs", func() bool { return m.chain.served(one) > 0 })
	m.stop()
	m.boot.Reboot("boot-2")
	m.rt.Engine().Reboot()
	m.chain.setDown(errors.New("no node answers"))
	m.start()
	require.Never(t, func() bool { return m.container(one) == runtime.StatusRunning }, 200*time.Millisecond, 10*time.Millisecond)
	m.chain.setDown(nil)
	m.eventually("runs again", func() bool { return m.container(one) == runtime.StatusRunning })
}

func TestOwnerComesFirst(t *testing.T) {
	m := newMachine(t)
	m.start()
	m.chain.place(one)
	m.eventually("is attested", func() bool { return m.chain.served(one) > 0 })
	_, err := m.sw.Set(true)
	require.NoError(t, err)
	m.agent.SwitchChanged()
	m.eventually("is frozen", func() bool { return m.container(one) == runtime.StatusPaused })
	m.stop()
	m.start()
	m.eventually("stays frozen over a restart", func() bool { return m.agent.Status().Mode == "paused" })
	require.Equal(t, runtime.StatusPaused, m.container(one))
	before := m.chain.sequence
	require.Never(t, func() bool {
		m.chain.mu.Lock()
		defer m.chain.mu.Unlock()
		return m.chain.sequence != before
	}, 200*time.Millisecond, 10*time.Millisecond, "nothing is attested")

	_, err = m.sw.Set(false)
	require.NoError(t, err)
	m.agent.SwitchChanged()
	m.eventually("runs again", func() bool { return m.container(one) == runtime.StatusRunning })
	m.eventually("is attested again", func() bool {
		m.chain.mu.Lock()
		defer m.chain.mu.Unlock()
		return m.chain.sequence > before
	})
}

func TestLostJournalIsMadeGoodFromTheChain(t *testing.T) {
	m := newMachine(t)
	m.start()
	m.chain.place(one)
	m.eventually("is attested", func() bool { return m.chain.served(one) > 200 })
	m.stop()
	m.dir = t.TempDir() // the disk is gone
	before := m.chain.served(one)
	m.start()
	m.eventually("goes on from the chain's figures", func() bool { return m.chain.served(one) > before })
	require.Empty(t, m.chain.refused)
}

// What a retired node served last is attested, and what it ran is removed; then its worker ends by itself.
func TestRetiredWorkerEnds(t *testing.T) {
	m := newMachine(t)
	m.start()
	m.chain.place(one)
	m.eventually("runs", func() bool { return m.chain.served(one) > 0 })
	m.chain.mu.Lock()
	m.chain.nodeStatus = sunstypes.NODE_STATUS_RETIRED
	m.chain.end(one)
	m.chain.mu.Unlock()
	m.eventually("is removed", func() bool { return m.container(one) == runtime.StatusMissing })
	m.eventually("its last milliseconds are attested", func() bool {
		return m.agent.recorder.Records()[one].Attested == m.agent.recorder.Records()[one].Usage
	})
	require.Never(t, func() bool { return len(m.ended) > 0 }, 100*time.Millisecond, 10*time.Millisecond, "not yet settled")
	checkIns := m.chain.checkIns

	m.chain.mu.Lock()
	m.chain.placements = nil
	m.chain.mu.Unlock()
	require.ErrorIs(t, <-m.ended, ErrRetired)
	require.NoError(t, m.j.Close())
	require.Equal(t, checkIns, m.chain.checkIns, "nobody expects a sign of life")
	require.Empty(t, m.chain.refused)
	m.cancel()
	m.cancel = nil
}

func TestEngineOutage(t *testing.T) {
	m := newMachine(t)
	m.start()
	m.chain.place(one)
	m.eventually("runs", func() bool { return m.chain.served(one) > 0 })
	m.rt.Engine().SetDown(true)
	served := m.chain.served(one)
	m.rt.Engine().Reboot()
	m.rt.Engine().SetDown(false)
	m.eventually("is started again", func() bool { return m.container(one) == runtime.StatusRunning })
	m.eventually("and served again", func() bool { return m.chain.served(one) > served })
}
