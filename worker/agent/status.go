package agent

import (
	"os"
	"slices"
	"strings"

	"github.com/isuncoin/isuncoin/worker/control"
	"github.com/isuncoin/isuncoin/worker/recorder"
	"github.com/isuncoin/isuncoin/worker/runtime"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
)

// Status implements control.Agent.
func (a *Agent) Status() control.Status {
	a.mu.Lock()
	view, mode, chainErr := a.view, a.mode, a.chainErr
	a.mu.Unlock()
	s := control.Status{
		ChainID: a.o.Node.ChainID, Node: a.o.Node.ID().String(), Agent: a.o.Node.Agent,
		PID: os.Getpid(), Since: a.since, Mode: string(mode), SilentIn: a.watchdog.Left().Seconds(),
		Engine: a.o.Engine, Attester: a.attester.Status(), Placements: []control.Placement{},
	}
	if a.o.Endpoint != nil {
		s.Endpoint = a.o.Endpoint()
	}
	if chainErr != nil {
		s.ChainError = chainErr.Error()
	}
	states := make(map[leasetypes.PlacementID]runtime.State)
	for _, state := range a.reconciler.Containers() {
		if id, err := recorder.PlacementID(state.ID); err == nil {
			states[id] = state
		}
	}
	if view != nil {
		for _, p := range view.Placements {
			s.Placements = append(s.Placements, a.listed(p, states[p.Placement.ID]))
			delete(states, p.Placement.ID)
		}
	}
	for id, state := range states {
		s.Placements = append(s.Placements, control.Placement{
			ID: id, Chain: "unknown", Container: string(state.Status), Restarts: state.Restarts,
		})
	}
	slices.SortFunc(s.Placements, func(a, b control.Placement) int { return strings.Compare(a.ID.String(), b.ID.String()) })
	return s
}

func (a *Agent) listed(p leasetypes.NodePlacement, state runtime.State) control.Placement {
	record := a.recorder.Records()[p.Placement.ID]
	out := control.Placement{
		ID: p.Placement.ID, Chain: StatusName(p.Placement.Status), Container: string(state.Status),
		Image: p.Placement.Image, MilliSuns: p.Placement.MilliSuns, Price: p.Placement.Price,
		Usage: record.Usage, Attested: record.Attested, Failures: a.reconciler.Failures(p.Placement.ID),
		Restarts: state.Restarts, Endpoints: p.Placement.Endpoints, PaidOperator: "0",
	}
	if out.Container == "" {
		out.Container = string(runtime.StatusMissing)
	}
	if paid := p.Billing.PaidOperator; !paid.IsNil() {
		out.PaidOperator = paid.String()
	}
	return out
}

// StatusName is a placement's status as people write it: "running".
func StatusName(s leasetypes.PlacementStatus) string {
	return strings.ToLower(strings.TrimPrefix(s.String(), "PLACEMENT_STATUS_"))
}
