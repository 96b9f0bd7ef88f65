package snapshot

import (
	"context"

	"github.com/isuncoin/isuncoin/worker/cloud/blobs"
)

// Blobs makes a node's or a tenant's store one for snapshots.
func Blobs(store *blobs.Store) Store { return blobStore{store} }

type blobStore struct{ *blobs.Store }

// Create implements Store.
func (b blobStore) Create(ctx context.Context) (Draft, error) { return b.Store.Create(ctx) }
