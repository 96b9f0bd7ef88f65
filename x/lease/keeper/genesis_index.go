package keeper

import (
	"context"
	"errors"

	"cosmossdk.io/collections"

	"github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// The match index is not in genesis: it follows from the nodes. What does not follow from them is, so that a chain which
// begins from an export matches in each block what the old chain would have: the nodes that wait to be indexed anew, and the
// marks of buckets that became empty, which cost a search as much as full ones until it clears them.

// nodeIDs lists all nodes.
func (k *Keeper) nodeIDs(ctx context.Context) (nodes []sunstypes.NodeID, err error) {
	err = k.suns.IterateNodes(ctx, func(node sunstypes.Node, _ sunstypes.NodeLoad) bool {
		nodes = append(nodes, node.ID)
		return false
	})
	return nodes, err
}

// importIndex indexes every node as it is, or as genesis says it was.
func (k *Keeper) importIndex(ctx context.Context, genesis types.GenesisState) error {
	nodes, err := k.nodeIDs(ctx)
	if err != nil {
		return err
	}
	stale := make(map[sunstypes.NodeID]*types.IndexedNode, len(genesis.Indexed))
	for _, node := range genesis.Indexed {
		stale[node.Node] = node.Indexed
	}
	for _, id := range nodes {
		key, err := id.Key()
		if err != nil {
			return err
		}
		indexed, waits := stale[id]
		if delete(stale, id); !waits {
			indexed, err = k.indexable(ctx, key)
		}
		if err != nil {
			return err
		}
		if _, err := k.setIndexed(ctx, key, indexed); err != nil {
			return err
		}
	}
	if len(stale) > 0 {
		return types.ErrInvalidGenesis.Wrapf("%d indexed nodes do not exist", len(stale))
	}
	for _, c := range genesis.Classes {
		classes, err := k.classes(ctx, c.Bucket)
		if err != nil {
			return err
		}
		if err := k.MatchClasses.Set(ctx, c.Bucket, classes|c.Classes); err != nil {
			return err
		}
	}
	return nil
}

// exportIndex adds what the match index holds otherwise than an import would compute it.
func (k *Keeper) exportIndex(ctx context.Context, genesis *types.GenesisState) error {
	nodes, err := k.nodeIDs(ctx)
	if err != nil {
		return err
	}
	for _, id := range nodes {
		key, err := id.Key()
		if err != nil {
			return err
		}
		want, err := k.indexable(ctx, key)
		if err != nil {
			return err
		}
		have, err := k.indexed(ctx, key)
		if err != nil {
			return err
		}
		if !have.Equal(want) {
			genesis.Indexed = append(genesis.Indexed, types.GenesisIndexedNode{Node: id, Indexed: have})
		}
	}
	return k.MatchClasses.Walk(ctx, nil, func(bucket string, classes uint64) (bool, error) {
		if classes != 0 {
			genesis.Classes = append(genesis.Classes, types.GenesisClasses{Bucket: bucket, Classes: classes})
		}
		return false, nil
	})
}

// indexed is what the index holds of a node; nil when it does not hold it.
func (k *Keeper) indexed(ctx context.Context, key sunstypes.NodeKey) (*types.IndexedNode, error) {
	indexed, err := k.IndexedNodes.Get(ctx, key)
	if errors.Is(err, collections.ErrNotFound) {
		return nil, nil
	}
	return &indexed, err
}
