package types

import "context"

// Hooks let the modules above x/lease follow what happens to placements.
type Hooks interface {
	// AfterPlacementPruned: a settled placement was forgotten. Called from the end blocker.
	AfterPlacementPruned(ctx context.Context, id PlacementID) error
}
