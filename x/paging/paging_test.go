package paging_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/cosmos/cosmos-sdk/types/query"

	"github.com/isuncoin/isuncoin/x/paging"
)

func TestPagesThatAreRead(t *testing.T) {
	key := []byte{1}
	for name, c := range map[string]struct{ asked, read *query.PageRequest }{
		"none":              {nil, &query.PageRequest{Limit: 100}},
		"without a limit":   {&query.PageRequest{Key: key, Reverse: true}, &query.PageRequest{Key: key, Reverse: true, Limit: 100}},
		"the largest":       {&query.PageRequest{Limit: 1_000}, &query.PageRequest{Limit: 1_000}},
		"the farthest away": {&query.PageRequest{Limit: 1, Offset: 1_000}, &query.PageRequest{Limit: 1, Offset: 1_000}},
	} {
		t.Run(name, func(t *testing.T) {
			read, err := paging.Bounded(c.asked)
			require.NoError(t, err)
			require.Equal(t, c.read, read)
		})
	}
}

func TestPagesThatWouldWalkEverything(t *testing.T) {
	for name, asked := range map[string]*query.PageRequest{
		"limit":          {Limit: 1_001},
		"largest limit":  {Limit: ^uint64(0)},
		"offset":         {Offset: 1_001},
		"largest offset": {Offset: ^uint64(0)},
		"total":          {Limit: 1, CountTotal: true},
		"offset and key": {Offset: 1, Key: []byte{1}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := paging.Bounded(asked)
			require.Equal(t, codes.InvalidArgument, status.Code(err))
		})
	}
}
