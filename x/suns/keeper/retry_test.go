package keeper_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/x/duequeue"
	"github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

// retry puts an item of the quarantine back.
func (f *fixture) retry(number uint64) error {
	f.T.Helper()
	_, err := f.msgs.RetryQuarantined(f.Ctx, &types.MsgRetryQuarantined{Authority: f.Authority.String(), Number: number})
	return err
}

// Bonds whose return failed are paid once the fault is mended and governance asks, each exactly once.
func TestRetriedUnbondingsReturnTheBonds(t *testing.T) {
	f := newFixture(t, func(g *types.GenesisState) { g.Params.UnbondingPeriod = time.Minute })
	alice, bob := f.register("alice", 1), f.register("bob", 1)
	f.retire(alice)
	f.retire(bob)
	f.hooks.panic = "removed"
	f.NextBlock(time.Minute)
	f.NextBlock(time.Second)
	require.Len(t, f.quarantine(), 2)
	before := f.Balance(testkit.Addr("alice"))

	require.NoError(t, f.retry(1))
	f.NextBlock(time.Second)
	require.Len(t, f.quarantine(), 2, "the fault is still there")
	require.Equal(t, before, f.Balance(testkit.Addr("alice")))

	f.hooks.panic = ""
	require.ErrorIs(t, f.retry(1), duequeue.ErrItemNotFound)
	require.NoError(t, f.retry(2))
	require.NoError(t, f.retry(3))
	f.NextBlock(time.Second)
	require.Empty(t, f.quarantine())
	require.Zero(t, f.ModuleBalance(types.ModuleName))
	require.EqualValues(t, 4_000_000, f.Balance(testkit.Addr("alice"))-before)
}

// A silent node whose loss could not be told is lost when the item is retried.
func TestRetriedDeadlineLosesTheNode(t *testing.T) {
	f := newFixture(t)
	id := f.register("alice", 1)
	f.hour()
	f.hour()
	f.hooks.fail = map[string]error{"lost": errors.New("no room")}
	f.NextBlock(time.Second)
	require.Equal(t, types.NODE_STATUS_ACTIVE, f.node(id).Status)
	f.hooks.fail = nil
	require.NoError(t, f.retry(1))
	events := f.NextBlock(time.Second)
	require.Len(t, testkit.EventsOf[types.EventNodeUnresponsive](t, events), 1)
	require.Equal(t, types.NODE_STATUS_UNRESPONSIVE, f.node(id).Status)
}

// An epoch is over when it failed to close: there is nothing to put it back into.
func TestFailedEpochCannotBeRetried(t *testing.T) {
	f := newFixture(t)
	f.hooks.fail = map[string]error{"closed": errors.New("audit cannot divide")}
	f.hour()
	f.NextBlock(time.Second)
	require.NotEmpty(t, f.quarantine())
	require.ErrorIs(t, f.retry(1), duequeue.ErrNotRetryable)
	require.NotEmpty(t, f.quarantine())
}

func TestOnlyTheAuthorityRetries(t *testing.T) {
	f := newFixture(t)
	_, err := f.msgs.RetryQuarantined(f.Ctx, &types.MsgRetryQuarantined{Authority: testkit.Addr("x").String(), Number: 1})
	require.ErrorIs(t, err, types.ErrUnauthorized)
	require.ErrorIs(t, f.retry(1), duequeue.ErrItemNotFound)
}
