// Package keeper holds the state of x/lease and the rules that change it.
package keeper

import (
	"context"

	"cosmossdk.io/collections"
	"cosmossdk.io/collections/indexes"
	"cosmossdk.io/core/store"

	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/duequeue"
	"github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/typedevent"
)

// PlacementIndexes are the second indexes of the unsettled placements.
type PlacementIndexes struct {
	// ByNode: (node, placement)
	ByNode *indexes.Multi[sunstypes.NodeKey, types.PlacementKey, types.Placement]
}

// IndexesList implements collections.Indexes.
func (i PlacementIndexes) IndexesList() []collections.Index[types.PlacementKey, types.Placement] {
	return []collections.Index[types.PlacementKey, types.Placement]{i.ByNode}
}

// Keeper keeps leases, placements and their money.
type Keeper struct {
	cdc       codec.BinaryCodec
	authority string
	suns      types.SunsKeeper
	images    types.ImageKeeper
	bank      types.BankKeeper
	accounts  types.AccountKeeper
	hooks     types.Hooks

	Schema collections.Schema
	// Params
	Params collections.Item[types.Params]
	// Leases: (tenant, number) -> Lease
	Leases collections.Map[types.LeaseKey, types.Lease]
	// Money: (tenant, number) -> LeaseMoney. Apart from Leases: funding and billing change it, the order does not.
	Money collections.Map[types.LeaseKey, types.LeaseMoney]
	// Sequences: tenant -> the number its newest lease got
	Sequences collections.Map[sdk.AccAddress, uint64]
	// Places: tenant -> the last place it took in the line of new requests
	Places collections.Map[sdk.AccAddress, uint64]
	// Served: the place of the line that was served last
	Served collections.Item[uint64]
	// Requests: (tenant, number, replica) -> Request
	Requests collections.Map[types.RequestKey, types.Request]
	// Placements: (tenant, number, replica, generation) -> Placement, until it is settled
	Placements *collections.IndexedMap[types.PlacementKey, types.Placement, PlacementIndexes]
	// Billings: (tenant, number, replica, generation) -> PlacementBilling, for as long as the placement is known
	Billings collections.Map[types.PlacementKey, types.PlacementBilling]
	// Services: node -> NodeServices: what the node attested of its placements that are not settled
	Services collections.Map[sunstypes.NodeKey, types.NodeServices]
	// History: (tenant, number, replica, generation) -> Placement, once it is settled
	History collections.Map[types.PlacementKey, types.Placement]
	// Standings: node -> NodeStanding
	Standings collections.Map[sunstypes.NodeKey, types.NodeStanding]
	// Evictions: node -> NodeEviction
	Evictions collections.Map[sunstypes.NodeKey, types.NodeEviction]

	// Snapshots: (tenant, number, replica, sequence) -> Snapshot
	Snapshots collections.Map[types.SnapshotKey, types.Snapshot]
	// ReplicaSnapshots: (tenant, number, replica) -> what is remembered of its snapshots beside them
	ReplicaSnapshots collections.Map[types.RequestKey, types.ReplicaSnapshots]

	// IndexedNodes: node -> what the match index holds of it
	IndexedNodes collections.Map[sunstypes.NodeKey, types.IndexedNode]
	// OperatorEntries: (bucket, operator, (price, load, number)): every matchable node
	OperatorEntries collections.KeySet[operatorEntry]
	// MatchEntries: (bucket, (price, load, node)): of every operator the first few in a bucket
	MatchEntries collections.KeySet[matchEntry]
	// MatchClasses: bucket without its class -> bit set of the classes that may have entries
	MatchClasses collections.Map[string, uint64]

	// LeaseUpdateQueue: leases whose placements may differ from the order
	LeaseUpdateQueue duequeue.Queue[types.LeaseKey]
	// NewRequestQueue: the line of requests to match for the first time, ordered by place and the block's tie
	NewRequestQueue duequeue.Queue[newRequestKey]
	// RetryQueue: requests to match again
	RetryQueue duequeue.Queue[types.RequestKey]
	// EndingQueue: placements that a transaction ended
	EndingQueue duequeue.Queue[types.PlacementKey]
	// EvictionQueue: nodes whose placements must leave
	EvictionQueue duequeue.Queue[sunstypes.NodeKey]
	// PlacementDueQueue: start deadlines, ends of hours, settlements and drain deadlines
	PlacementDueQueue duequeue.Queue[types.PlacementKey]
	// LeaseDueQueue: leases that have waited too long
	LeaseDueQueue duequeue.Queue[types.LeaseKey]
	// NodeBackoffQueue: nodes that may be matched again
	NodeBackoffQueue duequeue.Queue[sunstypes.NodeKey]
	// PlacementPruneQueue and LeasePruneQueue: history to forget
	PlacementPruneQueue duequeue.Queue[types.PlacementKey]
	LeasePruneQueue     duequeue.Queue[types.LeaseKey]
	// ReindexQueue: nodes that changed in a transaction; the match index is written in the end blocker alone
	ReindexQueue duequeue.Queue[sunstypes.NodeKey]
	// Calm tells the end blocker that nothing is due in any queue
	Calm duequeue.Calm
	// Quarantine: items that failed
	Quarantine duequeue.Quarantine
}

// NewKeeper makes the keeper. The authority is the only address that may change the params.
func NewKeeper(
	cdc codec.BinaryCodec, storeService store.KVStoreService, authority string,
	suns types.SunsKeeper, images types.ImageKeeper, bank types.BankKeeper, accounts types.AccountKeeper,
) *Keeper {
	for _, account := range []string{types.ModuleName, types.AuditPoolName} {
		if accounts.GetModuleAddress(account) == nil {
			panic("module account " + account + " is not set")
		}
	}
	sb := collections.NewSchemaBuilder(storeService)
	calm := duequeue.NewCalm(sb, types.CalmUntilPrefix, types.CalmPushedPrefix)
	k := &Keeper{
		cdc: cdc, authority: authority, suns: suns, images: images, bank: bank, accounts: accounts,

		Params:    collections.NewItem(sb, types.ParamsPrefix, "params", codec.CollValue[types.Params](cdc)),
		Leases:    collections.NewMap(sb, types.LeasesPrefix, "leases", types.LeaseKeyCodec, codec.CollValue[types.Lease](cdc)),
		Money:     collections.NewMap(sb, types.MoneyPrefix, "money", types.LeaseKeyCodec, codec.CollValue[types.LeaseMoney](cdc)),
		Sequences: collections.NewMap(sb, types.SequencesPrefix, "sequences", sdk.AccAddressKey, collections.Uint64Value),
		Places:    collections.NewMap(sb, types.PlacesPrefix, "places", sdk.AccAddressKey, collections.Uint64Value),
		Served:    collections.NewItem(sb, types.ServedPrefix, "served", collections.Uint64Value),
		Requests:  collections.NewMap(sb, types.RequestsPrefix, "requests", types.RequestKeyCodec, codec.CollValue[types.Request](cdc)),
		Placements: collections.NewIndexedMap(sb, types.PlacementsPrefix, "placements",
			types.PlacementKeyCodec, codec.CollValue[types.Placement](cdc), newPlacementIndexes(sb)),
		Billings: collections.NewMap(sb, types.BillingsPrefix, "billings",
			types.PlacementKeyCodec, codec.CollValue[types.PlacementBilling](cdc)),
		Services: collections.NewMap(sb, types.ServicesPrefix, "services",
			sunstypes.NodeKeyCodec, codec.CollValue[types.NodeServices](cdc)),
		History: collections.NewMap(sb, types.HistoryPrefix, "history",
			types.PlacementKeyCodec, codec.CollValue[types.Placement](cdc)),
		Standings: collections.NewMap(sb, types.StandingsPrefix, "standings",
			sunstypes.NodeKeyCodec, codec.CollValue[types.NodeStanding](cdc)),
		Evictions: collections.NewMap(sb, types.EvictionsPrefix, "evictions",
			sunstypes.NodeKeyCodec, codec.CollValue[types.NodeEviction](cdc)),

		Snapshots: collections.NewMap(sb, types.SnapshotsPrefix, "snapshots",
			types.SnapshotKeyCodec, codec.CollValue[types.Snapshot](cdc)),
		ReplicaSnapshots: collections.NewMap(sb, types.ReplicaSnapshotsPrefix, "replica_snapshots",
			types.RequestKeyCodec, codec.CollValue[types.ReplicaSnapshots](cdc)),

		IndexedNodes: collections.NewMap(sb, types.IndexedNodesPrefix, "indexed_nodes",
			sunstypes.NodeKeyCodec, codec.CollValue[types.IndexedNode](cdc)),
		OperatorEntries: collections.NewKeySet(sb, types.OperatorEntriesPrefix, "operator_entries", operatorEntryCodec),
		MatchEntries:    collections.NewKeySet(sb, types.MatchEntriesPrefix, "match_entries", matchEntryCodec),
		MatchClasses: collections.NewMap(sb, types.MatchClassesPrefix, "match_classes",
			collections.StringKey, collections.Uint64Value),

		LeaseUpdateQueue:    duequeue.NewQueue(sb, types.LeaseUpdateQueuePrefix, "lease_updates", types.LeaseKeyCodec).Waking(calm),
		NewRequestQueue:     duequeue.NewQueue(sb, types.NewRequestQueuePrefix, "new_requests", newRequestKeyCodec).Waking(calm),
		RetryQueue:          duequeue.NewQueue(sb, types.RetryQueuePrefix, "retries", types.RequestKeyCodec).Waking(calm),
		EndingQueue:         duequeue.NewQueue(sb, types.EndingQueuePrefix, "endings", types.PlacementKeyCodec).Waking(calm),
		EvictionQueue:       duequeue.NewQueue(sb, types.EvictionQueuePrefix, "evictions_due", sunstypes.NodeKeyCodec).Waking(calm),
		PlacementDueQueue:   duequeue.NewQueue(sb, types.PlacementDueQueuePrefix, "due_placements", types.PlacementKeyCodec).Waking(calm),
		LeaseDueQueue:       duequeue.NewQueue(sb, types.LeaseDueQueuePrefix, "due_leases", types.LeaseKeyCodec).Waking(calm),
		NodeBackoffQueue:    duequeue.NewQueue(sb, types.NodeBackoffQueuePrefix, "node_backoffs", sunstypes.NodeKeyCodec).Waking(calm),
		PlacementPruneQueue: duequeue.NewQueue(sb, types.PlacementPruneQueuePrefix, "prune_placements", types.PlacementKeyCodec).Waking(calm),
		LeasePruneQueue:     duequeue.NewQueue(sb, types.LeasePruneQueuePrefix, "prune_leases", types.LeaseKeyCodec).Waking(calm),
		ReindexQueue:        duequeue.NewQueue(sb, types.ReindexQueuePrefix, "reindexes", sunstypes.NodeKeyCodec).Waking(calm),
		Calm:                calm,
		Quarantine:          duequeue.NewQuarantine(sb, types.QuarantinePrefix, types.QuarantineCountPrefix, cdc),
	}
	schema, err := sb.Build()
	if err != nil {
		panic(err)
	}
	k.Schema = schema
	return k
}

func newPlacementIndexes(sb *collections.SchemaBuilder) PlacementIndexes {
	return PlacementIndexes{ByNode: indexes.NewMulti(
		sb, types.PlacementsByNodePrefix, "placements_by_node", sunstypes.NodeKeyCodec, types.PlacementKeyCodec,
		func(_ types.PlacementKey, p types.Placement) (sunstypes.NodeKey, error) { return p.Node.Key() },
	)}
}

// SetHooks sets who follows placements; it may be called once.
func (k *Keeper) SetHooks(hooks types.Hooks) {
	if k.hooks != nil {
		panic("x/lease hooks are set twice")
	}
	k.hooks = hooks
}

// NowMs is the chain clock.
func (k *Keeper) NowMs(ctx context.Context) (uint64, error) { return k.suns.NowMs(ctx) }

// GetAuthority is the address that may change the params.
func (k *Keeper) GetAuthority() string { return k.authority }

// emit emits a typed event.
func emit(ctx context.Context, event interface {
	Reset()
	String() string
	ProtoMessage()
},
) error {
	return typedevent.Emit(ctx, event)
}
