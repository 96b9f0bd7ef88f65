package keeper

import (
	"context"
	"fmt"

	"cosmossdk.io/collections"
	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/duequeue"
	"github.com/isuncoin/isuncoin/x/suns/types"
)

// maxPrunesPerEpoch is how many closed epochs one close forgets. Each close adds one, so two suffice to catch up after
// claim_epochs was lowered.
const maxPrunesPerEpoch = 2

// epochsQueue is what the quarantine calls epochs that failed to close: there is no queue of them.
const epochsQueue = "epochs"

// CurrentEpoch is the running epoch.
func (k *Keeper) CurrentEpoch(ctx context.Context) (types.Epoch, error) { return k.Epoch.Get(ctx) }

// endEpoch closes the running epoch when its time is over and begins the next one now: epochs that were missed are skipped.
// An epoch that fails to close gives no reward; it goes to the quarantine and the next one begins all the same.
func (k *Keeper) endEpoch(ctx context.Context) error {
	now, err := k.NowMs(ctx)
	if err != nil {
		return err
	}
	params, err := k.GetParams(ctx)
	if err != nil {
		return err
	}
	epoch, err := k.CurrentEpoch(ctx)
	if err != nil || now < epoch.StartMs+types.Ms(params.EpochDuration) {
		return err
	}
	failure := duequeue.Isolated(ctx, func(ctx context.Context) error { return k.closeEpoch(ctx, epoch, params) })
	if failure != nil {
		if err := k.quarantine(ctx, duequeue.QuarantinedItem{
			Queue: epochsQueue, Item: fmt.Sprintf("epoch %d", epoch.Number), Key: sdk.Uint64ToBigEndian(epoch.Number),
			Error: failure.Error(), Height: sdk.UnwrapSDKContext(ctx).BlockHeight(), DueMs: now,
		}); err != nil {
			return err
		}
	}
	return k.Epoch.Set(ctx, types.Epoch{Number: epoch.Number + 1, StartMs: now, TotalWeight: math.ZeroInt()})
}

// closeEpoch mints an epoch's emission and sets what a unit of weight gets of it. An epoch in which nobody checked in mints
// nothing.
func (k *Keeper) closeEpoch(ctx context.Context, epoch types.Epoch, params types.Params) error {
	m := nothingMinted()
	if epoch.TotalWeight.IsPositive() {
		var err error
		if m, err = k.mintFor(ctx, epoch, params); err != nil {
			return err
		}
	}
	if m.toNodes.IsPositive() {
		if err := k.EpochRewards.Set(ctx, epoch.Number, types.EpochReward{
			Epoch:           epoch.Number,
			Amount:          m.toNodes,
			RewardPerWeight: types.RewardPerWeight(m.toNodes, epoch.TotalWeight),
			Claimed:         math.ZeroInt(),
		}); err != nil {
			return err
		}
	}
	if err := k.pruneEpochs(ctx, epoch.Number, params.ClaimEpochs); err != nil {
		return err
	}
	if err := emit(ctx, &types.EventEpochClosed{
		Epoch: epoch.Number, Nodes: epoch.Nodes, TotalWeight: epoch.TotalWeight.String(),
		MintedToNodes: m.fresh.String(), DueToValidators: m.toValidators.String(), Recycled: m.recycled.String(),
	}); err != nil {
		return err
	}
	return k.hooks.AfterEpochClosed(ctx, epoch.Number)
}

// pruneEpochs forgets epochs that waited claim_epochs for their nodes. What is left of them stays in the pool and reduces
// the next mint.
func (k *Keeper) pruneEpochs(ctx context.Context, closed, claimEpochs uint64) error {
	if closed < claimEpochs {
		return nil
	}
	old, err := k.oldEpochs(ctx, closed-claimEpochs)
	if err != nil {
		return err
	}
	state, err := k.Emission.Get(ctx)
	if err != nil {
		return err
	}
	for _, reward := range old {
		state.Unclaimed = state.Unclaimed.Add(reward.Amount.Sub(reward.Claimed))
		if err := k.EpochRewards.Remove(ctx, reward.Epoch); err != nil {
			return err
		}
	}
	return k.Emission.Set(ctx, state)
}

func (k *Keeper) oldEpochs(ctx context.Context, last uint64) ([]types.EpochReward, error) {
	it, err := k.EpochRewards.Iterate(ctx, new(collections.Range[uint64]).EndInclusive(last))
	if err != nil {
		return nil, err
	}
	defer it.Close()
	var old []types.EpochReward
	for ; it.Valid() && len(old) < maxPrunesPerEpoch; it.Next() {
		reward, err := it.Value()
		if err != nil {
			return nil, err
		}
		old = append(old, reward)
	}
	return old, nil
}
