// Package demo is no consensus code.
package demo

import "time"

// Now is the time.
func Now() time.Time { return time.Now() }
