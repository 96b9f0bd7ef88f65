package keeper

import (
	"context"

	"cosmossdk.io/collections"
	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/audit/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// maxPrunesPerEpoch is how many closed epochs one close forgets. Each close adds at most one, so two suffice to catch up
// after claim_epochs was lowered.
const maxPrunesPerEpoch = 2

// Balance is what the audit account holds, in uisc.
func (k Keeper) Balance(ctx context.Context) math.Int {
	return k.bank.GetBalance(ctx, k.address(), sunstypes.BaseDenom).Amount
}

func (k Keeper) address() sdk.AccAddress { return k.accounts.GetModuleAddress(types.ModuleName) }

// closeEpoch forgets epochs whose shares waited long enough and divides what the account holds beyond what it owes among
// the nodes counted in this epoch. With no such node, or with less than 1 uisc for each, all of it waits for the next.
func (k Keeper) closeEpoch(ctx context.Context, epoch uint64) error {
	params, err := k.GetParams(ctx)
	if err != nil {
		return err
	}
	pool, err := k.Pool.Get(ctx)
	if err != nil {
		return err
	}
	// First, so that what nobody claimed is divided again at once.
	if err := k.pruneEpochs(ctx, &pool, epoch, params.ClaimEpochs); err != nil {
		return err
	}
	var nodes uint64
	if pool.SharingEpoch == epoch {
		nodes = pool.SharingNodes
	}
	pool.SharingNodes = 0
	perNode := types.SharePerNode(k.Balance(ctx), pool.Owed, nodes)
	if perNode.IsPositive() {
		closed := types.EpochPool{Epoch: epoch, Nodes: nodes, PerNode: perNode, Claimed: math.ZeroInt()}
		if err := k.EpochPools.Set(ctx, epoch, closed); err != nil {
			return err
		}
		pool.Owed = pool.Owed.Add(closed.Total())
		if err := emit(ctx, &types.EventPoolShared{Epoch: epoch, Nodes: nodes, PerNode: perNode.String()}); err != nil {
			return err
		}
	}
	return k.Pool.Set(ctx, pool)
}

// pruneEpochs forgets the oldest epochs that waited claim_epochs for their nodes; what nobody claimed is owed no more.
func (k Keeper) pruneEpochs(ctx context.Context, pool *types.PoolState, closed, claimEpochs uint64) error {
	if closed < claimEpochs {
		return nil
	}
	old, err := k.oldEpochs(ctx, closed-claimEpochs)
	if err != nil {
		return err
	}
	for _, epoch := range old {
		pool.Owed = pool.Owed.Sub(epoch.Unclaimed())
		if err := k.EpochPools.Remove(ctx, epoch.Epoch); err != nil {
			return err
		}
	}
	return nil
}

func (k Keeper) oldEpochs(ctx context.Context, last uint64) ([]types.EpochPool, error) {
	it, err := k.EpochPools.Iterate(ctx, new(collections.Range[uint64]).EndInclusive(last))
	if err != nil {
		return nil, err
	}
	defer it.Close()
	var old []types.EpochPool
	for ; it.Valid() && len(old) < maxPrunesPerEpoch; it.Next() {
		epoch, err := it.Value()
		if err != nil {
			return nil, err
		}
		old = append(old, epoch)
	}
	return old, nil
}
