package keeper_test

import (
	"github.com/stretchr/testify/require"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/lease/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

// What tenants, funders, agents and governance do, for tests.

// setParams changes the params as governance would.
func (f *fixture) setParams(change func(*types.Params)) {
	f.T.Helper()
	params, err := f.k.Params.Get(f.Ctx)
	require.NoError(f.T, err)
	change(&params)
	require.NoError(f.T, deliver(f, f.msgs.UpdateParams, &types.MsgUpdateParams{Authority: f.Authority.String(), Params: params}))
}

// update changes a lease as its tenant would.
func (f *fixture) update(id types.LeaseID, change func(*types.MsgUpdateLease)) {
	f.T.Helper()
	msg := &types.MsgUpdateLease{Tenant: id.Tenant, Number: id.Number}
	change(msg)
	require.NoError(f.T, deliver(f, f.msgs.UpdateLease, msg))
}

func (f *fixture) migrate(id types.LeaseID, replica uint32) {
	f.T.Helper()
	require.NoError(f.T, deliver(f, f.msgs.MigratePlacement,
		&types.MsgMigratePlacement{Tenant: id.Tenant, Number: id.Number, Replica: replica}))
}

// fund pays into a lease from an account.
func (f *fixture) fund(id types.LeaseID, from sdk.AccAddress, uisc int64) {
	f.T.Helper()
	require.NoError(f.T, deliver(f, f.msgs.FundLease, &types.MsgFundLease{
		Funder: from.String(), Tenant: id.Tenant, Number: id.Number, Amount: testkit.Coin(uisc),
	}))
}

func (f *fixture) reject(p types.Placement) {
	f.T.Helper()
	require.NoError(f.T, deliver(f, f.msgs.RejectPlacement, &types.MsgRejectPlacement{
		Agent: f.agentOf(p.Node), ID: p.ID, Reason: "it does not run here",
	}))
}

// leaseKey is a lease's key of state.
func (f *fixture) leaseKey(id types.LeaseID) types.LeaseKey {
	f.T.Helper()
	key, err := id.Key()
	require.NoError(f.T, err)
	return key
}

func (f *fixture) placementKey(id types.PlacementID) types.PlacementKey {
	f.T.Helper()
	key, err := id.Key()
	require.NoError(f.T, err)
	return key
}
