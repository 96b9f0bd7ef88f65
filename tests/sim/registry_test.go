//go:build sims

package sim

import (
	"math/rand"
	"strings"
	"time"

	"github.com/cosmos/cosmos-sdk/testutil/simsx"
	sdk "github.com/cosmos/cosmos-sdk/types"
	simtypes "github.com/cosmos/cosmos-sdk/types/simulation"

	"github.com/isuncoin/isuncoin/app"
)

// factories are the messages that the modules of an application can draw, each as often as its weight says.
type factories struct {
	weighted []simsx.WeightedFactory
	total    int
}

// ownShare makes our modules' messages more frequent than the SDK's, which are many.
const ownShare = 4

// Add registers a factory.
func (f *factories) Add(weight uint32, factory simsx.SimMsgFactoryX) {
	if strings.HasPrefix(sdk.MsgTypeURL(factory.MsgType()), "/isun.") {
		weight *= ownShare
	}
	f.weighted = append(f.weighted, simsx.WeightedFactory{Weight: weight, Factory: factory})
	f.total += int(weight)
}

// factoriesOf collects what an application's modules can draw, proposals of governance included.
func factoriesOf(a *app.App) *factories {
	found := &factories{}
	weights := simsx.ParamWeightSource(simtypes.AppParams{})
	proposals := simsx.NewUniqueTypeRegistry()
	for _, module := range a.SimulationManager().Modules {
		if proposing, ok := module.(simsx.HasProposalMsgsX); ok {
			proposing.ProposalMsgsX(weights, proposals)
		}
	}
	for _, module := range a.SimulationManager().Modules {
		switch drawing := module.(type) {
		case simsx.HasWeightedOperationsX:
			drawing.WeightedOperationsX(weights, found)
		case simsx.HasWeightedOperationsXWithProposals:
			drawing.WeightedOperationsX(weights, found, proposals.Iterator(), nil)
		}
	}
	return found
}

// draw picks a factory.
func (f *factories) draw(r *rand.Rand) simsx.SimMsgFactoryX {
	left := r.Intn(f.total)
	for _, candidate := range f.weighted {
		if left -= int(candidate.Weight); left < 0 {
			return candidate.Factory
		}
	}
	panic("the weights do not add up")
}

// appointment is a message that is due at a time, such as a vote on a proposal.
type appointment struct {
	at      time.Time
	factory simsx.SimMsgFactoryX
}

// diary holds appointments.
type diary []appointment

// Add makes an appointment.
func (d *diary) Add(at time.Time, factory simsx.SimMsgFactoryX) {
	*d = append(*d, appointment{at: at, factory: factory})
}

// due takes out what is due by now.
func (d *diary) due(now time.Time) (due []simsx.SimMsgFactoryX) {
	var later diary
	for _, next := range *d {
		if next.at.After(now) {
			later = append(later, next)
		} else {
			due = append(due, next.factory)
		}
	}
	*d = later
	return due
}
