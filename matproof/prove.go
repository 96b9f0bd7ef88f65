package matproof

import (
	"context"
	"slices"
)

// Prover holds a product that was committed to.
type Prover struct {
	claim   Claim
	product []uint32
	leaves  []Digest
}

// Prove expands a statement's matrices, multiplies them and commits to the
// product. Errors: ErrStatement, ErrMatrix, the multiplier's.
func Prove(ctx context.Context, s Statement, m Multiplier) (*Prover, error) {
	a, b, err := s.Matrices()
	if err != nil {
		return nil, err
	}
	product, err := m.Product(ctx, s.Size, a, b)
	if err != nil {
		return nil, err
	}
	return Commit(s, product)
}

// Commit commits to a product computed elsewhere. It keeps the slice, which
// must not change any more, and does not check the product. Errors:
// ErrStatement, ErrMatrix.
func Commit(s Statement, product []uint32) (*Prover, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	leaves, err := hashRows(s.Size, product)
	if err != nil {
		return nil, err
	}
	s.Context = slices.Clone(s.Context)
	return &Prover{claim: Claim{Statement: s, Root: bind(s, subtree(leaves))}, product: product, leaves: leaves}, nil
}

// hashRows gives the leaves of a product, once it is seen to be a matrix of
// residues.
func hashRows(n int, product []uint32) ([]Digest, error) {
	if len(product) != n*n {
		return nil, wrap(ErrMatrix, "%d values are no matrix of size %d", len(product), n)
	}
	if !canonical(product) {
		return nil, wrap(ErrMatrix, "a value is not below %d", P)
	}
	leaves, buf := make([]Digest, n), leafBuffer(n)
	for i := range leaves {
		leaves[i] = leaf(n, i, product[i*n:(i+1)*n], buf)
	}
	return leaves, nil
}

// Claim is what to publish.
func (p *Prover) Claim() Claim { return p.claim }

// Open answers a challenge. Errors: ErrChallenge.
func (p *Prover) Open(c Challenge) (Proof, error) {
	n := p.claim.Statement.Size
	if err := c.validate(n, 1); err != nil {
		return Proof{}, err
	}
	c.Beacon = slices.Clone(c.Beacon)
	indices := rows(transcript(p.claim, c), n, c.Rows)
	proof := Proof{Claim: p.claim, Challenge: c, Siblings: siblings(p.leaves, 0, indices, nil)}
	for _, i := range indices {
		proof.Rows = append(proof.Rows, slices.Clone(p.product[i*n:(i+1)*n]))
	}
	return proof, nil
}
