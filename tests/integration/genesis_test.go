package integration_test

import (
	"context"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"cosmossdk.io/collections"

	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	genutiltypes "github.com/cosmos/cosmos-sdk/x/genutil/types"

	"github.com/isuncoin/isuncoin/tests/integration/chain"
	audittypes "github.com/isuncoin/isuncoin/x/audit/types"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

// storeKey finds a mounted store.
func (v *town) storeKey(name string) storetypes.StoreKey {
	v.T.Helper()
	stores, ok := v.App.CommitMultiStore().(interface {
		StoreKeysByName() map[string]storetypes.StoreKey
	})
	require.True(v.T, ok)
	key := stores.StoreKeysByName()[name]
	require.NotNil(v.T, key, name)
	return key
}

// count counts what a walk comes by.
func (v *town) count(
	walk func(context.Context, collections.Ranger[collections.Pair[uint64, sunstypes.NodeKey]],
		func(collections.Pair[uint64, sunstypes.NodeKey]) (bool, error)) error,
) (count int) {
	v.T.Helper()
	require.NoError(v.T, walk(v.Ctx(), nil, func(collections.Pair[uint64, sunstypes.NodeKey]) (bool, error) {
		count++
		return false, nil
	}))
	return count
}

// emptyBetweenBlocks are the collections that no export can find filled.
var emptyBetweenBlocks = map[string]string{
	"suns/pending_check_ins": "the block's end counts and removes them",
	"audit/pending_shares":   "the block's end counts and removes them",
}

// requireFull fails for every collection of our modules' schemas that is empty without a reason: whoever adds state must add
// it to the recipe, and so to every test that exports it.
func (v *town) requireFull(t *testing.T) {
	t.Helper()
	for module, schema := range map[string]collections.Schema{
		sunstypes.ModuleName: v.App.SunsKeeper.Schema, uaitypes.ModuleName: v.App.UAIKeeper.Schema,
		leasetypes.ModuleName: v.App.LeaseKeeper.Schema, audittypes.ModuleName: v.App.AuditKeeper.Schema,
	} {
		store := v.Ctx().KVStore(v.storeKey(module))
		require.NotEmpty(t, schema.ListCollections())
		for _, collection := range schema.ListCollections() {
			name := module + "/" + collection.GetName()
			it := storetypes.KVStorePrefixIterator(store, collection.GetPrefix())
			filled := it.Valid()
			require.NoError(t, it.Close())
			_, empty := emptyBetweenBlocks[name]
			assert.NotEqual(t, empty, filled, name)
		}
	}
	require.NotEmpty(t, v.cursors(), "no request waits with a cursor")
	require.NotZero(t, v.halfEvicted(), "no eviction is half done")
	require.NotZero(t, v.leasesOf(leasetypes.LEASE_STATUS_SUSPENDED))
	require.NotZero(t, v.leasesOf(leasetypes.LEASE_STATUS_UNFUNDED))
}

// halfEvicted counts the nodes of which a part of the placements has left.
func (v *town) halfEvicted() (count int) {
	v.T.Helper()
	err := v.App.LeaseKeeper.Evictions.Walk(v.Ctx(), nil, func(_ sunstypes.NodeKey, e leasetypes.NodeEviction) (bool, error) {
		if e.Cursor != nil {
			count++
		}
		return false, nil
	})
	require.NoError(v.T, err)
	return count
}

// cursors are the requests that go on behind a candidate.
func (v *town) cursors() (cursors []leasetypes.MatchCursor) {
	v.T.Helper()
	err := v.App.LeaseKeeper.Requests.Walk(v.Ctx(), nil, func(_ leasetypes.RequestKey, r leasetypes.Request) (bool, error) {
		if r.Cursor != nil {
			cursors = append(cursors, *r.Cursor)
		}
		return false, nil
	})
	require.NoError(v.T, err)
	return cursors
}

// retryAll asks governance to try again whatever failed.
func (v *town) retryAll() {
	v.T.Helper()
	v.propose(
		&sunstypes.MsgRetryQuarantined{Authority: govAuthority(), Number: 1},
		&audittypes.MsgRetryQuarantined{Authority: govAuthority(), Number: 1},
		&leasetypes.MsgRetryQuarantined{Authority: govAuthority(), Number: 1},
	)
	v.block(time.Second)
}

// A chain that is exported with something in every collection of every module, and imported, gives the same bytes again: our
// modules' and the SDK's.
func TestExportInFullLife(t *testing.T) {
	v := fullTown(t, 7)
	v.requireFull(t)
	exported := v.Export(false)
	requireSameState(t, exported, chain.Import(t, exported), nil)
}

// Modules are exported all at the same time. From a context that has opened no store yet, each export is as good as the last.
func TestExportsFromUnopenedStores(t *testing.T) {
	c := chain.New(t)
	c.NextBlock()
	var want map[string]json.RawMessage
	for range 100 {
		ctx, _ := c.Ctx().CacheContext()
		got, err := c.App.ExportModules(ctx, nil)
		require.NoError(t, err)
		if want == nil {
			want = got
		}
		require.Equal(t, want, got)
	}
}

// A chain that starts from an export of a full town goes on as if nothing had happened: for hundreds of further blocks the
// same transactions give the same results, events and state. One that begins at height 1 again keeps our modules' state and
// money likewise.
func TestImportedChainGoesOnAlike(t *testing.T) {
	v := fullTown(t, 7)
	exported := v.Export(false)
	fromZero := v.Export(true)

	validators := []chain.Option{chain.WithValidators(townValidators), chain.WithoutInvariants()}
	v.twins = []*twin{
		{Chain: chain.FromGenesis(t, v.Keys, exported, validators...), exact: true},
		{Chain: chain.FromGenesis(t, v.Keys, fromZero, validators...)},
	}
	v.Unsigned()
	v.NextBlock()
	v.retryAll()
	for range 300 {
		v.day()
	}
	for _, other := range v.twins {
		other.CheckInvariants()
	}
	v.CheckInvariants()
	requireSameState(t, v.Export(false), v.twins[0].Export(false), nil, unbondingIDs)
	requireSameState(t, v.Export(false), v.twins[1].Export(false), ourModules, heights)
}

// unbondingIDs begin at 1 again in an imported chain: x/staking does not export how far it has counted.
var unbondingIDs = regexp.MustCompile(`"unbonding_id":"\d+"`)

// heights are what a chain that begins at height 1 again counts differently.
var heights = regexp.MustCompile(`"(height|queued_height|published_height)":"\d+"`)

// requireSameState compares modules of two exports byte for byte, all of them unless some are named, but for what is
// ignored.
func requireSameState(t *testing.T, want, got *genutiltypes.AppGenesis, modules []string, ignored ...*regexp.Regexp) {
	t.Helper()
	wanted, gotten := chain.State(t, want), chain.State(t, got)
	plain := func(raw json.RawMessage) string {
		text := compact(t, raw)
		for _, ignore := range ignored {
			text = ignore.ReplaceAllString(text, "")
		}
		return text
	}
	if modules == nil {
		modules = slices.Collect(maps.Keys(wanted))
	}
	for _, name := range modules {
		if a, b := plain(wanted[name]), plain(gotten[name]); a != b {
			requireJSON(t, name, a, b)
		}
	}
}

// requireJSON shows where two states begin to differ.
func requireJSON(t *testing.T, name, want, got string) {
	t.Helper()
	i := 0
	for i < min(len(want), len(got)) && want[i] == got[i] {
		i++
	}
	around := func(s string) string { return s[max(0, i-300):min(len(s), i+300)] }
	t.Errorf("x/%s differs\nwant …%s…\ngot  …%s…", name, around(want), around(got))
}
