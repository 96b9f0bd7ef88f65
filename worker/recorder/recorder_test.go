package recorder

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/chain"
	"github.com/isuncoin/isuncoin/worker/journal"
	"github.com/isuncoin/isuncoin/worker/runtime"
	"github.com/isuncoin/isuncoin/worker/runtime/runtimetest"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
)

const (
	chainID = "isun-1"
	node    = "isun1operator/1"
	second  = time.Second
)

var (
	placement = leasetypes.PlacementID{Tenant: "isun1tenant", Number: 7, Replica: 0, Generation: 1}
	container = runtime.ID{Chain: chainID, Node: node, Lease: "isun1tenant/7", Replica: 0, Generation: 1}
)

// fixture is a recorder over a fake engine, with a clock moved by hand.
type fixture struct {
	*testing.T
	rt      *runtimetest.Fake
	journal *journal.Journal
	rec     *Recorder
	now     time.Duration
	wall    time.Time
	cpu     uint64 // what the meter shows
	onChain journal.Usage
	lost    error
}

func (f *fixture) Read(_ context.Context, _ runtime.State) (journal.Counters, error) {
	return journal.Counters{CPUMs: f.cpu}, nil
}

func (f *fixture) Usage(context.Context, leasetypes.PlacementID) (journal.Usage, error) {
	return f.onChain, f.lost
}

func setup(t *testing.T) *fixture {
	t.Helper()
	j, _, err := journal.Open(filepath.Join(t.TempDir(), "journal.db"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, j.Close()) })
	f := &fixture{T: t, rt: runtimetest.NewFake(chainID, node), journal: j, now: time.Hour, wall: time.Unix(1000, 0)}
	f.rt.Engine().SetClock(func() time.Time { return f.wall })
	f.restart()
	_, err = f.rt.Ensure(context.Background(), runtime.Spec{
		ID: container, Image: "app", Limits: runtime.Limits{MilliCPU: 100, MemoryMiB: 64},
	})
	require.NoError(t, err)
	return f
}

// restart begins a new recorder over the same journal, as a new worker does.
func (f *fixture) restart() {
	rec, err := New(f.rt, f, f.journal, f, func() time.Duration { return f.now }, slog.New(slog.DiscardHandler))
	require.NoError(f, err)
	f.rec = rec
}

func (f *fixture) sampleAfter(d time.Duration) {
	f.now += d
	f.wall = f.wall.Add(d)
	require.NoError(f, f.rec.Sample(context.Background()))
}

func (f *fixture) apply(nowMs uint64, p leasetypes.Placement) {
	view := chain.View{NowMs: nowMs}
	if p.Status != leasetypes.PLACEMENT_STATUS_UNSPECIFIED {
		p.ID = placement
		view.Placements = []leasetypes.NodePlacement{{Placement: p}}
	}
	require.NoError(f, f.rec.Apply(context.Background(), view))
}

func running() leasetypes.Placement {
	return leasetypes.Placement{Status: leasetypes.PLACEMENT_STATUS_RUNNING, StartedMs: 10_000}
}

func ended(at uint64) leasetypes.Placement {
	return leasetypes.Placement{Status: leasetypes.PLACEMENT_STATUS_ENDED, StartedMs: 10_000, EndedMs: at}
}

func (f *fixture) served() uint64 { return f.rec.Records()[placement].Usage.ServedMs }

func TestServedCountsOnlyWhatTheChainRuns(t *testing.T) {
	f := setup(t)
	f.sampleAfter(0)
	f.sampleAfter(20 * second)
	f.apply(8000, leasetypes.Placement{Status: leasetypes.PLACEMENT_STATUS_ASSIGNED})
	require.Empty(t, f.rec.Records(), "not started on the chain: nothing to attest")

	f.apply(12_500, running())
	require.EqualValues(t, 2500, f.served(), "since the start on the chain, not since the container's")
	f.sampleAfter(1500 * time.Millisecond)
	f.sampleAfter(second)
	require.EqualValues(t, 5000, f.served())

	require.NoError(t, f.rt.Pause(context.Background(), container))
	f.sampleAfter(second)
	f.sampleAfter(5 * second)
	require.NoError(t, f.rt.Unpause(context.Background(), container))
	f.sampleAfter(second)
	require.EqualValues(t, 5000, f.served(), "a paused container serves nobody")
	f.sampleAfter(second)
	require.EqualValues(t, 6000, f.served())

	f.sampleAfter(maxGap + 1)
	require.EqualValues(t, 6000, f.served(), "nobody looked for too long")
}

// Devices are held whole, so they count as long as the placement is served.
func TestDevicesCountWhileThePlacementIsServed(t *testing.T) {
	f := setup(t)
	usage := func() journal.Usage { return f.rec.Records()[placement].Usage }
	p := running()
	p.Devices = []leasetypes.ReservedDevice{{DeviceID: "GPU-1"}, {DeviceID: "GPU-2"}}
	f.sampleAfter(0)
	f.sampleAfter(2 * second)
	f.apply(12_000, p)
	require.EqualValues(t, 4000, usage().AcceleratorMs, "two devices since the start on the chain")
	f.sampleAfter(1500 * time.Millisecond)
	require.EqualValues(t, 7000, usage().AcceleratorMs)
	require.NoError(t, f.rec.MarkAttested(map[leasetypes.PlacementID]journal.Usage{placement: usage()}))

	require.NoError(t, f.rec.Flush())
	f.restart()
	f.sampleAfter(0)
	f.sampleAfter(second)
	f.apply(13_500, p)
	require.EqualValues(t, 9000, usage().AcceleratorMs, "a restarted worker knows of them before the chain answers")

	over := ended(13_000)
	over.Devices = p.Devices
	f.apply(13_500, over)
	require.EqualValues(t, 4000, usage().ServedMs)
	require.EqualValues(t, 8000, usage().AcceleratorMs, "what came after the end is taken back for both")
}

func TestServedStopsWithTheProcess(t *testing.T) {
	f := setup(t)
	f.sampleAfter(0)
	f.apply(10_000, running())
	f.sampleAfter(second)
	require.NoError(t, f.rt.Engine().Exit(container, 1))
	f.wall = f.wall.Add(second)
	_, err := f.rt.Ensure(context.Background(), f.spec())
	require.NoError(t, err)
	f.sampleAfter(second)
	require.EqualValues(t, 1000, f.served(), "it runs at both looks but is not the same run")
	f.sampleAfter(second)
	require.EqualValues(t, 2000, f.served())
}

func (f *fixture) spec() runtime.Spec {
	spec, ok := f.rt.Engine().Spec(container)
	require.True(f, ok)
	return spec
}

func TestRestartedWorkerCountsNothingTwice(t *testing.T) {
	f := setup(t)
	f.sampleAfter(0)
	f.apply(10_000, running())
	f.cpu = 300
	f.sampleAfter(3 * second)
	require.NoError(t, f.rec.Flush())
	f.sampleAfter(2 * second) // not flushed: lost with the kill

	f.now += 10 * second // the worker is dead, the container runs on
	f.cpu = 1500
	f.restart()
	require.Empty(t, f.rec.Records(), "the chain is asked first what it holds")
	f.sampleAfter(0)
	f.apply(25_000, running())
	require.EqualValues(t, 3000, f.served())
	f.sampleAfter(second)
	require.EqualValues(t, 4000, f.served(), "what ran while nobody looked stays unpaid")
	require.EqualValues(t, 1500, f.rec.Records()[placement].Usage.CPUMs, "the container's own counter went on")
}

func TestLostJournalGoesOnFromTheChain(t *testing.T) {
	f := setup(t)
	f.sampleAfter(0)
	f.sampleAfter(5 * second)
	f.onChain = journal.Usage{ServedMs: 90_000, CPUMs: 700}
	f.cpu = 800
	f.lost = errors.New("no node answers")
	view := chain.View{NowMs: 120_000, Placements: []leasetypes.NodePlacement{{Placement: running()}}}
	view.Placements[0].Placement.ID = placement
	require.ErrorIs(t, f.rec.Apply(context.Background(), view), f.lost)
	require.Empty(t, f.rec.Records(), "nothing is attested before it is known where to go on")

	f.lost = nil
	f.apply(120_000, running())
	require.EqualValues(t, 90_000, f.served())
	f.sampleAfter(second)
	require.EqualValues(t, 91_000, f.served())
}

// A disk that forgot its last writes leaves the journal as it was before them.
func TestOlderJournalGoesOnFromTheChain(t *testing.T) {
	f := setup(t)
	f.sampleAfter(0)
	f.apply(10_000, running())
	f.cpu = 300
	f.sampleAfter(3 * second)
	require.NoError(t, f.rec.Flush())
	f.onChain = journal.Usage{ServedMs: 5000, CPUMs: 450} // attested after more writes, which are gone
	f.cpu = 500

	f.restart()
	f.sampleAfter(0)
	f.apply(17_000, running())
	require.EqualValues(t, 5000, f.served(), "no figure falls")
	f.sampleAfter(second)
	require.EqualValues(t, 6000, f.served())
	require.EqualValues(t, 500, f.rec.Records()[placement].Usage.CPUMs)
}

// An attestation that was on its way when the worker was killed may come after
// the chain was asked; asked again, it says more than the journal.
func TestAskedAgainGoesOnFromTheChain(t *testing.T) {
	f := setup(t)
	f.sampleAfter(0)
	f.apply(10_000, running())
	f.sampleAfter(3 * second)
	require.EqualValues(t, 3000, f.served())

	f.onChain = journal.Usage{ServedMs: 5000}
	f.rec.AskAgain()
	require.Empty(t, f.rec.Records(), "nothing is attested before the chain has answered")
	f.apply(13_000, running())
	require.EqualValues(t, 5000, f.served())
	f.sampleAfter(second)
	require.EqualValues(t, 6000, f.served())
}

func TestEndTakesBackTheOverrun(t *testing.T) {
	f := setup(t)
	f.sampleAfter(0)
	f.apply(10_000, running())
	f.sampleAfter(10 * second)
	require.NoError(t, f.rec.MarkAttested(map[leasetypes.PlacementID]journal.Usage{placement: {ServedMs: 9500}}))
	f.apply(20_000, ended(19_800))
	require.EqualValues(t, 9800, f.served())
	f.sampleAfter(second)
	require.EqualValues(t, 9800, f.served(), "final")

	f = setup(t)
	f.sampleAfter(0)
	f.apply(10_000, running())
	f.sampleAfter(10 * second)
	require.NoError(t, f.rec.MarkAttested(map[leasetypes.PlacementID]journal.Usage{placement: {ServedMs: 9500}}))
	f.apply(25_000, ended(15_000))
	require.EqualValues(t, 9500, f.served(), "what was attested never falls")
}

func TestForgottenWhenChainAndEngineHaveForgotten(t *testing.T) {
	f := setup(t)
	f.sampleAfter(0)
	f.apply(10_000, running())
	require.NoError(t, f.rec.Flush())
	f.apply(20_000, leasetypes.Placement{}) // not listed any more
	require.NotEmpty(t, f.rec.Records(), "its container is still there")
	require.NoError(t, f.rt.Remove(context.Background(), container, 0))
	f.sampleAfter(second)
	f.apply(21_000, leasetypes.Placement{})
	require.Empty(t, f.rec.Records())
	all, err := f.journal.All()
	require.NoError(t, err)
	require.Empty(t, all)
}

func TestRefreshIsUpToTheMoment(t *testing.T) {
	f := setup(t)
	f.sampleAfter(0)
	f.apply(10_000, running())
	f.now += 700 * time.Millisecond
	require.NoError(t, f.rec.Refresh(context.Background()))
	r, _, err := f.journal.Get(placement)
	require.NoError(t, err)
	require.EqualValues(t, 700, r.Usage.ServedMs)

	f.rt.Engine().SetDown(true)
	f.now += second
	require.NoError(t, f.rec.Refresh(context.Background()), "what is known is still worth attesting")
	require.EqualValues(t, 700, f.served())
}

func TestFlushKeepsOthersFields(t *testing.T) {
	f := setup(t)
	f.sampleAfter(0)
	f.apply(10_000, running())
	_, err := f.journal.Update(placement, func(r *journal.Record) { r.Failures = 3 })
	require.NoError(t, err)
	f.sampleAfter(second)
	require.NoError(t, f.rec.Flush())
	r, ok, err := f.journal.Get(placement)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, 3, r.Failures)
	require.EqualValues(t, 1000, r.Usage.ServedMs)
}
