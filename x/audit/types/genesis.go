package types

import (
	"bytes"
	"fmt"

	"cosmossdk.io/collections"
	"cosmossdk.io/collections/codec"
	"cosmossdk.io/math"

	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// DefaultGenesis is the genesis of a new chain: nothing attested, nothing owed.
func DefaultGenesis() *GenesisState {
	return &GenesisState{Params: DefaultParams(), Pool: NewPoolState()}
}

// Validate returns ErrInvalidGenesis with the first thing that is wrong: what stands for itself, then whether the pool's
// figures agree. Lists stand in the order of their keys, so that an export is what was imported.
func (g GenesisState) Validate() error {
	for _, check := range []func() error{
		g.Params.Validate, g.Pool.validate, g.validatePools, g.validateNodes, g.validateUsage, g.validateQuarantine, g.validateOwed,
		g.validatePayouts,
	} {
		if err := check(); err != nil {
			return ErrInvalidGenesis.Wrap(err.Error())
		}
	}
	return nil
}

func (p PoolState) validate() error {
	if !validAmount(p.Owed) || !validAmount(p.Distributed) {
		return fmt.Errorf("pool: owed %s and distributed %s must be set, not negative and at most %s",
			intText(p.Owed), intText(p.Distributed), maxAmount)
	}
	return nil
}

func (g GenesisState) validatePools() error {
	var last uint64
	for _, pool := range g.EpochPools {
		if pool.Epoch <= last {
			return fmt.Errorf("epoch_pools: epoch %d after %d: epochs begin at 1 and rise", pool.Epoch, last)
		}
		last = pool.Epoch
		if pool.Nodes == 0 || !validAmount(pool.PerNode) || !pool.PerNode.IsPositive() {
			return fmt.Errorf("epoch_pools: epoch %d: %d nodes, %s per node", pool.Epoch, pool.Nodes, intText(pool.PerNode))
		}
		if !validAmount(pool.Claimed) || pool.Claimed.GT(pool.Total()) {
			return fmt.Errorf("epoch_pools: epoch %d: claimed %s of %s", pool.Epoch, intText(pool.Claimed), pool.Total())
		}
	}
	return nil
}

func (g GenesisState) validateNodes() error {
	var previous []byte
	for _, node := range g.Nodes {
		key, err := node.Node.Key()
		if err != nil {
			return fmt.Errorf("nodes: %w", err)
		}
		if sunstypes.NodeIDFromKey(key) != node.Node {
			return fmt.Errorf("nodes: %s: addresses are written in lower case", node.Node)
		}
		if previous, err = after(previous, sunstypes.NodeKeyCodec, key); err != nil {
			return fmt.Errorf("nodes: %s: %w", node.Node, err)
		}
		if node.Attestation != nil && (node.Attestation.Sequence == 0 || node.Attestation.Sequence > MaxSequence) {
			return fmt.Errorf("nodes: %s: sequence %d is not in 1..%d", node.Node, node.Attestation.Sequence, MaxSequence)
		}
		if node.Reward != nil && !validAmount(node.Reward.Accrued) {
			return fmt.Errorf("nodes: %s: accrued %s", node.Node, intText(node.Reward.Accrued))
		}
		if node.Attestation == nil && node.Reward == nil {
			return fmt.Errorf("nodes: %s has no record", node.Node)
		}
	}
	return nil
}

func (g GenesisState) validateUsage() error {
	var previous []byte
	for _, entry := range g.Usage {
		key, err := entry.Key()
		if err != nil {
			return fmt.Errorf("usage: %w", err)
		}
		if previous, err = after(previous, leasetypes.PlacementKeyCodec, key); err != nil {
			return fmt.Errorf("usage: %s: %w", entry.ID, err)
		}
		if err := entry.ValidateBounds(); err != nil {
			return fmt.Errorf("usage: %w", err)
		}
	}
	return nil
}

// after gives the encoding of a key that must follow the one before it in the store.
func after[K any](previous []byte, keyCodec codec.KeyCodec[K], key K) ([]byte, error) {
	encoded, err := collections.EncodeKeyWithPrefix(nil, keyCodec, key)
	if err == nil && bytes.Compare(previous, encoded) >= 0 {
		err = fmt.Errorf("it is there twice or out of order")
	}
	return encoded, err
}

func (g GenesisState) validatePayouts() error { return sunstypes.ValidatePayouts(g.Payouts) }

func (g GenesisState) validateQuarantine() error {
	var last uint64
	for _, item := range g.Quarantine {
		if item.Number <= last || item.Number > g.Quarantined {
			return fmt.Errorf("quarantine: item %d after %d of %d", item.Number, last, g.Quarantined)
		}
		last = item.Number
	}
	return nil
}

// validateOwed holds what the pool says it owes to what nodes and epochs can still take, and every epoch's shares to what
// was divided: a genesis that promises more would let the last nodes find the account empty.
func (g GenesisState) validateOwed() error {
	owed := math.ZeroInt()
	unsettled := make(map[uint64]uint64)
	for _, node := range g.Nodes {
		if node.Reward != nil {
			owed = owed.Add(node.Reward.Accrued)
			unsettled[node.Reward.Epoch]++
		}
	}
	for _, pool := range g.EpochPools {
		owed = owed.Add(pool.Unclaimed())
		due := pool.PerNode.Mul(math.NewIntFromUint64(unsettled[pool.Epoch]))
		if due.GT(pool.Unclaimed()) {
			return fmt.Errorf("epoch %d: %d nodes have not settled, but only %s is left", pool.Epoch, unsettled[pool.Epoch], pool.Unclaimed())
		}
	}
	if !owed.Equal(g.Pool.Owed) {
		return fmt.Errorf("pool: owed is %s, but nodes and epochs add up to %s", g.Pool.Owed, owed)
	}
	if g.Pool.SharingNodes > 0 && g.Pool.SharingEpoch == 0 {
		return fmt.Errorf("pool: %d nodes share in no epoch", g.Pool.SharingNodes)
	}
	return nil
}
