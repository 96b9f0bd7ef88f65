package keeper

import (
	"context"
	"maps"
	"slices"

	"cosmossdk.io/collections"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/audit/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// InitGenesis sets the state a genesis describes. Bank's and suns' must be set: the account must hold what is owed, and
// shares must belong to epochs that have begun.
func (k Keeper) InitGenesis(ctx context.Context, genesis types.GenesisState) error {
	if err := genesis.Validate(); err != nil {
		return err
	}
	// Transactions credit the account but may not create it: its number comes from a global sequence.
	k.accounts.GetModuleAccount(ctx, types.ModuleName)
	if err := k.setParams(ctx, genesis.Params); err != nil {
		return err
	}
	if err := k.Pool.Set(ctx, genesis.Pool); err != nil {
		return err
	}
	for _, pool := range genesis.EpochPools {
		if err := k.EpochPools.Set(ctx, pool.Epoch, pool); err != nil {
			return err
		}
	}
	for _, node := range genesis.Nodes {
		if err := k.importNode(ctx, node); err != nil {
			return err
		}
	}
	for _, entry := range genesis.Usage {
		if err := k.importUsage(ctx, entry); err != nil {
			return err
		}
	}
	if err := sunstypes.ImportPayouts(ctx, k.PayoutQueue, genesis.Payouts); err != nil {
		return err
	}
	if err := k.PayoutQueue.RestorePlaces(ctx, k.PayoutPlaces); err != nil {
		return err
	}
	if err := k.Quarantine.Import(ctx, genesis.Quarantine, genesis.Quarantined); err != nil {
		return err
	}
	return k.AllInvariants(ctx)
}

func (k Keeper) importNode(ctx context.Context, node types.GenesisNode) error {
	key, err := node.Node.Key()
	if err != nil {
		return err
	}
	if node.Attestation != nil {
		if err := k.Attestations.Set(ctx, key, *node.Attestation); err != nil {
			return err
		}
	}
	if node.Reward != nil {
		return k.Rewards.Set(ctx, key, *node.Reward)
	}
	return nil
}

// ExportGenesis describes the state, everything in the order of keys. What a block's transactions left is counted first, as
// its end would, in a context that is thrown away: so a genesis holds no half-done block.
func (k Keeper) ExportGenesis(ctx context.Context) (*types.GenesisState, error) {
	cached, _ := sdk.UnwrapSDKContext(ctx).CacheContext()
	ctx = cached
	if err := k.countPendingShares(ctx); err != nil {
		return nil, err
	}
	genesis := new(types.GenesisState)
	var err error
	if genesis.Params, err = k.GetParams(ctx); err != nil {
		return nil, err
	}
	if genesis.Pool, err = k.Pool.Get(ctx); err != nil {
		return nil, err
	}
	if genesis.EpochPools, err = values(ctx, k.EpochPools); err != nil {
		return nil, err
	}
	if genesis.Nodes, err = k.exportNodes(ctx); err != nil {
		return nil, err
	}
	if genesis.Usage, err = k.exportUsage(ctx); err != nil {
		return nil, err
	}
	if genesis.Payouts, err = sunstypes.ExportPayouts(ctx, k.PayoutQueue); err != nil {
		return nil, err
	}
	genesis.Quarantine, genesis.Quarantined, err = k.Quarantine.Export(ctx)
	return genesis, err
}

// exportNodes gathers the records of each node.
func (k Keeper) exportNodes(ctx context.Context) ([]types.GenesisNode, error) {
	nodes := make(map[string]*types.GenesisNode)
	node := func(key sunstypes.NodeKey) (*types.GenesisNode, error) {
		encoded, err := collections.EncodeKeyWithPrefix(nil, sunstypes.NodeKeyCodec, key)
		if err != nil {
			return nil, err
		}
		if nodes[string(encoded)] == nil {
			nodes[string(encoded)] = &types.GenesisNode{Node: sunstypes.NodeIDFromKey(key)}
		}
		return nodes[string(encoded)], nil
	}
	err := k.Attestations.Walk(ctx, nil, func(key sunstypes.NodeKey, attestation types.NodeAttestation) (bool, error) {
		n, err := node(key)
		if err == nil {
			n.Attestation = &attestation
		}
		return false, err
	})
	if err != nil {
		return nil, err
	}
	err = k.Rewards.Walk(ctx, nil, func(key sunstypes.NodeKey, reward types.NodeAuditReward) (bool, error) {
		n, err := node(key)
		if err == nil {
			n.Reward = &reward
		}
		return false, err
	})
	if err != nil {
		return nil, err
	}
	sorted := make([]types.GenesisNode, 0, len(nodes))
	for _, encoded := range slices.Sorted(maps.Keys(nodes)) {
		sorted = append(sorted, *nodes[encoded])
	}
	return sorted, nil
}

// values gives all values of a map in the order of its keys.
func values[K, V any](ctx context.Context, m collections.Map[K, V]) (all []V, err error) {
	err = m.Walk(ctx, nil, func(_ K, value V) (bool, error) {
		all = append(all, value)
		return false, nil
	})
	return all, err
}
