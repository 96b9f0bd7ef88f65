package matproof

// Proof shows some rows of a product that was committed to. Which ones follows
// from claim and challenge.
type Proof struct {
	Claim     Claim
	Challenge Challenge
	// Rows are the opened ones, in ascending order of their place.
	Rows [][]uint32
	// Siblings lead from them to the root.
	Siblings []Digest
}

// Verify checks the proof against the claim that was published and the
// challenge that was set: the opened rows are those the claim's root commits
// to, and each is the product's, save with probability P^-rounds. It expands
// all of B and of A the opened rows only, and keeps rounds + 1 vectors.
//
// Errors: ErrStatement, ErrChallenge, ErrOther, ErrMalformed, ErrRoot,
// ErrFalse.
func (p Proof) Verify(claim Claim, challenge Challenge) error {
	n := claim.Statement.Size
	if err := claim.Statement.Validate(); err != nil {
		return err
	}
	if err := challenge.validate(n, 1); err != nil {
		return err
	}
	if !p.Claim.Equal(claim) || !p.Challenge.Equal(challenge) {
		return wrap(ErrOther, "its statement, root or challenge is not the expected one")
	}
	t := transcript(claim, challenge)
	indices := rows(t, n, challenge.Rows)
	if err := p.checkShape(indices); err != nil {
		return err
	}
	if err := p.checkRoot(indices); err != nil {
		return err
	}
	check := newCheck(claim.Statement, vectors(t, n, challenge.Rounds))
	for j, i := range indices {
		if !check.row(i, p.Rows[j]) {
			return wrap(ErrFalse, "row %d", i)
		}
	}
	return nil
}

func (p Proof) checkShape(indices []int) error {
	n := p.Claim.Statement.Size
	if len(p.Rows) != len(indices) {
		return wrap(ErrMalformed, "%d rows, not %d", len(p.Rows), len(indices))
	}
	for j, row := range p.Rows {
		if len(row) != n {
			return wrap(ErrMalformed, "row %d has %d values, not %d", indices[j], len(row), n)
		}
		if !canonical(row) {
			return wrap(ErrMalformed, "row %d has a value that is not below %d", indices[j], P)
		}
	}
	if want := countSiblings(n, 0, indices); len(p.Siblings) != want {
		return wrap(ErrMalformed, "%d digests, not %d", len(p.Siblings), want)
	}
	return nil
}

func (p Proof) checkRoot(indices []int) error {
	n := p.Claim.Statement.Size
	o, buf := opening{siblings: p.Siblings}, leafBuffer(n)
	for j, i := range indices {
		o.leaves = append(o.leaves, leaf(n, i, p.Rows[j], buf))
	}
	if bind(p.Claim.Statement, o.root(n, 0, indices)) != p.Claim.Root {
		return wrap(ErrRoot, "the opened rows lead to another root")
	}
	return nil
}

// CheckProduct checks a whole product: it is what the claim's root commits to,
// and it is A·B, save with probability P^-rounds. Of the challenge, Rows is
// not used. Errors: ErrStatement, ErrChallenge, ErrMatrix, ErrRoot, ErrFalse.
func CheckProduct(claim Claim, challenge Challenge, product []uint32) error {
	n := claim.Statement.Size
	if err := claim.Statement.Validate(); err != nil {
		return err
	}
	if err := challenge.validate(n, 0); err != nil {
		return err
	}
	leaves, err := hashRows(n, product)
	if err != nil {
		return err
	}
	if bind(claim.Statement, subtree(leaves)) != claim.Root {
		return wrap(ErrRoot, "the product has another root")
	}
	check := newCheck(claim.Statement, vectors(transcript(claim, challenge), n, challenge.Rounds))
	for i := range n {
		if !check.row(i, product[i*n:(i+1)*n]) {
			return wrap(ErrFalse, "row %d", i)
		}
	}
	return nil
}

// check compares rows of a claimed product with A·(B·r), for several r.
type check struct {
	a       matrix
	vectors [][]uint32 // r
	images  [][]uint32 // B·r
	scratch []uint32   // room for a row
}

func newCheck(s Statement, vectors [][]uint32) *check {
	c := &check{a: s.matrix("A"), vectors: vectors, scratch: make([]uint32, s.Size)}
	for range vectors {
		c.images = append(c.images, make([]uint32, s.Size))
	}
	b := s.matrix("B")
	for i := range s.Size {
		b.row(i, c.scratch)
		for j, r := range vectors {
			c.images[j][i] = dot(c.scratch, r)
		}
	}
	return c
}

// row says whether a claimed row i times each r is what the true one gives.
func (c *check) row(i int, claimed []uint32) bool {
	c.a.row(i, c.scratch)
	for j, r := range c.vectors {
		if dot(claimed, r) != dot(c.scratch, c.images[j]) {
			return false
		}
	}
	return true
}
