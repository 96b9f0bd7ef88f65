// Package types holds the messages, state and errors of x/audit: usage attestations and the audit reward.
package types

import (
	"cosmossdk.io/collections"

	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
)

const (
	// ModuleName names the module, its store and the account that holds the audit pool.
	ModuleName = leasetypes.AuditPoolName
	// StoreKey is the module's store.
	StoreKey = ModuleName
)

// Prefixes of the store, in sequence and never reused.
var (
	ParamsPrefix          = collections.NewPrefix(0)
	AttestationsPrefix    = collections.NewPrefix(1)
	UsagesPrefix          = collections.NewPrefix(2)
	RewardsPrefix         = collections.NewPrefix(3)
	PendingSharesPrefix   = collections.NewPrefix(4)
	EpochPoolsPrefix      = collections.NewPrefix(5)
	PoolPrefix            = collections.NewPrefix(6)
	PayoutQueuePrefix     = collections.NewPrefix(7)
	QuarantinePrefix      = collections.NewPrefix(8)
	QuarantineCountPrefix = collections.NewPrefix(9)
	PayoutPlacesPrefix    = collections.NewPrefix(10)
	NodeUsagesPrefix      = collections.NewPrefix(11)
)

const (
	// PayoutQueueName names the queue of withdrawals that wait to be paid.
	PayoutQueueName = "payouts"
	// PendingSharesName names, in the quarantine, what a block's transactions left for its end. It is no queue.
	PendingSharesName = "pending_shares"
)
