package types

import (
	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// maxAmount, 2^127, bounds amounts of a genesis. It is far beyond any supply, and products with a number of nodes and sums
// over all records stay below the 256 bits at which math.Int panics.
var maxAmount = math.NewIntFromUint64(1 << 63).Mul(math.NewIntFromUint64(1 << 63)).MulRaw(2)

// NewPoolState owes nothing.
func NewPoolState() PoolState {
	return PoolState{Owed: math.ZeroInt(), Distributed: math.ZeroInt()}
}

// NewNodeAuditReward is a node's side before it shared in anything.
func NewNodeAuditReward() NodeAuditReward { return NodeAuditReward{Accrued: math.ZeroInt()} }

// IsEmpty says whether nothing is left to settle or to pay.
func (r NodeAuditReward) IsEmpty() bool { return r.Epoch == 0 && r.Accrued.IsZero() }

// NewPendingShare is what a block's end finds of a node that did nothing.
func NewPendingShare() PendingShare { return PendingShare{SettledAmount: math.ZeroInt()} }

// Total is what the pool gave when its epoch closed, in uisc.
func (p EpochPool) Total() math.Int { return p.PerNode.Mul(math.NewIntFromUint64(p.Nodes)) }

// Unclaimed is what nodes have not settled of it, in uisc.
func (p EpochPool) Unclaimed() math.Int { return p.Total().Sub(p.Claimed) }

// SharePerNode divides what the account holds beyond what it owes equally among nodes, rounded down; the remainder is shared
// with the next epoch. It is 0 when there is nothing to divide.
func SharePerNode(balance, owed math.Int, nodes uint64) math.Int {
	free := balance.Sub(owed)
	if nodes == 0 || !free.IsPositive() {
		return math.ZeroInt()
	}
	return free.Quo(math.NewIntFromUint64(nodes))
}

// Coins are an amount of uisc.
func Coins(amount math.Int) sdk.Coins { return sdk.NewCoins(sdk.NewCoin(sunstypes.BaseDenom, amount)) }

// validAmount says whether an amount of a genesis is set, not negative and not absurd.
func validAmount(amount math.Int) bool {
	return !amount.IsNil() && !amount.IsNegative() && amount.LTE(maxAmount)
}
