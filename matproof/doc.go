// Package matproof is work that can be checked in a small part of the time it
// takes: a matrix product over a prime field, both matrices drawn from a seed,
// the result committed to by a Merkle root.
//
// The prover computes C = A·B, keeps it and publishes the root: the Claim. A
// verifier that has the whole product checks it by Freivalds' method
// (CheckProduct). One that has only the root sends a Challenge, gets some rows
// with their way to the root, and checks each against A·(B·r) for random
// vectors r (Proof.Verify). README.md derives what either proves and what it
// does not.
//
// Verification is integer arithmetic on one goroutine: the same inputs give
// the same answer everywhere, and nothing they hold can make it panic or use
// more memory than the bounds of this package allow.
package matproof
