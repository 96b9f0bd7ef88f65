package matproof

import (
	"errors"
	"fmt"
)

// What can be wrong. Everything returned wraps one of these.
var (
	// ErrStatement: the product asked for is out of bounds.
	ErrStatement = errors.New("no valid statement")
	// ErrChallenge: rounds, rows or beacon are out of bounds.
	ErrChallenge = errors.New("no valid challenge")
	// ErrMatrix: a matrix has the wrong size or holds what is no residue.
	ErrMatrix = errors.New("no valid matrix")
	// ErrMalformed: the bytes are no proof.
	ErrMalformed = errors.New("no valid proof")
	// ErrOther: the proof is of another claim, or answers another challenge.
	ErrOther = errors.New("proof of something else")
	// ErrRoot: what was opened, or the product, is not what was committed to.
	ErrRoot = errors.New("not what was committed to")
	// ErrFalse: a row is not the product's.
	ErrFalse = errors.New("not the product")
)

func wrap(err error, format string, args ...any) error {
	return fmt.Errorf("%w: %s", err, fmt.Sprintf(format, args...))
}
