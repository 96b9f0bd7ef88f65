package reconciler

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/chain"
	"github.com/isuncoin/isuncoin/worker/journal"
	"github.com/isuncoin/isuncoin/worker/runtime"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
)

const (
	chainID  = "isun-1"
	nodeName = "isun1operator/1"
	tenant   = "isun1tenant"
)

func container(replica uint32, generation uint64) runtime.ID {
	return runtime.ID{Chain: chainID, Node: nodeName, Lease: tenant + "/7", Replica: replica, Generation: generation}
}

func placement(replica uint32, generation uint64, status leasetypes.PlacementStatus) leasetypes.Placement {
	return leasetypes.Placement{
		ID:     leasetypes.PlacementID{Tenant: tenant, Number: 7, Replica: replica, Generation: generation},
		Status: status, Image: "isun1pub/app:1", Digest: "sha256:aa", GeneralMilliSuns: 1000,
	}
}

var (
	limits   = runtime.Limits{MilliCPU: 1000, MemoryMiB: 2048, StorageMiB: 16384, BandwidthMbps: 20, Pids: 768}
	endpoint = runtime.Endpoint{Name: "web", Protocol: runtime.ProtocolHTTP, HostPort: 32768, ContainerPort: 8080}
	reported = leasetypes.Endpoint{Name: "web", Protocol: "http", Address: "10.0.0.5:32768", ContainerPort: 8080}
)

const (
	assigned = leasetypes.PLACEMENT_STATUS_ASSIGNED
	runs     = leasetypes.PLACEMENT_STATUS_RUNNING
	ended    = leasetypes.PLACEMENT_STATUS_ENDED
)

func wanted(status leasetypes.PlacementStatus, endpoints ...leasetypes.Endpoint) Wanted {
	p := placement(0, 1, status)
	p.Endpoints = endpoints
	return Wanted{Placement: leasetypes.NodePlacement{Placement: p}, Limits: limits, Published: "10.0.0.5"}
}

func is(status runtime.Status) *runtime.State {
	state := runtime.State{ID: container(0, 1), Status: status, Limits: limits}
	if status == runtime.StatusRunning {
		state.Endpoints = []runtime.Endpoint{endpoint}
	}
	return &state
}

func TestPlan(t *testing.T) {
	const now = time.Hour
	other := limits
	other.MilliCPU = 500
	resized := is(runtime.StatusRunning)
	resized.Limits = other
	detached := is(runtime.StatusRunning)
	detached.Detached = true
	young := Memory{UpSince: now - settle + 1}
	backingOff := Memory{NotBefore: now + 1}
	rejected := Memory{Intent: journal.IntentReject, Reason: "it ended 5 times"}
	for name, tc := range map[string]struct {
		mode    Mode
		want    *Wanted
		unknown bool // the chain has not been asked yet
		actual  *runtime.State
		memory  Memory
		kind    Kind
	}{
		"new":                          {want: p(wanted(assigned)), kind: Start},
		"created but not started":      {want: p(wanted(assigned)), actual: is(runtime.StatusCreated), kind: Start},
		"crashed":                      {want: p(wanted(runs)), actual: is(runtime.StatusExited), kind: Start},
		"crashed, backing off":         {want: p(wanted(runs)), actual: is(runtime.StatusExited), memory: backingOff},
		"vanished":                     {want: p(wanted(runs, reported)), kind: Start},
		"runs, not reported":           {want: p(wanted(assigned)), actual: is(runtime.StatusRunning), kind: Report},
		"runs, too young to report":    {want: p(wanted(assigned)), actual: is(runtime.StatusRunning), memory: young},
		"runs, reported a moment ago":  {want: p(wanted(assigned)), actual: is(runtime.StatusRunning), memory: backingOff},
		"runs, all well":               {want: p(wanted(runs, reported)), actual: is(runtime.StatusRunning)},
		"runs, endpoints changed":      {want: p(wanted(runs)), actual: is(runtime.StatusRunning), kind: Report},
		"runs, limits changed":         {want: p(wanted(runs, reported)), actual: resized, kind: Resize},
		"nobody reaches it":            {want: p(wanted(runs, reported)), actual: detached, kind: Start},
		"nobody reaches it, just done": {want: p(wanted(runs, reported)), actual: detached, memory: backingOff},
		"nobody reaches it, silent":    {mode: Silent, want: p(wanted(runs, reported)), actual: detached, kind: Pause},
		"frozen but wanted":            {want: p(wanted(runs, reported)), actual: is(runtime.StatusPaused), kind: Unpause},
		"crash loop":                   {want: p(wanted(runs)), actual: is(runtime.StatusExited), memory: rejected, kind: Reject},
		"orphan runs":                  {actual: is(runtime.StatusRunning), kind: Remove},
		"orphan exited":                {actual: is(runtime.StatusExited), kind: Remove},
		"orphan frozen":                {actual: is(runtime.StatusPaused), kind: Remove},
		"chain not asked: leave it":    {unknown: true, actual: is(runtime.StatusRunning)},
		"chain not asked, silent":      {unknown: true, mode: Silent, actual: is(runtime.StatusRunning), kind: Pause},
		"chain not asked, silent, off": {unknown: true, mode: Silent, actual: is(runtime.StatusExited)},
		"silent, runs":                 {mode: Silent, want: p(wanted(runs, reported)), actual: is(runtime.StatusRunning), kind: Pause},
		"silent, frozen":               {mode: Silent, want: p(wanted(runs, reported)), actual: is(runtime.StatusPaused)},
		"silent, crashed":              {mode: Silent, want: p(wanted(runs)), actual: is(runtime.StatusExited)},
		"silent, new":                  {mode: Silent, want: p(wanted(assigned))},
		"silent, crash loop":           {mode: Silent, want: p(wanted(runs)), actual: is(runtime.StatusExited), memory: rejected},
		"silent, orphan":               {mode: Silent, actual: is(runtime.StatusRunning), kind: Remove},
		"owner paused, runs":           {mode: Paused, want: p(wanted(runs, reported)), actual: is(runtime.StatusRunning), kind: Pause},
		"owner paused, frozen":         {mode: Paused, want: p(wanted(runs, reported)), actual: is(runtime.StatusPaused)},
		"owner paused, new":            {mode: Paused, want: p(wanted(assigned)), kind: Reject},
		"owner paused, new, just sent": {mode: Paused, want: p(wanted(assigned)), memory: backingOff},
		"owner paused, orphan":         {mode: Paused, actual: is(runtime.StatusPaused), kind: Remove},
	} {
		t.Run(name, func(t *testing.T) {
			mode, desired := tc.mode, Desired{}
			if mode == "" {
				mode = Active
			}
			if tc.unknown {
				desired = nil
			}
			if tc.want != nil {
				desired[container(0, 1)] = *tc.want
			}
			var actual []runtime.State
			if tc.actual != nil {
				actual = append(actual, *tc.actual)
			}
			actions := Plan(mode, desired, actual, map[runtime.ID]Memory{container(0, 1): tc.memory}, now)
			if tc.kind == "" {
				require.Empty(t, actions)
				return
			}
			require.Len(t, actions, 1)
			require.Equal(t, tc.kind, actions[0].Kind)
			require.Equal(t, container(0, 1), actions[0].ID)
		})
	}
}

func p(w Wanted) *Wanted { return &w }

func TestAnOlderGenerationGoesAndTheNewOneComes(t *testing.T) {
	view := chain.View{Placements: []leasetypes.NodePlacement{
		{Placement: placement(0, 1, ended)}, {Placement: placement(0, 3, assigned)}, {Placement: placement(1, 2, runs)},
	}}
	desired := DesiredOf(view, chainID, nodeName, func(p leasetypes.NodePlacement) Wanted {
		return Wanted{Placement: p, Limits: limits}
	})
	require.Len(t, desired, 2)
	old := runtime.State{ID: container(0, 1), Status: runtime.StatusRunning, Limits: limits}
	same := runtime.State{ID: container(1, 2), Status: runtime.StatusRunning, Limits: limits}
	actions := Plan(Active, desired, []runtime.State{old, same}, nil, time.Hour)
	require.Len(t, actions, 2)
	require.Equal(t, Action{Kind: Remove, ID: container(0, 1), Reason: "the chain does not want it here"}, actions[0])
	require.Equal(t, Action{Kind: Start, ID: container(0, 3), Reason: "missing"}, actions[1])
}

func TestEndpointsAreSortedAndOnlyBoundOnes(t *testing.T) {
	state := runtime.State{Endpoints: []runtime.Endpoint{
		endpoint, {Name: "db", Protocol: runtime.ProtocolTCP, HostPort: 40000, ContainerPort: 5432}, {Name: "late", ContainerPort: 1},
	}}
	require.Equal(t, []leasetypes.Endpoint{
		{Name: "db", Protocol: "tcp", Address: "[fd00::1]:40000", ContainerPort: 5432},
		{Name: "web", Protocol: "http", Address: "[fd00::1]:32768", ContainerPort: 8080},
	}, Endpoints(state, "fd00::1"))
}

func TestBackoffDoublesToItsBound(t *testing.T) {
	var got []time.Duration
	for n := range 8 {
		got = append(got, backoff(n+1))
	}
	s := time.Second
	require.Equal(t, []time.Duration{s, 2 * s, 4 * s, 8 * s, 16 * s, 30 * s, 30 * s, 30 * s}, got)
}

func TestClipKeepsCharactersWhole(t *testing.T) {
	require.Equal(t, "ab", clip("ab", 2))
	require.Equal(t, "a", clip("aé", 2))
	require.Equal(t, "aé", clip("aéb", 3))
}
