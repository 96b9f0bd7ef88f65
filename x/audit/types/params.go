package types

import (
	"time"

	"cosmossdk.io/math"

	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// Bounds of the params. Short durations are allowed down to a second: demonstrations and tests run hours in seconds.
const (
	// MinAttestInterval is below the least silence limit of x/suns, a second, so that every silence limit leaves room for an
	// interval; with less, every busy node would attest in every block.
	MinAttestInterval = 500 * time.Millisecond
	// MaxAttestInterval: beyond an hour a span could settle before a single attestation of it came.
	MaxAttestInterval = time.Hour
	// MinMinNodeMilliSuns: nodes of 0 SUNS do not exist, so 0 would be an unset param.
	MinMinNodeMilliSuns uint64 = 1
	// MaxMinNodeMilliSuns: beyond the biggest node there may be, nobody could share.
	MaxMinNodeMilliSuns = sunstypes.MaxNodeMilliSuns
	// MinClaimEpochs: a share must wait at least until the check-in of the next epoch.
	MinClaimEpochs uint64 = 2
	// MaxClaimEpochs bounds the pools in state.
	MaxClaimEpochs uint64 = 10_000
	// MinPayoutsPerBlock: a queue with no budget never moves.
	MinPayoutsPerBlock uint32 = 1
	// MaxPayoutsPerBlock: beyond it one block's payouts take longer than a block.
	MaxPayoutsPerBlock uint32 = 10_000
)

// MaxAuditBond is 10^18 uisc, a million million ISC: nobody could pay a bond beyond it.
var MaxAuditBond = math.NewInt(1_000_000_000_000_000_000)

// DefaultParams are the params of a new chain.
func DefaultParams() Params {
	return Params{
		AttestInterval:     5 * time.Minute,
		AuditBond:          math.NewInt(10_000_000),
		MinNodeMilliSuns:   1000,
		ClaimEpochs:        168,
		MaxPayoutsPerBlock: 200,
	}
}

// Validate returns ErrInvalidParams with the first param that is unset or out of its bounds.
func (p Params) Validate() error {
	if p.AttestInterval < MinAttestInterval || p.AttestInterval > MaxAttestInterval {
		return ErrInvalidParams.Wrapf("attest_interval %s is not in %s..%s", p.AttestInterval, MinAttestInterval, MaxAttestInterval)
	}
	if p.AuditBond.IsNil() || !p.AuditBond.IsPositive() || p.AuditBond.GT(MaxAuditBond) {
		return ErrInvalidParams.Wrapf("audit_bond %s is not in 1..%s", intText(p.AuditBond), MaxAuditBond)
	}
	if p.MinNodeMilliSuns < MinMinNodeMilliSuns || p.MinNodeMilliSuns > MaxMinNodeMilliSuns {
		return ErrInvalidParams.Wrapf("min_node_milli_suns %d is not in %d..%d",
			p.MinNodeMilliSuns, MinMinNodeMilliSuns, MaxMinNodeMilliSuns)
	}
	if p.ClaimEpochs < MinClaimEpochs || p.ClaimEpochs > MaxClaimEpochs {
		return ErrInvalidParams.Wrapf("claim_epochs %d is not in %d..%d", p.ClaimEpochs, MinClaimEpochs, MaxClaimEpochs)
	}
	if p.MaxPayoutsPerBlock < MinPayoutsPerBlock || p.MaxPayoutsPerBlock > MaxPayoutsPerBlock {
		return ErrInvalidParams.Wrapf("max_payouts_per_block %d is not in %d..%d",
			p.MaxPayoutsPerBlock, MinPayoutsPerBlock, MaxPayoutsPerBlock)
	}
	return nil
}

// ValidateWith holds the params to those of x/suns: a node that attests in time must never count as silent.
func (p Params) ValidateWith(suns sunstypes.Params) error {
	if p.AttestInterval >= suns.SilenceLimit {
		return ErrInvalidParams.Wrapf("attest_interval %s is not below the silence limit of x/suns, %s",
			p.AttestInterval, suns.SilenceLimit)
	}
	return nil
}

// Qualifies says whether a node that checks in during an epoch shares in its audit pool: there since before the epoch
// began, big enough, bonded enough and at work.
func (p Params) Qualifies(node sunstypes.Node, epoch uint64) bool {
	working := node.Status == sunstypes.NODE_STATUS_ACTIVE || node.Status == sunstypes.NODE_STATUS_DRAINING
	return working && node.RegisteredEpoch < epoch && node.MilliSuns >= p.MinNodeMilliSuns &&
		!node.Bond.IsNil() && node.Bond.GTE(p.AuditBond)
}

// intText is an amount for people, unset ones included.
func intText(amount math.Int) string {
	if amount.IsNil() {
		return "unset"
	}
	return amount.String()
}
