package keeper_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/cosmos/cosmos-sdk/types/query"

	"github.com/isuncoin/isuncoin/x/audit/types"
	"github.com/isuncoin/isuncoin/x/duequeue"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

func TestQueryPool(t *testing.T) {
	f := newFixture(t)
	f.FundModule(types.ModuleName, 42)
	response, err := f.query.Pool(f.Ctx, &types.QueryPoolRequest{})
	require.NoError(t, err)
	require.Equal(t, types.NewPoolState(), response.State)
	require.EqualValues(t, 42, response.Balance.Int64())
}

func TestQueryUsage(t *testing.T) {
	f := newFixture(t)
	_, err := f.usage(1)
	require.ErrorIs(t, err, types.ErrUsageNotFound)
	require.Equal(t, codes.NotFound, status.Code(err))
	for _, req := range []*types.QueryUsageRequest{nil, {}, {Tenant: placement(1).Tenant, Number: 1}} {
		_, err := f.query.Usage(f.Ctx, req)
		require.ErrorIs(t, err, types.ErrInvalidRequest)
	}
}

func TestQueryNode(t *testing.T) {
	f := newFixture(t)
	node := f.addNode("operator")
	attestation, err := f.query.Attestation(f.Ctx, &types.QueryAttestationRequest{Operator: node.ID.Operator, Node: 1})
	require.NoError(t, err)
	require.Zero(t, attestation.Attestation.Sequence, "it never attested")
	require.Zero(t, f.rewards(node))

	_, err = f.query.Attestation(f.Ctx, &types.QueryAttestationRequest{Operator: node.ID.Operator, Node: 2})
	require.ErrorIs(t, err, sunstypes.ErrNodeNotFound)
	_, err = f.query.Rewards(f.Ctx, &types.QueryRewardsRequest{Operator: testkit.Addr("x").String(), Node: 1})
	require.ErrorIs(t, err, sunstypes.ErrNodeNotFound)
	for _, operator := range []string{"", "x"} {
		_, err = f.query.Attestation(f.Ctx, &types.QueryAttestationRequest{Operator: operator, Node: 1})
		require.ErrorIs(t, err, types.ErrInvalidRequest)
		_, err = f.query.Rewards(f.Ctx, &types.QueryRewardsRequest{Operator: operator, Node: 1})
		require.ErrorIs(t, err, types.ErrInvalidRequest)
	}
	_, err = f.query.Attestation(f.Ctx, nil)
	require.ErrorIs(t, err, types.ErrInvalidRequest)
	_, err = f.query.Rewards(f.Ctx, nil)
	require.ErrorIs(t, err, types.ErrInvalidRequest)
}

// What a query says can be withdrawn is what a withdrawal pays.
func TestQueryRewardsIsWhatIsPaid(t *testing.T) {
	f := newFixture(t)
	node := f.addNode("operator")
	f.FundModule(types.ModuleName, 100)
	f.checkIn(node)
	f.endBlock()
	require.Zero(t, f.rewards(node), "the running epoch is not divided yet")
	f.closeEpoch()
	said := f.rewards(node)
	require.EqualValues(t, 100, said)
	f.withdraw(node)
	f.endBlock()
	require.Equal(t, said, f.operatorBalance(node))
}

func TestQueryQuarantinePages(t *testing.T) {
	f := newFixture(t)
	for range 3 {
		_, err := f.keeper.Quarantine.Add(f.Ctx, duequeue.QuarantinedItem{Queue: types.PayoutQueueName})
		require.NoError(t, err)
	}
	first, err := f.query.Quarantine(f.Ctx, &types.QueryQuarantineRequest{Pagination: &query.PageRequest{Limit: 2}})
	require.NoError(t, err)
	require.Len(t, first.Items, 2)
	second, err := f.query.Quarantine(f.Ctx, &types.QueryQuarantineRequest{Pagination: &query.PageRequest{Key: first.Pagination.NextKey}})
	require.NoError(t, err)
	require.Len(t, second.Items, 1)
	require.EqualValues(t, 3, second.Items[0].Number)
	_, err = f.query.Quarantine(f.Ctx, nil)
	require.ErrorIs(t, err, types.ErrInvalidRequest)
}

func TestParamsMustBeSet(t *testing.T) {
	f := newFixture(t)
	cache, _ := f.Ctx.CacheContext()
	require.NoError(t, f.keeper.Params.Remove(cache))
	_, err := f.query.Params(cache, &types.QueryParamsRequest{})
	require.Error(t, err)
	require.Error(t, f.keeper.EndBlock(cache))
}
