// Package types holds the messages, state, arithmetic and errors of x/lease: leases, placements, escrow and billing.
package types

import "cosmossdk.io/collections"

const (
	// ModuleName names the module, its store and its escrow account.
	ModuleName = "lease"
	// StoreKey is the module's store.
	StoreKey = ModuleName
	// AuditPoolName is the account of x/audit that receives the audit share; it is paid by name, so that x/lease needs
	// nothing of the module above it.
	AuditPoolName = "audit"
)

// Prefixes of the store, in sequence and never reused.
var (
	ParamsPrefix              = collections.NewPrefix(0)
	LeasesPrefix              = collections.NewPrefix(1)
	MoneyPrefix               = collections.NewPrefix(2)
	SequencesPrefix           = collections.NewPrefix(3)
	RequestsPrefix            = collections.NewPrefix(4)
	PlacementsPrefix          = collections.NewPrefix(5)
	PlacementsByNodePrefix    = collections.NewPrefix(6)
	BillingsPrefix            = collections.NewPrefix(7)
	HistoryPrefix             = collections.NewPrefix(8)
	StandingsPrefix           = collections.NewPrefix(9)
	EvictionsPrefix           = collections.NewPrefix(10)
	IndexedNodesPrefix        = collections.NewPrefix(11)
	OperatorEntriesPrefix     = collections.NewPrefix(12)
	MatchEntriesPrefix        = collections.NewPrefix(13)
	MatchClassesPrefix        = collections.NewPrefix(14)
	LeaseUpdateQueuePrefix    = collections.NewPrefix(15)
	NewRequestQueuePrefix     = collections.NewPrefix(16)
	RetryQueuePrefix          = collections.NewPrefix(17)
	EndingQueuePrefix         = collections.NewPrefix(18)
	EvictionQueuePrefix       = collections.NewPrefix(19)
	PlacementDueQueuePrefix   = collections.NewPrefix(20)
	LeaseDueQueuePrefix       = collections.NewPrefix(21)
	NodeBackoffQueuePrefix    = collections.NewPrefix(22)
	PlacementPruneQueuePrefix = collections.NewPrefix(23)
	LeasePruneQueuePrefix     = collections.NewPrefix(24)
	ReindexQueuePrefix        = collections.NewPrefix(25)
	QuarantinePrefix          = collections.NewPrefix(26)
	QuarantineCountPrefix     = collections.NewPrefix(27)
	PlacesPrefix              = collections.NewPrefix(28)
	ServedPrefix              = collections.NewPrefix(29)
	ServicesPrefix            = collections.NewPrefix(30)
	CalmUntilPrefix           = collections.NewPrefix(31)
	CalmPushedPrefix          = collections.NewPrefix(32)
	SnapshotsPrefix           = collections.NewPrefix(33)
	ReplicaSnapshotsPrefix    = collections.NewPrefix(34)
)
