package reconciler

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/chain"
	"github.com/isuncoin/isuncoin/worker/journal"
	"github.com/isuncoin/isuncoin/worker/runtime"
	"github.com/isuncoin/isuncoin/worker/runtime/runtimetest"
	"github.com/isuncoin/isuncoin/worker/runtime/runtimetest/program"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

// fixture is a reconciler between a fake engine and a fake chain.
type fixture struct {
	*testing.T
	engine  *runtimetest.Engine
	rt      *runtimetest.Fake
	journal *journal.Journal
	r       *Reconciler
	view    chain.View

	mu      sync.Mutex
	now     time.Duration
	sent    []sdk.Msg
	refuse  error
	image   uaitypes.Image
	resolve func(ctx context.Context) (bool, error)
	// devices are this machine's; nil offers none.
	devices Devices
}

func setup(t *testing.T) *fixture {
	t.Helper()
	j, _, err := journal.Open(filepath.Join(t.TempDir(), "journal.db"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, j.Close()) })
	engine := runtimetest.NewEngine()
	f := &fixture{T: t, engine: engine, rt: engine.Open(chainID, nodeName), journal: j, now: time.Hour}
	f.image = uaitypes.Image{Ports: []uaitypes.Port{{Name: "web", Protocol: "http", ContainerPort: 8080}}}
	start := time.Unix(0, 0)
	engine.SetClock(func() time.Time { f.mu.Lock(); defer f.mu.Unlock(); return start.Add(f.now) })
	f.restart()
	return f
}

// restart begins a new reconciler over what is there, as a new worker does.
func (f *fixture) restart() { f.begin(f.rt, f, f, f.journal) }

func (f *fixture) begin(rt runtime.Runtime, images Images, sender Sender, store Store) {
	cfg := Config{
		ChainID: chainID, Node: sunstypes.NodeID{Operator: "isun1operator", Number: 1}, Agent: "isun1agent",
		Limits:  func(sunstypes.Capacity, uint64) (runtime.Limits, error) { return limits, nil },
		Devices: f.devices, Published: "10.0.0.5", StopGrace: time.Second, Parallel: 2, MaxFailures: 3,
		Clock: func() time.Duration { f.mu.Lock(); defer f.mu.Unlock(); return f.now },
		Log:   slog.New(slog.DiscardHandler),
	}
	r, err := New(cfg, rt, images, f, sender, store)
	require.NoError(f, err)
	f.r = r
	f.Cleanup(r.Wait)
}

func (f *fixture) Resolve(ctx context.Context, image uaitypes.Image) (string, bool, error) {
	require.Equal(f, "sha256:aa", image.Digest, "the placement's digest counts")
	f.mu.Lock()
	resolve := f.resolve
	f.mu.Unlock()
	if resolve != nil {
		permanent, err := resolve(ctx)
		return "", permanent, err
	}
	return "sha256:local", false, nil
}

func (f *fixture) Image(context.Context, string) (uaitypes.Image, error) { return f.image, nil }

// Send is the chain: what it accepts shows in the next view.
func (f *fixture) Send(_ context.Context, msgs ...sdk.Msg) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuse != nil {
		return f.refuse
	}
	f.sent = append(f.sent, msgs...)
	for _, m := range msgs {
		switch m := m.(type) {
		case *leasetypes.MsgStartPlacement:
			f.change(m.ID, func(p *leasetypes.Placement) { p.Status, p.Endpoints = runs, m.Endpoints })
		case *leasetypes.MsgRejectPlacement:
			f.change(m.ID, func(p *leasetypes.Placement) { p.Status, p.EndDetail = ended, m.Reason })
		}
	}
	return nil
}

func (f *fixture) change(id leasetypes.PlacementID, change func(*leasetypes.Placement)) {
	for i := range f.view.Placements {
		if f.view.Placements[i].Placement.ID == id {
			change(&f.view.Placements[i].Placement)
		}
	}
}

// place is the chain giving this node a placement.
func (f *fixture) place(replica uint32, generation uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.view.Placements = append(f.view.Placements, leasetypes.NodePlacement{
		Placement: placement(replica, generation, assigned), Args: []string{program.Hang},
		Env: []leasetypes.EnvVar{{Name: "A", Value: "b=c"}},
	})
}

// settled runs passes, letting time go by, until one begins nothing more.
func (f *fixture) settled(mode Mode) {
	f.Helper()
	for range 50 {
		f.pass(mode)
		f.r.Wait()
		f.mu.Lock()
		f.now += settle
		f.mu.Unlock()
		select {
		case <-f.r.Wake():
		default:
			return
		}
	}
	f.Fatal("does not come to rest")
}

func (f *fixture) pass(mode Mode) {
	f.Helper()
	f.mu.Lock()
	view := f.view
	view.Placements = slices.Clone(view.Placements)
	f.mu.Unlock()
	require.NoError(f, f.r.Pass(context.Background(), &view, mode))
}

func (f *fixture) advance(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now += d
}

func (f *fixture) status(id runtime.ID) runtime.Status {
	state, _ := f.rt.Inspect(context.Background(), id)
	return state.Status
}

func (f *fixture) chainStatus(i int) leasetypes.Placement {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.view.Placements[i].Placement
}

func TestPlacementComesToRunAndIsReported(t *testing.T) {
	f := setup(t)
	f.place(0, 1)
	f.settled(Active)
	require.Equal(t, runtime.StatusRunning, f.status(container(0, 1)))
	p := f.chainStatus(0)
	require.Equal(t, runs, p.Status)
	require.Len(t, p.Endpoints, 1)
	require.Equal(t, "web", p.Endpoints[0].Name)
	require.Regexp(t, `^10\.0\.0\.5:\d+$`, p.Endpoints[0].Address)
	spec, ok := f.engine.Spec(container(0, 1))
	require.True(t, ok)
	require.Equal(t, "sha256:local", spec.Image)
	require.Equal(t, []string{"A=b=c"}, spec.Env)
	require.Equal(t, limits, spec.Limits)
	require.Len(t, f.sent, 1, "reported once")

	r, ok, err := f.journal.Get(p.ID)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, journal.IntentRun, r.Intent, "the intent was on disk first")
}

func TestEndedAndOrphanedContainersGo(t *testing.T) {
	f := setup(t)
	f.place(0, 1)
	f.settled(Active)
	stranger := f.engine.Open(chainID, "isun1operator/2")
	theirs := container(0, 1)
	theirs.Node = "isun1operator/2"
	_, err := stranger.Ensure(context.Background(), runtime.Spec{ID: theirs, Image: "x", Limits: limits})
	require.NoError(t, err)

	f.view.Placements = nil // pruned on the chain
	f.settled(Active)
	require.Equal(t, runtime.StatusMissing, f.status(container(0, 1)))
	state, err := stranger.Inspect(context.Background(), theirs)
	require.NoError(t, err)
	require.Equal(t, runtime.StatusRunning, state.Status, "another node's container is not touched")
	require.Empty(t, f.r.memory)
}

func TestCrashedContainerIsStartedAgainWithBackoff(t *testing.T) {
	f := setup(t)
	f.place(0, 1)
	f.settled(Active)
	require.NoError(t, f.engine.Exit(container(0, 1), 3))
	f.pass(Active)
	f.r.Wait()
	require.Equal(t, runtime.StatusExited, f.status(container(0, 1)), "backs off first")
	f.advance(backoffMin)
	f.settled(Active)
	require.Equal(t, runtime.StatusRunning, f.status(container(0, 1)))
	require.Equal(t, 1, f.r.Failures(f.chainStatus(0).ID))

	f.advance(stable)
	f.settled(Active)
	require.Zero(t, f.r.Failures(f.chainStatus(0).ID), "a minute of running makes good for it")
}

func TestCrashLoopIsGivenBackWithItsReason(t *testing.T) {
	f := setup(t)
	f.place(0, 1)
	f.view.Placements[0].Args = []string{program.Exit, "9"}
	for range 5 {
		f.settled(Active)
		f.advance(backoffMax)
	}
	p := f.chainStatus(0)
	require.Equal(t, ended, p.Status)
	require.Equal(t, "failed 3 times in a row, the last time: it ended with exit code 9", p.EndDetail)
	require.Equal(t, runtime.StatusMissing, f.status(container(0, 1)), "and cleaned up")
	for _, m := range f.sent {
		require.IsType(t, &leasetypes.MsgRejectPlacement{}, m, "nobody pays for a crash loop")
	}
}

func TestPermanentFailuresAreGivenBackAtOnce(t *testing.T) {
	for name, tc := range map[string]struct {
		spoil  func(f *fixture)
		reason string
	}{
		"no room": {func(f *fixture) { f.rt.FailNext(runtimetest.OpEnsure, runtime.ErrNoSpace, 1) }, "no space left"},
		"image for another platform": {func(f *fixture) {
			f.resolve = func(context.Context) (bool, error) { return true, errors.New("no variant for linux/amd64") }
		}, "no variant"},
		"a volume that cannot be": {func(f *fixture) {
			f.image.Volumes = []uaitypes.Volume{{Name: "v", Path: "/etc/hosts", SizeMiB: 10}}
		}, "invalid placement spec"},
		"a device": {func(f *fixture) {
			f.view.Placements[0].Placement.Devices = []leasetypes.ReservedDevice{{DeviceID: "GPU-1"}}
		}, "device GPU-1"},
	} {
		t.Run(name, func(t *testing.T) {
			f := setup(t)
			f.place(0, 1)
			tc.spoil(f)
			f.settled(Active)
			p := f.chainStatus(0)
			require.Equal(t, ended, p.Status)
			require.Contains(t, p.EndDetail, tc.reason)
		})
	}
}

func TestEndingDuringTheStartCountsOnce(t *testing.T) {
	f := setup(t)
	f.place(0, 1)
	f.view.Placements[0].Args = []string{program.Exit, "3"}
	f.settled(Active)
	require.Equal(t, 1, f.r.Failures(f.chainStatus(0).ID))
	f.advance(backoffMax)
	f.rt.FailNext(runtimetest.OpEnsure, errors.New("its network is gone already"), 1)
	f.pass(Active)
	f.r.Wait()
	require.Equal(t, 1, f.r.Failures(f.chainStatus(0).ID), "left to the look at the container")
}

func TestEngineTroubleIsNotThePlacementsFault(t *testing.T) {
	f := setup(t)
	f.place(0, 1)
	f.rt.FailNext(runtimetest.OpEnsure, runtime.ErrUnavailable, 10)
	for range 10 {
		f.settled(Active)
		f.advance(backoffMax)
	}
	f.settled(Active)
	require.Equal(t, runs, f.chainStatus(0).Status)
	require.Zero(t, f.r.Failures(f.chainStatus(0).ID))
}

func TestSilencePausesAndReturnResumes(t *testing.T) {
	f := setup(t)
	f.place(0, 1)
	f.place(1, 2)
	f.settled(Active)
	f.settled(Silent)
	require.Equal(t, runtime.StatusPaused, f.status(container(0, 1)))
	require.Equal(t, runtime.StatusPaused, f.status(container(1, 2)))

	// Back again: one is still ours, the other was placed elsewhere.
	f.change(f.chainStatus(1).ID, func(p *leasetypes.Placement) { p.Status = ended })
	f.settled(Active)
	require.Equal(t, runtime.StatusRunning, f.status(container(0, 1)))
	require.Equal(t, runtime.StatusMissing, f.status(container(1, 2)))
}

func TestSilentBeforeAnyAnswer(t *testing.T) {
	f := setup(t)
	f.place(0, 1)
	f.settled(Active)
	f.restart()
	require.NoError(t, f.r.Pass(context.Background(), nil, Active))
	f.r.Wait()
	require.Equal(t, runtime.StatusRunning, f.status(container(0, 1)))
	require.NoError(t, f.r.Pass(context.Background(), nil, Silent))
	f.r.Wait()
	require.Equal(t, runtime.StatusPaused, f.status(container(0, 1)))
}

func TestRebootIsNobodysFailure(t *testing.T) {
	f := setup(t)
	f.place(0, 1)
	f.settled(Active)
	f.engine.Reboot()
	f.restart()
	f.settled(Active)
	require.Equal(t, runtime.StatusRunning, f.status(container(0, 1)), "at once, without backing off")
	require.Zero(t, f.r.Failures(f.chainStatus(0).ID))
}

func TestADecisionToRejectSurvivesAKill(t *testing.T) {
	f := setup(t)
	f.place(0, 1)
	f.rt.FailNext(runtimetest.OpEnsure, runtime.ErrNoSpace, 1)
	f.refuse = errors.New("no node answers")
	f.pass(Active)
	f.r.Wait()
	f.pass(Active)
	f.r.Wait()
	require.Equal(t, assigned, f.chainStatus(0).Status)

	f.refuse = nil
	f.restart()
	f.settled(Active)
	require.Equal(t, ended, f.chainStatus(0).Status, "not started a second time")
}

func TestASlowImageDelaysNobodyElse(t *testing.T) {
	f := setup(t)
	f.place(0, 1)
	entered, cancelled := make(chan struct{}), make(chan struct{})
	var once sync.Once
	f.resolve = func(ctx context.Context) (bool, error) {
		slow := false
		once.Do(func() { slow = true })
		if !slow {
			return false, errors.New("other")
		}
		close(entered)
		<-ctx.Done()
		close(cancelled)
		return false, ctx.Err()
	}
	f.pass(Active)
	<-entered
	f.mu.Lock()
	f.resolve = nil
	f.mu.Unlock()
	f.place(1, 2)
	f.pass(Active)
	require.Eventually(t, func() bool { return f.status(container(1, 2)) == runtime.StatusRunning }, 10*time.Second, time.Millisecond)

	// The lease is closed while its image is still on the way.
	f.mu.Lock()
	f.change(placement(0, 1, assigned).ID, func(p *leasetypes.Placement) { p.Status = ended })
	f.mu.Unlock()
	f.pass(Active)
	<-cancelled
	f.settled(Active)
	require.Equal(t, runtime.StatusMissing, f.status(container(0, 1)))
}

func TestOwnersPauseGivesBackWhatNeverStarted(t *testing.T) {
	f := setup(t)
	f.place(0, 1)
	f.settled(Active)
	f.place(1, 2)
	f.settled(Paused)
	require.Equal(t, runtime.StatusPaused, f.status(container(0, 1)))
	require.Equal(t, runs, f.chainStatus(0).Status)
	require.Equal(t, ended, f.chainStatus(1).Status)
}

func TestAnotherShapeIsMadeAnew(t *testing.T) {
	f := setup(t)
	f.place(0, 1)
	f.settled(Active)
	require.NoError(t, f.engine.Exit(container(0, 1), 0))
	f.view.Placements[0].Args = []string{program.Serve, "8080"}
	f.advance(backoffMax)
	f.settled(Active)
	f.advance(backoffMax)
	f.settled(Active)
	spec, ok := f.engine.Spec(container(0, 1))
	require.True(t, ok)
	require.Equal(t, []string{program.Serve, "8080"}, spec.Args)
}

func TestEngineDownFailsThePass(t *testing.T) {
	f := setup(t)
	f.engine.SetDown(true)
	require.ErrorIs(t, f.r.Pass(context.Background(), &f.view, Active), runtime.ErrUnavailable)
}
