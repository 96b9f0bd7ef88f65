package registry

import (
	"context"

	"github.com/isuncoin/isuncoin/worker/cloud/blobs"
)

// Drafts is how a node's store begins blobs, for Config.Create.
func Drafts(store *blobs.Store) func(context.Context) (Draft, error) {
	return func(ctx context.Context) (Draft, error) {
		draft, err := store.Create(ctx)
		if err != nil {
			return nil, err
		}
		return draft, nil
	}
}

var _ Store = (*blobs.Store)(nil)
