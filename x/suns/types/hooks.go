package types

import "context"

// LossReason is why a node's placements must leave it at once.
type LossReason int

const (
	// LossSilent is a node that missed its deadline.
	LossSilent LossReason = iota
	// LossRetired is a node whose operator retired it.
	LossRetired
)

// Hooks let the modules above x/suns follow what happens to nodes. Those called from a transaction may write only records
// of the node itself; shared work belongs in the end blocker. An error undoes the transition.
type Hooks interface {
	// BeforeParamsChanged: governance asks for other params. An error refuses them: they do not go with those of a module
	// above.
	BeforeParamsChanged(ctx context.Context, params Params) error
	// AfterNodeChanged: a node was registered, or its price, capacity, place or status changed. May be called from a
	// transaction.
	AfterNodeChanged(ctx context.Context, id NodeID) error
	// AfterNodeLost: a node's placements must leave now. May be called from a transaction.
	AfterNodeLost(ctx context.Context, id NodeID, reason LossReason) error
	// AfterNodeDraining: a node's placements should move away. Called from a transaction.
	AfterNodeDraining(ctx context.Context, id NodeID) error
	// AfterNodeResumed: a drain ended. Called from a transaction.
	AfterNodeResumed(ctx context.Context, id NodeID) error
	// AfterNodeCheckedIn: a node's first check-in of an epoch, after the node's own records were written. Called from a
	// transaction.
	AfterNodeCheckedIn(ctx context.Context, node Node, epoch uint64) error
	// AfterRewardsWithdrawn: the operator asked for a node's rewards, or the node retired. Called from a transaction.
	AfterRewardsWithdrawn(ctx context.Context, id NodeID) error
	// AfterEpochClosed: an epoch ended. Called from the end blocker, which runs after every other module's.
	AfterEpochClosed(ctx context.Context, epoch uint64) error
	// AfterNodeRemoved: a retired node's bond was returned and its records removed. Called from the end blocker.
	AfterNodeRemoved(ctx context.Context, id NodeID) error
}

// MultiHooks calls several hooks in order and stops at the first error.
type MultiHooks []Hooks

var _ Hooks = MultiHooks{}

func (m MultiHooks) each(call func(Hooks) error) error {
	for _, h := range m {
		if err := call(h); err != nil {
			return err
		}
	}
	return nil
}

// BeforeParamsChanged implements Hooks.
func (m MultiHooks) BeforeParamsChanged(ctx context.Context, params Params) error {
	return m.each(func(h Hooks) error { return h.BeforeParamsChanged(ctx, params) })
}

// AfterNodeChanged implements Hooks.
func (m MultiHooks) AfterNodeChanged(ctx context.Context, id NodeID) error {
	return m.each(func(h Hooks) error { return h.AfterNodeChanged(ctx, id) })
}

// AfterNodeLost implements Hooks.
func (m MultiHooks) AfterNodeLost(ctx context.Context, id NodeID, reason LossReason) error {
	return m.each(func(h Hooks) error { return h.AfterNodeLost(ctx, id, reason) })
}

// AfterNodeDraining implements Hooks.
func (m MultiHooks) AfterNodeDraining(ctx context.Context, id NodeID) error {
	return m.each(func(h Hooks) error { return h.AfterNodeDraining(ctx, id) })
}

// AfterNodeResumed implements Hooks.
func (m MultiHooks) AfterNodeResumed(ctx context.Context, id NodeID) error {
	return m.each(func(h Hooks) error { return h.AfterNodeResumed(ctx, id) })
}

// AfterNodeCheckedIn implements Hooks.
func (m MultiHooks) AfterNodeCheckedIn(ctx context.Context, node Node, epoch uint64) error {
	return m.each(func(h Hooks) error { return h.AfterNodeCheckedIn(ctx, node, epoch) })
}

// AfterRewardsWithdrawn implements Hooks.
func (m MultiHooks) AfterRewardsWithdrawn(ctx context.Context, id NodeID) error {
	return m.each(func(h Hooks) error { return h.AfterRewardsWithdrawn(ctx, id) })
}

// AfterEpochClosed implements Hooks.
func (m MultiHooks) AfterEpochClosed(ctx context.Context, epoch uint64) error {
	return m.each(func(h Hooks) error { return h.AfterEpochClosed(ctx, epoch) })
}

// AfterNodeRemoved implements Hooks.
func (m MultiHooks) AfterNodeRemoved(ctx context.Context, id NodeID) error {
	return m.each(func(h Hooks) error { return h.AfterNodeRemoved(ctx, id) })
}
