package integration_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/math"

	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/app"
	"github.com/isuncoin/isuncoin/tests/integration/chain"
	audittypes "github.com/isuncoin/isuncoin/x/audit/types"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// The worked example: hours of a minute, one SUNS at 3,600 uisc an hour, so a uisc a second; a royalty of 1,800 uisc an
// hour, so half a uisc a second; nine tenths to the operator.
const (
	exampleAsk     = 3_600
	exampleRoyalty = 1_800
	exampleDeposit = 1_000
	exampleHour    = time.Minute
)

// shortHours makes hours of a minute and lets nothing else happen meanwhile: epochs stay long.
func shortHours(cdc codec.JSONCodec, state app.GenesisState) error {
	return app.EditGenesis(cdc, state, leasetypes.ModuleName, func(g *leasetypes.GenesisState) {
		g.Params.BillingPeriod = exampleHour
		g.Params.SettleGrace = 10 * time.Second
		g.Params.TrialPeriod = 5 * time.Second
		g.Params.StartDeadline = 20 * time.Second
		g.Params.RetryBackoffMin = time.Second
	})
}

// rented is a chain with a node and a lease that was just matched.
type rented struct {
	*chain.Chain
	lease     leasetypes.LeaseID
	placement leasetypes.Placement
	attests   uint64
}

func rent(t *testing.T, opts ...chain.Option) *rented {
	t.Helper()
	opts = append([]chain.Option{chain.WithAccounts("agent", "agent2"), chain.WithGenesis(shortHours)}, opts...)
	r := &rented{Chain: chain.New(t, opts...)}
	r.Do("operator", registration(r.Chain, "operator", "agent", 1, 4, exampleAsk))
	image := publication(r.Chain, "publisher", "web", exampleRoyalty)
	r.Do("publisher", image)
	r.Do("tenant", &leasetypes.MsgCreateLease{
		Tenant: r.Address("tenant").String(), Image: image.Publisher + "/web:1", Replicas: 1,
		MaxPrice: exampleAsk + exampleRoyalty, Deposit: chain.Coins(exampleDeposit)[0],
	})
	r.lease = leasetypes.NewLeaseID(r.Address("tenant"), 1)
	// The lease was reconciled, and its replica matched, within two blocks of end-blocker work at most.
	r.NextBlock()
	placements := r.live()
	require.Len(t, placements, 1)
	r.placement = placements[0]
	require.Equal(t, leasetypes.PLACEMENT_STATUS_ASSIGNED, r.placement.Status)
	return r
}

// live lists the lease's placements that are not settled.
func (r *rented) live() []leasetypes.Placement {
	r.T.Helper()
	var live []leasetypes.Placement
	err := r.App.LeaseKeeper.Placements.Walk(r.Ctx(), nil, func(_ leasetypes.PlacementKey, p leasetypes.Placement) (bool, error) {
		live = append(live, p)
		return false, nil
	})
	require.NoError(r.T, err)
	return live
}

func (r *rented) money() leasetypes.LeaseMoney {
	r.T.Helper()
	key, err := r.lease.Key()
	require.NoError(r.T, err)
	money, err := r.App.LeaseKeeper.Money.Get(r.Ctx(), key)
	require.NoError(r.T, err)
	return money
}

// start reports the placement as running.
func (r *rented) start(agent string) {
	r.T.Helper()
	r.Do(agent, &leasetypes.MsgStartPlacement{
		Agent: r.Address(agent).String(), ID: r.placement.ID,
		Endpoints: []leasetypes.Endpoint{{Name: "http", Protocol: "http", Address: "127.0.0.1:8080", ContainerPort: 80}},
	})
}

// attestation says that the placement was served for so long in all.
func (r *rented) attestation(agent string, served time.Duration) []byte {
	r.T.Helper()
	r.attests++
	return r.Tx(agent, []sdk.Msg{&audittypes.MsgAttestUsage{
		Agent: r.Address(agent).String(), Version: 1, Sequence: r.attests,
		Entries: []audittypes.UsageEntry{{ID: r.placement.ID, ServedMs: uint64(served.Milliseconds())}},
	}})
}

// serve runs blocks a second apart until the placement has been served for so long, attesting every ten seconds.
func (r *rented) serve(agent string, from, to time.Duration) {
	r.T.Helper()
	for served := from + time.Second; served <= to; served += time.Second {
		if served%(10*time.Second) != 0 && served != to {
			r.NextBlock()
			continue
		}
		block := r.NextBlock(r.attestation(agent, served))
		require.Zero(r.T, block.Results[0].Code, block.Results[0].Log)
	}
}

// A lease from registration to refund. Two whole hours and half of a third are served, then the tenant closes, long after
// the trial: the half hour that was reserved and not used goes to the audit pool, its royalty back to the tenant.
//
//	hour 1, 2   charge 60: operator 54, audit 6; royalty 30
//	hour 3      served 30: operator 27, audit 3; forfeited 30 to audit; royalty 15, royalty 15 back
//	in all      operator 135, audit 45, royalty 75, which is 255; of 1,000 there return 745
func TestWholeLease(t *testing.T) {
	onBothExecutors(t, func(t *testing.T, executor string) {
		r := rent(t, chain.WithExecutor(executor))
		supply := r.Supply()
		require.Equal(t, math.NewInt(exampleDeposit-90), r.money().Balance, "the first hour is reserved at the match")
		require.EqualValues(t, exampleDeposit, r.ModuleBalance(leasetypes.ModuleName))

		r.start("agent")
		operator, publisher := r.Balance(r.Address("operator")), r.Balance(r.Address("publisher"))
		r.serve("agent", 0, 150*time.Second)
		tenant := r.Balance(r.Address("tenant"))
		r.settleAfterClose(t)

		require.EqualValues(t, 135, r.Balance(r.Address("operator"))-operator)
		require.EqualValues(t, 75, r.Balance(r.Address("publisher"))-publisher)
		require.EqualValues(t, 45, r.ModuleBalance(audittypes.ModuleName))
		require.EqualValues(t, 745-chain.TxFee, r.Balance(r.Address("tenant"))-tenant)
		require.Zero(t, r.ModuleBalance(leasetypes.ModuleName))
		require.Equal(t, supply, r.Supply(), "billing neither makes nor burns coins")

		totals := r.money().Totals
		require.Equal(t, math.NewInt(135), totals.PaidOperators)
		require.Equal(t, math.NewInt(45), totals.PaidAudit)
		require.Equal(t, math.NewInt(75), totals.PaidRoyalty)
		require.Equal(t, math.NewInt(745), totals.Refunded)
	})
}

// settleAfterClose closes the lease in the same second as the last attestation, and waits for the last settlement.
func (r *rented) settleAfterClose(t *testing.T) {
	t.Helper()
	closing := r.Tx("tenant", []sdk.Msg{&leasetypes.MsgCloseLease{Tenant: r.lease.Tenant, Number: r.lease.Number}})
	block := r.BlockAfter(0, closing)
	require.Zero(t, block.Results[0].Code, block.Results[0].Log)
	r.Run(15 * time.Second)
	require.Empty(t, r.live())
	load, err := r.App.SunsKeeper.GetNodeLoad(r.Ctx(), r.placement.Node)
	require.NoError(t, err)
	require.Zero(t, load.ReservedGeneralMilliSuns, "the node is free again")
}

// awaitAssigned runs blocks until a placement waits for its node, and gives it.
func (r *rented) awaitAssigned(blocks int) leasetypes.Placement {
	r.T.Helper()
	for range blocks {
		r.NextBlock()
		for _, p := range r.live() {
			if p.Status == leasetypes.PLACEMENT_STATUS_ASSIGNED {
				return p
			}
		}
	}
	require.FailNow(r.T, "no placement was assigned", "in %d blocks", blocks)
	return leasetypes.Placement{}
}

// A node that goes silent loses its placement, and the tenant pays nothing for the gap.
func TestLeaseMovesAwayFromASilentNode(t *testing.T) {
	edit := func(cdc codec.JSONCodec, state app.GenesisState) error {
		if err := shortHours(cdc, state); err != nil {
			return err
		}
		err := app.EditGenesis(cdc, state, audittypes.ModuleName, func(g *audittypes.GenesisState) {
			g.Params.AttestInterval = 5 * time.Second
		})
		if err != nil {
			return err
		}
		return sunsParams(func(p *sunstypes.Params) { p.SilenceLimit = 15 * time.Second })(cdc, state)
	}
	r := rent(t, chain.WithGenesis(edit))
	r.start("agent")
	r.Do("operator2", registration(r.Chain, "operator2", "agent2", 1, 2, exampleAsk))
	first := r.placement
	r.serve("agent", time.Second, 10*time.Second)

	moved := r.awaitAssigned(30)
	require.Equal(t, r.Address("operator2").String(), moved.Node.Operator)
	require.Greater(t, moved.ID.Generation, first.ID.Generation)

	// What the old placement still says of itself is refused.
	result := r.Try("agent", &leasetypes.MsgStartPlacement{Agent: r.Address("agent").String(), ID: first.ID})
	require.NotZero(t, result.Code)

	r.placement, r.attests = moved, 0
	r.start("agent2")
	r.serve("agent2", 0, 20*time.Second)
	require.Len(t, r.live(), 1)
	// Ten seconds were served by the first node: nine uisc to its operator, one to the audit pool.
	require.Equal(t, math.NewInt(9), r.money().Totals.PaidOperators)
	require.Equal(t, math.NewInt(1), r.money().Totals.PaidAudit)
}
