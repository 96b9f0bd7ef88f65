package control

import (
	"time"

	"github.com/isuncoin/isuncoin/worker/attester"
	"github.com/isuncoin/isuncoin/worker/journal"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
)

// Status is what a running worker says of itself.
type Status struct {
	ChainID  string    `json:"chain_id"`
	Node     string    `json:"node"`
	Agent    string    `json:"agent"`
	PID      int       `json:"pid"`
	Since    time.Time `json:"since"`
	Endpoint string    `json:"endpoint"`
	// Mode is active, paused (by the owner) or silent (the chain has not
	// confirmed this node for too long).
	Mode string `json:"mode"`
	// SilentIn is how long until silent, in seconds; negative when it is.
	SilentIn   float64         `json:"silent_in_seconds"`
	ChainError string          `json:"chain_error,omitempty"`
	Engine     string          `json:"engine,omitempty"`
	Attester   attester.Status `json:"attester"`
	Placements []Placement     `json:"placements"`
}

// Placement is one placement as the worker sees it.
type Placement struct {
	ID leasetypes.PlacementID `json:"id"`
	// Chain is the chain's status, such as "running"; "unknown" for a
	// container the chain does not list.
	Chain string `json:"chain"`
	// Container is the engine's status.
	Container string                `json:"container"`
	Image     string                `json:"image,omitempty"`
	MilliSuns uint64                `json:"milli_suns"`
	Price     uint64                `json:"price_uisc_per_suns_hour"`
	Usage     journal.Usage         `json:"usage"`
	Attested  journal.Usage         `json:"attested"`
	Failures  int                   `json:"failures"`
	Restarts  int                   `json:"restarts"`
	Endpoints []leasetypes.Endpoint `json:"endpoints,omitempty"`
	// PaidOperator is what its settled hours have paid so far, in uisc.
	PaidOperator string `json:"paid_operator_uisc"`
}
