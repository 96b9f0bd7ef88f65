// Package types holds the messages, state, arithmetic and errors of x/suns: nodes, their capacity in SUNS, liveness and the
// maintenance reward.
package types

import "cosmossdk.io/collections"

const (
	// ModuleName names the module, its store and the account that holds bonds.
	ModuleName = "suns"
	// StoreKey is the module's store.
	StoreKey = ModuleName
	// RewardPoolName is the account that holds minted maintenance rewards until they are paid. It mints, so it needs the
	// permission to.
	RewardPoolName = "suns_rewards"
)

// Prefixes of the store, in sequence and never reused.
var (
	ParamsPrefix           = collections.NewPrefix(0)
	ClockPrefix            = collections.NewPrefix(1)
	NodesPrefix            = collections.NewPrefix(2)
	NodesByAgentPrefix     = collections.NewPrefix(3)
	OperatorsPrefix        = collections.NewPrefix(4)
	LoadsPrefix            = collections.NewPrefix(5)
	CheckInsPrefix         = collections.NewPrefix(6)
	DeadlinesPrefix        = collections.NewPrefix(7)
	DeadlineQueuePrefix    = collections.NewPrefix(8)
	UnbondingQueuePrefix   = collections.NewPrefix(9)
	PayoutQueuePrefix      = collections.NewPrefix(10)
	RewardsPrefix          = collections.NewPrefix(11)
	PendingCheckInsPrefix  = collections.NewPrefix(12)
	EpochPrefix            = collections.NewPrefix(13)
	EpochRewardsPrefix     = collections.NewPrefix(14)
	EmissionSchedulePrefix = collections.NewPrefix(15)
	EmissionPrefix         = collections.NewPrefix(16)
	QuarantinePrefix       = collections.NewPrefix(17)
	QuarantineCountPrefix  = collections.NewPrefix(18)
	PayoutPlacesPrefix     = collections.NewPrefix(19)
	CalmUntilPrefix        = collections.NewPrefix(20)
	CalmPushedPrefix       = collections.NewPrefix(21)
	ContactsPrefix         = collections.NewPrefix(22)
)
