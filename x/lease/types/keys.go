// Package types holds the messages, state, arithmetic and errors of x/lease: leases, placements, escrow and billing.
package types

const (
	// ModuleName names the module, its store and its escrow account.
	ModuleName = "lease"
	// StoreKey is the module's store.
	StoreKey = ModuleName
	// AuditPoolName is the account of x/audit that receives the audit share; it is paid by name, so that x/lease needs
	// nothing of the module above it.
	AuditPoolName = "audit"
)
