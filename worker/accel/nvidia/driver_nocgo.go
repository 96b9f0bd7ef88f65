//go:build !linux || !cgo

package nvidia

import (
	"context"

	"github.com/isuncoin/isuncoin/worker/accel"
)

// Driver cannot ask here: the library is called through cgo.
type Driver struct{ Source }

// NewDriver returns a source that says so.
func NewDriver() Driver { return Driver{} }

// Inventory implements accel.Source.
func (Driver) Inventory(context.Context) (accel.Inventory, error) {
	return accel.Inventory{Version: accel.ContractVersion, Notes: []string{
		"this build cannot ask the NVIDIA driver: to rent out NVIDIA's cards, use a worker that was built with cgo on Linux",
	}}, nil
}
