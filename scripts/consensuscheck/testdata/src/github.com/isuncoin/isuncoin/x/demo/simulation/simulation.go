// Package simulation draws at random, as simulations do.
package simulation

import "math/rand"

// Draw draws.
func Draw() float64 { return rand.Float64() }
