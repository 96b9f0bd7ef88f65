package agent

import (
	"context"
	"log/slog"
	"time"

	"github.com/isuncoin/isuncoin/worker/images"
)

// tidyEvery is how soon a private image goes after its last placement.
const tidyEvery = time.Minute

// placed says which images the chain has placed on this node.
type placed interface {
	// PlacedImages gives the digests of their indexes.
	PlacedImages(ctx context.Context) (map[string]bool, error)
}

// keepTidy removes the images that this node needs no longer, until ctx ends.
// What the chain cannot say now it says a minute later.
func keepTidy(ctx context.Context, chain placed, tidier *images.Tidier, log *slog.Logger) error {
	ticker := time.NewTicker(tidyEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		needed, err := chain.PlacedImages(ctx)
		if err != nil {
			continue
		}
		if err := tidier.Tidy(ctx, needed); err != nil && ctx.Err() == nil {
			log.Warn("images that are needed no longer cannot be removed", "error", err)
		}
	}
}
