// Package types holds the messages, state and errors of x/uai: the images that tenants lease.
package types

import "cosmossdk.io/collections"

const (
	// ModuleName names the module and its store.
	ModuleName = "uai"
	// StoreKey is the module's store.
	StoreKey = ModuleName
)

// Prefixes of the store, in sequence and never reused.
var (
	ParamsPrefix         = collections.NewPrefix(0)
	ImagesPrefix         = collections.NewPrefix(1)
	ImagesByOwnerPrefix  = collections.NewPrefix(2)
	ImagesByDigestPrefix = collections.NewPrefix(3)
	AccessPrefix         = collections.NewPrefix(4)
	ContentsPrefix       = collections.NewPrefix(5)
	ObjectsPrefix        = collections.NewPrefix(6)
	ObjectCountsPrefix   = collections.NewPrefix(7)
	HoldingsPrefix       = collections.NewPrefix(8)
	HoldingsByNodePrefix = collections.NewPrefix(9)
	HoldingCountsPrefix  = collections.NewPrefix(10)
	KeyHoldersPrefix     = collections.NewPrefix(11)
)
