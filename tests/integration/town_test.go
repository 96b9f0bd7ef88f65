package integration_test

import (
	"fmt"
	"math/rand"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	govv1 "github.com/cosmos/cosmos-sdk/x/gov/types/v1"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"

	"github.com/isuncoin/isuncoin/app"
	"github.com/isuncoin/isuncoin/tests/integration/chain"
	audittypes "github.com/isuncoin/isuncoin/x/audit/types"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// Sizes of a town.
const (
	townOperators  = 4
	townNodes      = 8
	townTenants    = 4
	townValidators = 4
)

// town is a chain on which everybody is busy: operators with nodes, tenants with leases, publishers, delegators and voters.
// What they do is drawn from a seed, and follows the state, as real workers and tenants do.
type town struct {
	*chain.Chain
	rand  *rand.Rand
	nodes []*townNode
	// images, of which the first stays published.
	images []string
	// proposals are those that were made, voted those that were voted on.
	proposals, voted uint64
	txs              [][]byte
	// served is the most that was said of a placement: less would be refused.
	served map[leasetypes.PlacementID]uint64
	// twins run the same blocks.
	twins []*twin
}

type townNode struct {
	operator, agent string
	number          uint64
	sequence        uint64
	silentUntil     time.Time
	retired         bool
}

// townParams make an hour of 20 seconds and everything else as short beside it.
func townParams(cdc codec.JSONCodec, state app.GenesisState) error {
	for _, err := range []error{
		app.EditGenesis(cdc, state, leasetypes.ModuleName, func(g *leasetypes.GenesisState) {
			p := &g.Params
			p.BillingPeriod, p.SettleGrace, p.TrialPeriod = 20*time.Second, 5*time.Second, 2*time.Second
			p.StartDeadline, p.DrainGrace = 8*time.Second, 12*time.Second
			p.MaxWait, p.Retention = 40*time.Second, time.Minute
			p.RetryBackoffMin, p.RetryBackoffMax = time.Second, 8*time.Second
			p.NodeBackoffMin, p.NodeBackoffMax = 5*time.Second, 30*time.Second
			p.RetryFee, p.MinDemandMilliSuns = 7, 100
		}),
		app.EditGenesis(cdc, state, sunstypes.ModuleName, func(g *sunstypes.GenesisState) {
			p := &g.Params
			p.EpochDuration, p.SilenceLimit, p.UnbondingPeriod = 45*time.Second, 15*time.Second, 30*time.Second
			p.ClaimEpochs = 3
		}),
		app.EditGenesis(cdc, state, audittypes.ModuleName, func(g *audittypes.GenesisState) {
			g.Params.AttestInterval, g.Params.ClaimEpochs = 5*time.Second, 3
		}),
		app.EditGenesis(cdc, state, stakingtypes.ModuleName, func(g *stakingtypes.GenesisState) {
			g.Params.UnbondingTime = 2 * time.Minute
		}),
		app.EditGenesis(cdc, state, govtypes.ModuleName, func(g *govv1.GenesisState) {
			voting, expedited := 10*time.Second, 5*time.Second
			g.Params.VotingPeriod, g.Params.ExpeditedVotingPeriod = &voting, &expedited
		}),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

// newTown founds a town: its nodes are registered and its images published.
func newTown(t *testing.T, seed int64, opts ...chain.Option) *town {
	t.Helper()
	var names []string
	for i := range townOperators {
		names = append(names, fmt.Sprintf("op%d", i))
	}
	for i := range townTenants {
		names = append(names, fmt.Sprintf("ten%d", i))
	}
	for i := range townNodes {
		names = append(names, fmt.Sprintf("agent%d", i))
	}
	opts = append([]chain.Option{
		chain.WithAccounts(names...), chain.WithFixedKeys(), chain.WithValidators(townValidators),
		chain.WithGenesis(townParams), chain.WithoutInvariants(),
	}, opts...)
	v := &town{Chain: chain.New(t, opts...), rand: rand.New(rand.NewSource(seed)), served: map[leasetypes.PlacementID]uint64{}}
	for i := range townNodes {
		v.register(i, uint64(2+i%3*3))
	}
	for i := range 3 {
		image := publication(v.Chain, "publisher", fmt.Sprintf("web%d", i), uint64(i)*1_800)
		v.queue("publisher", image)
		v.images = append(v.images, image.Publisher+"/"+image.Name+":1")
	}
	v.block(time.Second)
	return v
}

// queue signs a message for the block to come.
func (v *town) queue(signer string, msgs ...sdk.Msg) {
	v.T.Helper()
	v.txs = append(v.txs, v.Tx(signer, msgs, chain.WithGas(2_000_000)))
}

// block runs what was queued.
func (v *town) block(pause time.Duration) chain.Block {
	v.T.Helper()
	txs := v.txs
	v.txs = nil
	block := v.BlockAfter(pause, txs...)
	for _, other := range v.twins {
		other.follow(v.T, block, pause, txs)
	}
	return block
}

// chance is true once in n times.
func (v *town) chance(n int) bool { return v.rand.Intn(n) == 0 }

func (v *town) tenant() string { return fmt.Sprintf("ten%d", v.rand.Intn(townTenants)) }

func (v *town) register(i int, suns uint64) {
	v.T.Helper()
	operator, agent := fmt.Sprintf("op%d", i%townOperators), fmt.Sprintf("agent%d", i)
	last, err := v.App.SunsKeeper.Operators.Get(v.Ctx(), v.Address(operator))
	if err != nil {
		last = 0 // its first node
	}
	number := last + 1
	for _, other := range v.nodes {
		if other.operator == operator {
			number = max(number, other.number+1)
		}
	}
	v.queue(operator, registration(v.Chain, operator, agent, number, suns, 3_000+uint64(v.rand.Intn(5))*300))
	node := &townNode{operator: operator, agent: agent, number: number}
	if i < len(v.nodes) {
		v.nodes[i] = node
		return
	}
	v.nodes = append(v.nodes, node)
}

// day lets everybody do something for one block.
func (v *town) day() chain.Block {
	v.T.Helper()
	placements := v.placements()
	for i, node := range v.nodes {
		v.work(i, node, placements[sunstypes.NewNodeID(v.Address(node.operator), node.number)])
	}
	for range 1 + v.rand.Intn(2) {
		if v.chance(3) {
			v.rentSomething()
		}
	}
	if v.chance(12) {
		v.operate(v.nodes[v.rand.Intn(townNodes)])
	}
	if v.chance(25) {
		v.stake()
	}
	v.govern()
	pause := time.Second
	if v.chance(150) {
		pause = time.Duration(1+v.rand.Intn(120)) * time.Minute // the chain stood still
	}
	return v.block(pause)
}

// placements are the unsettled ones, by node.
func (v *town) placements() map[sunstypes.NodeID][]leasetypes.Placement {
	v.T.Helper()
	byNode := map[sunstypes.NodeID][]leasetypes.Placement{}
	err := v.App.LeaseKeeper.Placements.Walk(v.Ctx(), nil, func(_ leasetypes.PlacementKey, p leasetypes.Placement) (bool, error) {
		byNode[p.Node] = append(byNode[p.Node], p)
		return false, nil
	})
	require.NoError(v.T, err)
	return byNode
}

// now is the chain clock.
func (v *town) now() uint64 {
	v.T.Helper()
	now, err := v.App.SunsKeeper.NowMs(v.Ctx())
	require.NoError(v.T, err)
	return now
}

// work is what a node's agent does in a block.
func (v *town) work(i int, node *townNode, placements []leasetypes.Placement) {
	v.T.Helper()
	if node.retired {
		if v.chance(40) {
			v.register(i, uint64(2+i%3*3))
		}
		return
	}
	if i < townNodes && v.chance(400) {
		node.silentUntil = v.Time.Add(time.Duration(10+v.rand.Intn(60)) * time.Second)
	}
	if v.Time.Before(node.silentUntil) {
		return
	}
	agent := v.Address(node.agent).String()
	var entries []audittypes.UsageEntry
	for _, p := range placements {
		switch {
		case p.StartedMs != 0:
			entries = append(entries, v.usage(p))
		case p.Status != leasetypes.PLACEMENT_STATUS_ASSIGNED || p.Ending():
		case i < townNodes && v.chance(25):
			v.queue(node.agent, &leasetypes.MsgRejectPlacement{Agent: agent, ID: p.ID, Reason: "no room"})
		case v.chance(3):
			v.queue(node.agent, &leasetypes.MsgStartPlacement{Agent: agent, ID: p.ID})
		}
	}
	switch {
	case len(entries) > 0 && v.chance(5):
		node.sequence++
		attest := &audittypes.MsgAttestUsage{Agent: agent, Version: 1, Sequence: node.sequence, Entries: entries}
		v.txs = append(v.txs, v.Tx(node.agent, []sdk.Msg{attest}, chain.WithGas(1_000_000+200_000*uint64(len(entries)))))
	case len(entries) == 0 && v.chance(10):
		v.queue(node.agent, &sunstypes.MsgCheckIn{Agent: agent})
	}
}

// usage is all the time since the start, and now and then a boast.
func (v *town) usage(p leasetypes.Placement) audittypes.UsageEntry {
	now := v.now() + 1_000
	if p.EndedMs != 0 {
		now = p.EndedMs
	}
	served := now - min(now, p.StartedMs)
	if v.chance(20) {
		served += 60_000
	}
	served = max(served, v.served[p.ID])
	v.served[p.ID] = served
	return audittypes.UsageEntry{ID: p.ID, ServedMs: served, CpuMs: served / 2, BytesIn: served * 10}
}

// twin is a chain that began from an export of another and is given the same blocks.
type twin struct {
	*chain.Chain
	// exact says that results and events must be the same, too.
	exact bool
}

// follow runs a block of the other chain and compares.
func (w *twin) follow(t testing.TB, block chain.Block, pause time.Duration, txs [][]byte) {
	t.Helper()
	own := w.BlockAfter(pause, txs...)
	if !w.exact {
		return
	}
	for i, result := range block.Results {
		// Records that say nothing, such as the place of a payout that was made, and records of what a node attests are not
		// kept, so that reading and writing there costs other gas until they are made anew.
		own.Results[i].GasUsed = result.GasUsed
		require.Equal(t, result, own.Results[i], "transaction %d of block %d", i, block.Height)
	}
	require.Equal(t, block.Events, own.Events, "events of block %d", block.Height)
}
