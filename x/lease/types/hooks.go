package types

import (
	"context"

	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// Hooks let the modules above x/lease follow what happens to placements.
type Hooks interface {
	// AfterPlacementSettled: a placement of a node was settled; nothing more is credited to it. Called from the end blocker.
	AfterPlacementSettled(ctx context.Context, key PlacementKey, node sunstypes.NodeID) error
	// AfterPlacementPruned: a settled placement was forgotten. Called from the end blocker.
	AfterPlacementPruned(ctx context.Context, id PlacementID) error
}
