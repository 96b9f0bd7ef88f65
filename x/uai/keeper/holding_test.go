package keeper_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/query"

	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
	"github.com/isuncoin/isuncoin/x/uai/types"
)

func (f *fixture) holders(content string) []types.Holder {
	f.T.Helper()
	res, err := f.query.Holders(f.Ctx, &types.QueryHoldersRequest{Digest: digest(content)})
	require.NoError(f.T, err)
	return res.Holders
}

func (f *fixture) holdings(id sunstypes.NodeID) []string {
	f.T.Helper()
	res, err := f.query.Holdings(f.Ctx, &types.QueryHoldingsRequest{Operator: id.Operator, Number: id.Number})
	require.NoError(f.T, err)
	return res.Digests
}

func TestAgentAnnouncesAndDropsWhatItsNodeHas(t *testing.T) {
	f := newFixture(t)
	id, agent := f.node("carol", 1, sunstypes.NODE_STATUS_ACTIVE)
	other, otherAgent := f.node("carol", 2, sunstypes.NODE_STATUS_DRAINING)
	events, err := f.Deliver(func(ctx sdk.Context) error {
		_, err := f.msg.AnnounceHolding(ctx, &types.MsgAnnounceHolding{Agent: agent, Digests: []string{digest("a"), digest("b")}})
		return err
	})
	require.NoError(t, err)
	require.Equal(t, []types.EventHoldingAnnounced{
		{Digest: digest("a"), Operator: id.Operator, Number: 1}, {Digest: digest("b"), Operator: id.Operator, Number: 1},
	}, testkit.EventsOf[types.EventHoldingAnnounced](t, events))
	require.NoError(t, f.announce(otherAgent, "a"))

	require.Len(t, f.holders("a"), 2)
	require.Len(t, f.holders("b"), 1)
	require.Empty(t, f.holders("c"))
	require.ElementsMatch(t, []string{digest("a"), digest("b")}, f.holdings(id))
	require.Equal(t, []string{digest("a")}, f.holdings(other))

	// Announced again, it counts once.
	require.NoError(t, f.announce(agent, "b", "c"))
	require.Len(t, f.holdings(id), 3)

	require.NoError(t, f.drop(agent, nil, "a", "never announced"))
	require.Equal(t, []types.Holder{{Node: other, Agent: otherAgent, Status: sunstypes.NODE_STATUS_DRAINING}}, f.holders("a"))
	require.NoError(t, f.drop(agent, nil, "b", "c"))
	require.Empty(t, f.holdings(id))
}

// Whoever looks for content learns in one answer who has it and how to reach them.
func TestHoldersComeWithTheirContacts(t *testing.T) {
	f := newFixture(t)
	id, agent := f.node("carol", 1, sunstypes.NODE_STATUS_ACTIVE)
	gone, goneAgent := f.node("carol", 2, sunstypes.NODE_STATUS_ACTIVE)
	left, leftAgent := f.node("carol", 3, sunstypes.NODE_STATUS_ACTIVE)
	key, err := id.Key()
	require.NoError(t, err)
	require.NoError(t, f.suns.SetContact(f.Ctx, testkit.Addr("agent of carol/1"), testkit.Digest("key"), []string{"/ip4/203.0.113.7/tcp/1"}))
	require.NoError(t, f.suns.CheckIns.Set(f.Ctx, key, 77))
	for _, a := range []string{agent, goneAgent, leftAgent} {
		require.NoError(t, f.announce(a, "a"))
	}
	f.goes(gone)
	f.node("carol", 3, sunstypes.NODE_STATUS_RETIRED)

	require.ElementsMatch(t, []types.Holder{
		{
			Node: id, Agent: agent, Status: sunstypes.NODE_STATUS_ACTIVE, LastSeenMs: 77,
			EncryptionKey: testkit.Digest("key"), Addresses: []string{"/ip4/203.0.113.7/tcp/1"},
		},
		{Node: left, Agent: leftAgent, Status: sunstypes.NODE_STATUS_RETIRED},
	}, f.holders("a"))
	content, err := f.query.Content(f.Ctx, &types.QueryContentRequest{Digest: digest("a")})
	require.NoError(t, err)
	require.Equal(t, &types.QueryContentResponse{Digest: digest("a"), Holders: 1}, content, "one that is alive")
}

// A node that left cannot drop what it announced: anybody may, and of no other node.
func TestAnybodyTidiesUpAfterANodeThatLeft(t *testing.T) {
	f := newFixture(t)
	id, agent := f.node("carol", 1, sunstypes.NODE_STATUS_ACTIVE)
	require.NoError(t, f.announce(agent, "a", "b"))
	require.ErrorIs(t, f.drop(bob, &id, "a"), types.ErrNodeHolds)
	f.node("carol", 1, sunstypes.NODE_STATUS_UNRESPONSIVE)
	require.ErrorIs(t, f.drop(bob, &id, "a"), types.ErrNodeHolds)
	require.NoError(t, f.drop(agent, &id, "never announced"), "its own agent may name it")

	f.node("carol", 1, sunstypes.NODE_STATUS_RETIRED)
	require.ErrorIs(t, f.announce(agent, "c"), types.ErrNodeRetired)
	require.NoError(t, f.drop(bob, &id, "a"))
	f.goes(id)
	require.NoError(t, f.drop(bob, &id, "b"))
	require.Empty(t, f.holdings(id))
}

func TestHoldingsRefused(t *testing.T) {
	f := newFixture(t)
	_, agent := f.node("carol", 1, sunstypes.NODE_STATUS_ACTIVE)
	many := func(n int) (digests []string) {
		for i := range n {
			digests = append(digests, digest(fmt.Sprint(i)))
		}
		return digests
	}
	for name, c := range map[string]struct {
		agent   string
		digests []string
		err     error
	}{
		"nothing":         {agent, nil, types.ErrInvalidHolding},
		"no agent":        {bob, many(1), sunstypes.ErrAgentUnknown},
		"no address":      {"x", many(1), types.ErrInvalidRequest},
		"no digest":       {agent, []string{""}, types.ErrInvalidDigest},
		"short digest":    {agent, []string{digest("a")[:70]}, types.ErrInvalidDigest},
		"upper case":      {agent, []string{"sha256:" + strings.ToUpper(digest("a")[7:])}, types.ErrInvalidDigest},
		"other algorithm": {agent, []string{"sha512:" + digest("a")[7:]}, types.ErrInvalidDigest},
		"twice":           {agent, []string{digest("a"), digest("a")}, types.ErrInvalidHolding},
		"too many":        {agent, many(types.MaxDigests + 1), types.ErrInvalidHolding},
		"most":            {agent, many(types.MaxDigests), nil},
	} {
		t.Run(name, func(t *testing.T) {
			_, announced := f.Deliver(func(ctx sdk.Context) error {
				_, err := f.msg.AnnounceHolding(ctx, &types.MsgAnnounceHolding{Agent: c.agent, Digests: c.digests})
				return err
			})
			_, dropped := f.Deliver(func(ctx sdk.Context) error {
				_, err := f.msg.DropHolding(ctx, &types.MsgDropHolding{Agent: c.agent, Digests: c.digests})
				return err
			})
			if c.err == nil {
				require.NoError(t, announced)
				require.NoError(t, dropped)
				return
			}
			require.ErrorIs(t, announced, c.err)
			require.ErrorIs(t, dropped, c.err)
		})
	}
	for _, id := range []sunstypes.NodeID{{}, {Operator: bob}, {Operator: strings.ToUpper(bob), Number: 1}} {
		require.ErrorIs(t, f.drop(agent, &id, "a"), sunstypes.ErrInvalidNodeID)
	}
}

func TestNodeAnnouncesAtMostItsLimit(t *testing.T) {
	f := newFixture(t)
	params := types.DefaultParams()
	params.MaxHoldingsPerNode = types.LowestMaxHoldingsPerNode
	require.NoError(t, f.keeper.UpdateParams(f.Ctx, f.Authority.String(), params))
	id, agent := f.node("carol", 1, sunstypes.NODE_STATUS_ACTIVE)
	var contents []string
	for i := range int(params.MaxHoldingsPerNode) {
		contents = append(contents, fmt.Sprint(i))
	}
	require.NoError(t, f.announce(agent, contents[1:]...))
	require.ErrorIs(t, f.announce(agent, "0", "more"), types.ErrTooManyHoldings)
	require.Len(t, f.holdings(id), len(contents)-1, "all of a message or nothing")
	require.NoError(t, f.announce(agent, contents...))
	require.ErrorIs(t, f.announce(agent, "more"), types.ErrTooManyHoldings)
	require.NoError(t, f.drop(agent, nil, "0"))
	require.NoError(t, f.announce(agent, "more"))
}

func TestHoldingQueriesAreBounded(t *testing.T) {
	f := newFixture(t)
	for _, page := range []*query.PageRequest{{Limit: 1_001}, {CountTotal: true}, {Offset: 1_001}} {
		_, err := f.query.Holders(f.Ctx, &types.QueryHoldersRequest{Digest: digest("a"), Pagination: page})
		require.Error(t, err)
		_, err = f.query.Holdings(f.Ctx, &types.QueryHoldingsRequest{Operator: bob, Number: 1, Pagination: page})
		require.Error(t, err)
		_, err = f.query.Objects(f.Ctx, &types.QueryObjectsRequest{Owner: bob, Pagination: page})
		require.Error(t, err)
	}
	_, err := f.query.Holders(f.Ctx, nil)
	require.ErrorIs(t, err, types.ErrInvalidRequest)
	_, err = f.query.Holders(f.Ctx, &types.QueryHoldersRequest{Digest: "x"})
	require.ErrorIs(t, err, types.ErrInvalidDigest)
	_, err = f.query.Holdings(f.Ctx, nil)
	require.ErrorIs(t, err, types.ErrInvalidRequest)
	_, err = f.query.Holdings(f.Ctx, &types.QueryHoldingsRequest{Operator: "x", Number: 1})
	require.ErrorIs(t, err, types.ErrInvalidRequest)
}
