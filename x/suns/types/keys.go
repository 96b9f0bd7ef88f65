// Package types holds the messages, state, arithmetic and errors of x/suns: nodes, their capacity in SUNS, liveness and the
// maintenance reward.
package types

const (
	// ModuleName names the module, its store and the account that holds bonds.
	ModuleName = "suns"
	// StoreKey is the module's store.
	StoreKey = ModuleName
	// RewardPoolName is the account that holds minted maintenance rewards until they are paid.
	RewardPoolName = "suns_rewards"
)
