package reconciler

import (
	"slices"
	"time"

	"github.com/isuncoin/isuncoin/worker/chain"
	"github.com/isuncoin/isuncoin/worker/journal"
	"github.com/isuncoin/isuncoin/worker/runtime"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
)

// Mode is what the worker may do at all.
type Mode string

// The modes.
const (
	// Active: run what the chain says.
	Active Mode = "active"
	// Paused: the owner wants the machine; nothing runs, nothing begins.
	Paused Mode = "paused"
	// Silent: the chain may soon run elsewhere what runs here.
	Silent Mode = "silent"
)

// Kind is what to do with a placement.
type Kind string

// The actions.
const (
	// Start makes a missing container, or starts one that ended or that nobody
	// reaches.
	Start Kind = "start"
	// Report tells the chain that a placement runs and where it answers.
	Report Kind = "report"
	// Resize changes limits in place.
	Resize Kind = "resize"
	// Pause freezes a container, Unpause thaws it.
	Pause   Kind = "pause"
	Unpause Kind = "unpause"
	// Reject gives a placement back to the chain.
	Reject Kind = "reject"
	// Remove takes a container away with all it has.
	Remove Kind = "remove"
)

// Action is one step for one placement.
type Action struct {
	Kind   Kind
	ID     runtime.ID
	Reason string
}

// Wanted is a placement that the chain wants to run here, with what a
// container of it must look like.
type Wanted struct {
	Placement leasetypes.NodePlacement
	Limits    runtime.Limits
	// Published is the address that endpoints are reported with.
	Published string
}

// Memory is what earlier passes learned of a placement.
type Memory struct {
	Intent journal.Intent
	Reason string
	// NotBefore is when the next start or message may be tried.
	NotBefore time.Duration
	// UpSince is when it was first seen in its present run.
	UpSince time.Duration
}

// settle is how long a container must have run before the chain hears of it:
// most that cannot start end at once. Longer, and the news of a quick start
// would miss the next block.
const settle = 150 * time.Millisecond

// Desired maps the chain's placements of this node to containers. A nil map
// means that the chain has not been asked yet.
type Desired map[runtime.ID]Wanted

// Plan compares what the chain wants with what the engine has. It is the
// whole of the worker's judgement about containers and touches nothing.
func Plan(mode Mode, desired Desired, actual []runtime.State, memory map[runtime.ID]Memory, now time.Duration) []Action {
	var actions []Action
	seen := make(map[runtime.ID]bool, len(actual))
	for _, state := range actual {
		seen[state.ID] = true
		want, wanted := desired[state.ID]
		kind, reason := Kind(""), ""
		switch {
		case wanted:
			kind, reason = planWanted(mode, want, state, memory[state.ID], now)
		case desired != nil:
			kind, reason = Remove, "the chain does not want it here"
		case mode != Active && state.Status == runtime.StatusRunning:
			kind, reason = Pause, string(mode)
		}
		if kind != "" {
			actions = append(actions, Action{Kind: kind, ID: state.ID, Reason: reason})
		}
	}
	for id, want := range desired {
		if seen[id] {
			continue
		}
		missing := runtime.State{ID: id, Status: runtime.StatusMissing}
		if kind, reason := planWanted(mode, want, missing, memory[id], now); kind != "" {
			actions = append(actions, Action{Kind: kind, ID: id, Reason: reason})
		}
	}
	slices.SortFunc(actions, func(a, b Action) int { return a.ID.Compare(b.ID) })
	return actions
}

func planWanted(mode Mode, want Wanted, state runtime.State, m Memory, now time.Duration) (Kind, string) {
	ready := now >= m.NotBefore
	if m.Intent == journal.IntentReject {
		if ready && mode != Silent { // the reason does not get through anyway
			return Reject, m.Reason
		}
		return "", ""
	}
	if mode != Active {
		return planHalted(mode, want, state, ready)
	}
	switch state.Status {
	case runtime.StatusMissing, runtime.StatusCreated, runtime.StatusExited:
		if ready {
			return Start, string(state.Status)
		}
	case runtime.StatusPaused:
		return Unpause, "the chain wants it to run"
	case runtime.StatusRunning:
		return planRunning(want, state, m, now)
	}
	return "", ""
}

// planHalted freezes what runs. A placement that never started is given back
// at once when the owner paused: its tenant need not wait for the deadline.
func planHalted(mode Mode, want Wanted, state runtime.State, ready bool) (Kind, string) {
	switch {
	case state.Status == runtime.StatusRunning:
		return Pause, string(mode)
	case mode == Paused && ready && want.Placement.Placement.Status == leasetypes.PLACEMENT_STATUS_ASSIGNED:
		return Reject, "the machine's owner has paused it"
	}
	return "", ""
}

func planRunning(want Wanted, state runtime.State, m Memory, now time.Duration) (Kind, string) {
	p := want.Placement.Placement
	if state.Detached {
		if now < m.NotBefore {
			return "", ""
		}
		return Start, "its network was taken away"
	}
	if state.Unbounded && now >= m.NotBefore {
		return Start, "it runs without all of its limits"
	}
	if l := state.Limits; want.Limits != (runtime.Limits{}) && (l.MilliCPU != want.Limits.MilliCPU || l.MemoryMiB != want.Limits.MemoryMiB || l.Pids != want.Limits.Pids) {
		return Resize, "its limits changed"
	}
	if now < m.NotBefore || now-m.UpSince < settle {
		return "", ""
	}
	switch {
	case p.Status == leasetypes.PLACEMENT_STATUS_ASSIGNED:
		return Report, "it runs"
	case !slices.Equal(p.Endpoints, Endpoints(state, want.Published)):
		return Report, "its endpoints changed"
	}
	return "", ""
}

// DesiredOf picks the placements that are to run. What has ended is not among
// them, nor is an older generation: both are to be removed.
func DesiredOf(view chain.View, chainID, node string, shape func(leasetypes.NodePlacement) Wanted) Desired {
	desired := make(Desired, len(view.Placements))
	for _, p := range view.Placements {
		if !chain.Live(p.Placement) {
			continue
		}
		id := p.Placement.ID
		desired[runtime.ID{
			Chain: chainID, Node: node, Lease: id.Lease().String(), Replica: id.Replica, Generation: id.Generation,
		}] = shape(p)
	}
	return desired
}
