// Package keeper keeps the state of x/suns: nodes, their load and liveness, epochs and the maintenance reward.
package keeper

import (
	"context"

	"cosmossdk.io/collections"
	"cosmossdk.io/core/store"

	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/gogoproto/proto"

	"github.com/isuncoin/isuncoin/x/duequeue"
	"github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/typedevent"
)

// Keeper of x/suns. Messages write only records of the node they name; what is shared is written in the block's begin and
// end.
type Keeper struct {
	accounts  types.AccountKeeper
	bank      types.BankKeeper
	authority string
	hooks     types.Hooks
	hooksSet  bool

	Schema collections.Schema
	// Params of the module.
	Params collections.Item[types.Params]
	// Clock is the chain clock.
	Clock collections.Item[types.ChainClock]

	// Nodes: (operator, number) -> Node
	Nodes *collections.IndexedMap[types.NodeKey, types.Node, NodeIndexes]
	// Operators: operator -> the number its newest node got
	Operators collections.Map[sdk.AccAddress, uint64]
	// Loads: (operator, number) -> what is reserved of the node; block work alone writes it
	Loads collections.Map[types.NodeKey, types.NodeLoad]
	// CheckIns: (operator, number) -> when the node was last heard from, in chain-clock milliseconds
	CheckIns collections.Map[types.NodeKey, uint64]
	// Deadlines: (operator, number) -> where the node stands in DeadlineQueue
	Deadlines collections.Map[types.NodeKey, uint64]
	// DeadlineQueue: (due ms, node): when a node's liveness is looked at next
	DeadlineQueue duequeue.Queue[types.NodeKey]
	// UnbondingQueue: (due ms, node): when a retired node's bond returns
	UnbondingQueue duequeue.Queue[types.NodeKey]
	// PayoutQueue: (asked at ms, node): whose accrued reward is to be paid
	PayoutQueue duequeue.Queue[types.NodeKey]
	// PayoutPlaces: (operator, number) -> where the node stood last in PayoutQueue
	PayoutPlaces collections.Map[types.NodeKey, uint64]

	// Contacts: (operator, number) -> how others reach the node in iSunCloud
	Contacts collections.Map[types.NodeKey, types.Contact]

	// Rewards: (operator, number) -> the node's side of the maintenance reward
	Rewards collections.Map[types.NodeKey, types.NodeReward]
	// PendingCheckIns: (operator, number) -> what the block's end counts into epochs; empty between blocks
	PendingCheckIns collections.Map[types.NodeKey, types.PendingCheckIn]
	// Epoch is the running one.
	Epoch collections.Item[types.Epoch]
	// EpochRewards: epoch -> what it gives while it can be claimed
	EpochRewards collections.Map[uint64, types.EpochReward]
	// EmissionSchedule is fixed at genesis.
	EmissionSchedule collections.Item[types.EmissionSchedule]
	// Emission counts what entered and left the supply.
	Emission collections.Item[types.EmissionState]

	// Calm tells the end blocker that nothing is due in any queue.
	Calm duequeue.Calm
	// Quarantine holds block work that failed.
	Quarantine duequeue.Quarantine
}

// NewKeeper makes the keeper. authority is the address that may change params.
func NewKeeper(
	cdc codec.BinaryCodec, storeService store.KVStoreService, accounts types.AccountKeeper, bank types.BankKeeper,
	authority string,
) *Keeper {
	sb := collections.NewSchemaBuilder(storeService)
	node := types.NodeKeyCodec
	calm := duequeue.NewCalm(sb, types.CalmUntilPrefix, types.CalmPushedPrefix)
	k := &Keeper{
		accounts: accounts, bank: bank, authority: authority, hooks: types.MultiHooks{},

		Params:    collections.NewItem(sb, types.ParamsPrefix, "params", codec.CollValue[types.Params](cdc)),
		Clock:     collections.NewItem(sb, types.ClockPrefix, "clock", codec.CollValue[types.ChainClock](cdc)),
		Nodes:     newNodes(sb, cdc),
		Operators: collections.NewMap(sb, types.OperatorsPrefix, "operators", sdk.AccAddressKey, collections.Uint64Value),
		Loads:     collections.NewMap(sb, types.LoadsPrefix, "loads", node, codec.CollValue[types.NodeLoad](cdc)),
		CheckIns:  collections.NewMap(sb, types.CheckInsPrefix, "check_ins", node, collections.Uint64Value),
		Deadlines: collections.NewMap(sb, types.DeadlinesPrefix, "deadlines", node, collections.Uint64Value),

		DeadlineQueue:  duequeue.NewQueue(sb, types.DeadlineQueuePrefix, "deadline_queue", node).Waking(calm),
		UnbondingQueue: duequeue.NewQueue(sb, types.UnbondingQueuePrefix, "unbonding_queue", node).Waking(calm),
		PayoutQueue:    duequeue.NewQueue(sb, types.PayoutQueuePrefix, "payout_queue", node).Waking(calm),
		PayoutPlaces:   collections.NewMap(sb, types.PayoutPlacesPrefix, "payout_places", node, collections.Uint64Value),

		Contacts: collections.NewMap(sb, types.ContactsPrefix, "contacts", node, codec.CollValue[types.Contact](cdc)),

		Rewards: collections.NewMap(sb, types.RewardsPrefix, "rewards", node, codec.CollValue[types.NodeReward](cdc)),
		PendingCheckIns: collections.NewMap(
			sb, types.PendingCheckInsPrefix, "pending_check_ins", node, codec.CollValue[types.PendingCheckIn](cdc)),
		Epoch: collections.NewItem(sb, types.EpochPrefix, "epoch", codec.CollValue[types.Epoch](cdc)),
		EpochRewards: collections.NewMap(
			sb, types.EpochRewardsPrefix, "epoch_rewards", collections.Uint64Key, codec.CollValue[types.EpochReward](cdc)),
		EmissionSchedule: collections.NewItem(
			sb, types.EmissionSchedulePrefix, "emission_schedule", codec.CollValue[types.EmissionSchedule](cdc)),
		Emission: collections.NewItem(sb, types.EmissionPrefix, "emission", codec.CollValue[types.EmissionState](cdc)),

		Calm:       calm,
		Quarantine: duequeue.NewQuarantine(sb, types.QuarantinePrefix, types.QuarantineCountPrefix, cdc),
	}
	schema, err := sb.Build()
	if err != nil {
		panic(err)
	}
	k.Schema = schema
	return k
}

// SetHooks sets what follows the nodes. It is called once, while the app is put together.
func (k *Keeper) SetHooks(hooks types.Hooks) {
	if k.hooksSet {
		panic("x/suns: hooks are set twice")
	}
	k.hooks, k.hooksSet = hooks, true
}

// Authority is the address that may change params.
func (k *Keeper) Authority() string { return k.authority }

// GetParams gives the params; unset params are an error.
func (k *Keeper) GetParams(ctx context.Context) (types.Params, error) { return k.Params.Get(ctx) }

// emit emits a typed event.
func emit(ctx context.Context, event proto.Message) error {
	return typedevent.Emit(ctx, event)
}
