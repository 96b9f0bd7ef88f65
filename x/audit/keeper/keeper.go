// Package keeper holds the state and the rules of x/audit.
package keeper

import (
	"context"
	"errors"
	"fmt"

	"github.com/cosmos/gogoproto/proto"

	"cosmossdk.io/collections"
	corestore "cosmossdk.io/core/store"

	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/audit/types"
	"github.com/isuncoin/isuncoin/x/duequeue"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/typedevent"
)

// Keeper is x/audit's access to its store.
type Keeper struct {
	accounts  types.AccountKeeper
	bank      types.BankKeeper
	suns      types.SunsKeeper
	leases    types.LeaseKeeper
	authority string

	// Schema lists the collections.
	Schema collections.Schema
	// Params: Params
	Params collections.Item[types.Params]
	// Attestations: (operator, node number) -> NodeAttestation
	Attestations collections.Map[sunstypes.NodeKey, types.NodeAttestation]
	// NodeUsages: (operator, node number) -> NodeUsage, of placements that are not settled
	NodeUsages collections.Map[sunstypes.NodeKey, types.NodeUsage]
	// Usages: (tenant, lease number, replica, generation) -> UsageEntry, of settled placements, and of those that found no room
	// in their node's record
	Usages collections.Map[leasetypes.PlacementKey, types.UsageEntry]

	// Rewards: (operator, node number) -> NodeAuditReward
	Rewards collections.Map[sunstypes.NodeKey, types.NodeAuditReward]
	// PendingShares: (operator, node number) -> PendingShare; empty between blocks
	PendingShares collections.Map[sunstypes.NodeKey, types.PendingShare]
	// EpochPools: epoch -> EpochPool
	EpochPools collections.Map[uint64, types.EpochPool]
	// Pool: PoolState; only block work writes it
	Pool collections.Item[types.PoolState]

	// PayoutQueue: (due ms, (operator, node number))
	PayoutQueue duequeue.Queue[sunstypes.NodeKey]
	// PayoutPlaces: (operator, node number) -> where the node stood last in PayoutQueue
	PayoutPlaces collections.Map[sunstypes.NodeKey, uint64]
	// Quarantine holds block work that failed.
	Quarantine duequeue.Quarantine
}

// NewKeeper builds the keeper. The authority is the address that may change the params. A schema that does not build is a
// mistake in this package, so it panics at start.
func NewKeeper(
	cdc codec.BinaryCodec, storeService corestore.KVStoreService,
	accounts types.AccountKeeper, bank types.BankKeeper, suns types.SunsKeeper, leases types.LeaseKeeper,
	authority string,
) Keeper {
	if _, err := sdk.AccAddressFromBech32(authority); err != nil {
		panic(fmt.Errorf("x/%s: authority %q: %w", types.ModuleName, authority, err))
	}
	sb := collections.NewSchemaBuilder(storeService)
	node := sunstypes.NodeKeyCodec
	k := Keeper{
		accounts: accounts, bank: bank, suns: suns, leases: leases, authority: authority,

		Params: collections.NewItem(sb, types.ParamsPrefix, "params", codec.CollValue[types.Params](cdc)),
		Attestations: collections.NewMap(
			sb, types.AttestationsPrefix, "attestations", node, codec.CollValue[types.NodeAttestation](cdc)),
		NodeUsages: collections.NewMap(
			sb, types.NodeUsagesPrefix, "node_usages", node, codec.CollValue[types.NodeUsage](cdc)),
		Usages: collections.NewMap(
			sb, types.UsagesPrefix, "usages", leasetypes.PlacementKeyCodec, codec.CollValue[types.UsageEntry](cdc)),
		Rewards: collections.NewMap(sb, types.RewardsPrefix, "rewards", node, codec.CollValue[types.NodeAuditReward](cdc)),
		PendingShares: collections.NewMap(
			sb, types.PendingSharesPrefix, "pending_shares", node, codec.CollValue[types.PendingShare](cdc)),
		EpochPools: collections.NewMap(
			sb, types.EpochPoolsPrefix, "epoch_pools", collections.Uint64Key, codec.CollValue[types.EpochPool](cdc)),
		Pool: collections.NewItem(sb, types.PoolPrefix, "pool", codec.CollValue[types.PoolState](cdc)),

		PayoutQueue: duequeue.NewQueue(sb, types.PayoutQueuePrefix, types.PayoutQueueName, node),
		PayoutPlaces: collections.NewMap(
			sb, types.PayoutPlacesPrefix, "payout_places", node, collections.Uint64Value),
		Quarantine: duequeue.NewQuarantine(sb, types.QuarantinePrefix, types.QuarantineCountPrefix, cdc),
	}
	schema, err := sb.Build()
	if err != nil {
		panic(fmt.Errorf("x/%s: %w", types.ModuleName, err))
	}
	k.Schema = schema
	return k
}

// GetAuthority is the address that may change the params.
func (k Keeper) GetAuthority() string { return k.authority }

// emit emits a typed event.
func emit(ctx context.Context, event proto.Message) error {
	return typedevent.Emit(ctx, event)
}

// orElse gives a default for what is not there, and every other error as it is.
func orElse[T any](value T, err error, missing T) (T, error) {
	if errors.Is(err, collections.ErrNotFound) {
		return missing, nil
	}
	return value, err
}
