// Package paging bounds what one page of a query may cost. A node answers queries beside its blocks: none may make it walk
// its whole state.
package paging

import (
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/cosmos/cosmos-sdk/types/query"
)

const (
	// MaxLimit is the most entries one page holds, and the farthest an offset may reach.
	MaxLimit = 1_000
	// DefaultLimit is what a page holds that does not say.
	DefaultLimit = 100
)

// Bounded gives the page to read: the one asked for, or the default one. Pages that would walk everything are
// InvalidArgument. The SDK counts all entries when no limit is given, so one is always set.
func Bounded(page *query.PageRequest) (*query.PageRequest, error) {
	if page == nil {
		return &query.PageRequest{Limit: DefaultLimit}, nil
	}
	switch {
	case page.Limit > MaxLimit:
		return nil, status.Errorf(codes.InvalidArgument, "limit %d is above %d", page.Limit, MaxLimit)
	case page.CountTotal, page.Offset > MaxLimit:
		return nil, status.Error(codes.InvalidArgument, "count_total and far offsets walk everything: page by key")
	case page.Offset > 0 && len(page.Key) > 0:
		return nil, status.Error(codes.InvalidArgument, "a page begins at an offset or at a key, not at both")
	}
	bounded := *page
	if bounded.Limit == 0 {
		bounded.Limit = DefaultLimit
	}
	return &bounded, nil
}
