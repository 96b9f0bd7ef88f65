package keeper

import "context"

// EndBlock counts what the block's transactions left, then pays. It runs after bank's, which credits what transactions sent
// to the account, and after lease's, which pays the audit share; and before suns', which closes epochs.
func (k Keeper) EndBlock(ctx context.Context) error {
	if err := k.countPendingShares(ctx); err != nil {
		return err
	}
	return k.payRewards(ctx)
}
