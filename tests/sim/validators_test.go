//go:build sims

package sim

import (
	"bytes"
	"math/rand"
	"slices"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/stretchr/testify/require"

	cryptocodec "github.com/cosmos/cosmos-sdk/crypto/codec"
)

// validators are those that sign the next block, by address; what a block changes in them holds a block later.
type validators struct {
	current []abci.Validator
	pending []abci.ValidatorUpdate
}

// update applies what the block before changed, and notes what this one does.
func (v *validators) update(t testing.TB, updates []abci.ValidatorUpdate) {
	t.Helper()
	for _, change := range v.pending {
		key, err := cryptocodec.FromCmtProtoPublicKey(change.PubKey)
		require.NoError(t, err)
		v.current = slices.DeleteFunc(v.current, func(known abci.Validator) bool {
			return bytes.Equal(known.Address, key.Address())
		})
		if change.Power > 0 {
			v.current = append(v.current, abci.Validator{Address: key.Address(), Power: change.Power})
		}
	}
	slices.SortFunc(v.current, func(a, b abci.Validator) int { return bytes.Compare(a.Address, b.Address) })
	v.pending = updates
}

// proposer draws one of them.
func (v *validators) proposer(r *rand.Rand) []byte { return v.current[r.Intn(len(v.current))].Address }

// votes are the last commit: now and then a validator misses it.
func (v *validators) votes(r *rand.Rand) (votes []abci.VoteInfo) {
	for _, validator := range v.current {
		flag := cmtproto.BlockIDFlagCommit
		if r.Intn(20) == 0 {
			flag = cmtproto.BlockIDFlagAbsent
		}
		votes = append(votes, abci.VoteInfo{Validator: validator, BlockIdFlag: flag})
	}
	return votes
}

// misbehaviour reports, rarely, that a validator signed two blocks of a height.
func (v *validators) misbehaviour(r *rand.Rand, height int64, at time.Time) []abci.Misbehavior {
	if height < 1 || len(v.current) < 3 || r.Intn(100) > 0 {
		return nil
	}
	var total int64
	for _, validator := range v.current {
		total += validator.Power
	}
	return []abci.Misbehavior{{
		Type: abci.MisbehaviorType_DUPLICATE_VOTE, Validator: v.current[r.Intn(len(v.current))],
		Height: height, Time: at, TotalVotingPower: total,
	}}
}
