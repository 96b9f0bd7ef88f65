// Package client brings content into iSunCloud and out of it, for programs that
// are no node: they serve what they push, and pull what nodes hold.
package client

import "errors"

var (
	// ErrNoHolder: no node that can be reached holds the content.
	ErrNoHolder = errors.New("no node that can be reached holds it")
	// ErrTooFewHolders: fewer nodes took the content than it needs; the message says why each of the others did not.
	ErrTooFewHolders = errors.New("too few nodes took it")
)
