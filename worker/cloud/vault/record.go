package vault

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/rand"
	"encoding/binary"
	"fmt"

	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/secretsharing"
)

// Record is what the chain holds of an identity that was split.
type Record struct {
	Subject   Subject
	Recipient string
	// Threshold is how many shares give the identity back, 1 to len(Shares).
	Threshold uint32
	Shares    []SealedShare
	// Commitments are Feldman's, threshold of them, 32 bytes each.
	Commitments [][]byte
}

// SealedShare is a share that one node can open.
type SealedShare struct {
	// Node is operator/number.
	Node string
	// Index is where the polynomial was evaluated, from 1.
	Index  uint32
	Sealed []byte
}

// Holder is a node that is to hold a share.
type Holder struct {
	Node string
	// Key is its public X25519 key, 32 bytes, as the chain has it.
	Key []byte
}

// Split shares an identity among holders, so that threshold of them give it
// back, and fewer tell nothing.
func Split(identity *Identity, subject Subject, threshold int, holders []Holder) (Record, error) {
	if _, _, err := subject.Split(); err != nil {
		return Record{}, err
	}
	if len(holders) == 0 || len(holders) > MaxShares || threshold < 1 || threshold > len(holders) {
		return Record{}, fmt.Errorf("%w: %d of %d holders, want at least 1 of 1 to %d", ErrRecord, threshold, len(holders), MaxShares)
	}
	sharing := secretsharing.New(rand.Reader, uint(threshold-1), identity.secret)
	record := Record{Subject: subject, Recipient: identity.Recipient(), Threshold: uint32(threshold)}
	for _, c := range sharing.CommitSecret() {
		raw, err := c.MarshalBinaryCompress()
		if err != nil {
			return Record{}, fmt.Errorf("commitment: %w", err)
		}
		record.Commitments = append(record.Commitments, raw)
	}
	for i, h := range holders {
		share := Share{Index: uint32(i + 1)}
		value := sharing.ShareWithID(share.scalarIndex()).Value
		raw, err := value.MarshalBinary()
		if err != nil {
			return Record{}, fmt.Errorf("share: %w", err)
		}
		copy(share.Value[:], raw)
		sealed, err := record.seal(share, h)
		clear(raw)
		share.Wipe()
		if err != nil {
			return Record{}, err
		}
		record.Shares = append(record.Shares, SealedShare{Node: h.Node, Index: uint32(i + 1), Sealed: sealed})
	}
	return record, record.Validate()
}

// Validate refuses a record that contradicts itself. Everything in it may come
// from somebody hostile. ErrKept if it names nobody who holds a share.
func (r Record) Validate() error {
	if _, _, err := r.Subject.Split(); err != nil {
		return err
	}
	if _, err := ParseRecipient(r.Recipient); err != nil {
		return err
	}
	if r.Threshold == 0 && len(r.Shares) == 0 {
		return fmt.Errorf("%w: %s", ErrKept, r.Subject)
	}
	if n := len(r.Shares); n > MaxShares || r.Threshold < 1 || int(r.Threshold) > n || len(r.Commitments) != int(r.Threshold) {
		return fmt.Errorf("%w: %s: threshold %d with %d shares and %d commitments", ErrRecord, r.Subject, r.Threshold, n, len(r.Commitments))
	}
	nodes, indices := map[string]bool{}, map[uint32]bool{}
	for _, s := range r.Shares {
		switch {
		case s.Node == "" || nodes[s.Node]:
			return fmt.Errorf("%w: %s: node %q is absent or occurs twice", ErrRecord, r.Subject, clip(s.Node))
		case s.Index == 0 || indices[s.Index]:
			return fmt.Errorf("%w: %s: index %d is zero or occurs twice", ErrRecord, r.Subject, s.Index)
		case len(s.Sealed) == 0 || len(s.Sealed) > MaxSealedBytes:
			return fmt.Errorf("%w: %s: the share of %s has %d bytes", ErrRecord, r.Subject, clip(s.Node), len(s.Sealed))
		}
		nodes[s.Node], indices[s.Index] = true, true
	}
	_, err := r.commitments()
	return err
}

func (r Record) commitments() (secretsharing.SecretCommitment, error) {
	out := make(secretsharing.SecretCommitment, len(r.Commitments))
	for i, raw := range r.Commitments {
		out[i] = curve.NewElement()
		if len(raw) != scalarBytes || out[i].UnmarshalBinary(raw) != nil {
			return nil, fmt.Errorf("%w: %s: commitment %d is no point", ErrRecord, r.Subject, i)
		}
	}
	// The first commits to the secret, and a secret of zero is none.
	if out[0].IsIdentity() {
		return nil, fmt.Errorf("%w: %s: the secret is zero", ErrRecord, r.Subject)
	}
	return out, nil
}

// Share finds the share of a node.
func (r Record) Share(node string) (SealedShare, bool) {
	for _, s := range r.Shares {
		if s.Node == node {
			return s, true
		}
	}
	return SealedShare{}, false
}

// context is what a sealed share is bound to: moved to another record, index
// or node it does not open. The commitments stand for the identity.
func (r Record) context(node string, index uint32) []byte {
	var b bytes.Buffer
	for _, part := range [][]byte{[]byte(domainSeal), []byte(r.Subject), []byte(r.Recipient), []byte(node), r.Commitments[0]} {
		_ = binary.Write(&b, binary.BigEndian, uint32(len(part))) // a buffer takes all
		b.Write(part)
	}
	_ = binary.Write(&b, binary.BigEndian, index)
	return b.Bytes()
}

func (r Record) seal(share Share, h Holder) ([]byte, error) {
	point, err := ecdh.X25519().NewPublicKey(h.Key)
	if err != nil {
		return nil, fmt.Errorf("%w: the key of node %s: %w", ErrRecord, h.Node, err)
	}
	key, err := hpke.NewDHKEMPublicKey(point)
	if err != nil {
		return nil, fmt.Errorf("%w: the key of node %s: %w", ErrRecord, h.Node, err)
	}
	plain := share.Bytes()
	defer clear(plain)
	sealed, err := hpke.Seal(key, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), r.context(h.Node, share.Index), plain)
	if err != nil {
		return nil, fmt.Errorf("%w: seal to node %s: %w", ErrRecord, h.Node, err)
	}
	return sealed, nil
}

// Open opens the share of a node with its key, and checks it. ErrSealed,
// ErrFalseShare, ErrRecord.
func (r Record) Open(node string, key *NodeKey) (Share, error) {
	if err := r.Validate(); err != nil {
		return Share{}, err
	}
	sealed, ok := r.Share(node)
	if !ok {
		return Share{}, fmt.Errorf("%w: node %s holds no share of %s", ErrSealed, node, r.Subject)
	}
	private, err := hpke.NewDHKEMPrivateKey(key.private)
	if err != nil {
		return Share{}, fmt.Errorf("node key: %w", err)
	}
	plain, err := hpke.Open(private, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), r.context(node, sealed.Index), sealed.Sealed)
	if err != nil {
		return Share{}, fmt.Errorf("%w: %s of node %s", ErrSealed, r.Subject, node)
	}
	defer clear(plain)
	share, err := ParseShare(plain)
	if err != nil {
		return Share{}, err
	}
	return share, r.Check(node, share)
}

// Check tells a true share of a node from a false one. ErrFalseShare.
func (r Record) Check(node string, share Share) error {
	sealed, ok := r.Share(node)
	if !ok || sealed.Index != share.Index {
		return fmt.Errorf("%w: %s: index %d is not node %s's", ErrFalseShare, r.Subject, share.Index, node)
	}
	commitments, err := r.commitments()
	if err != nil {
		return err
	}
	value, err := share.scalar()
	if err != nil {
		return err
	}
	if !secretsharing.Verify(uint(r.Threshold-1), secretsharing.Share{ID: share.scalarIndex(), Value: value}, commitments) {
		return fmt.Errorf("%w: %s: from node %s", ErrFalseShare, r.Subject, node)
	}
	return nil
}

// Combine gives the identity back from the shares of nodes. It leaves false
// ones out and names who gave them. ErrTooFew, ErrRecord.
func (r Record) Combine(shares map[string]Share) (identity *Identity, liars []string, err error) {
	if err := r.Validate(); err != nil {
		return nil, nil, err
	}
	var valid []secretsharing.Share
	for _, sealed := range r.Shares {
		share, ok := shares[sealed.Node]
		if !ok {
			continue
		}
		if r.Check(sealed.Node, share) != nil {
			liars = append(liars, sealed.Node)
			continue
		}
		value, err := share.scalar()
		if err != nil {
			return nil, liars, err
		}
		valid = append(valid, secretsharing.Share{ID: share.scalarIndex(), Value: value})
	}
	defer func() {
		for _, s := range valid {
			s.Value.SetUint64(0)
		}
	}()
	if len(valid) < int(r.Threshold) {
		return nil, liars, fmt.Errorf("%w: %s: %d of %d", ErrTooFew, r.Subject, len(valid), r.Threshold)
	}
	secret, err := secretsharing.Recover(uint(r.Threshold-1), valid)
	if err != nil {
		return nil, liars, fmt.Errorf("%w: %s: %w", ErrTooFew, r.Subject, err)
	}
	if identity, err = identityOf(secret); err != nil {
		return nil, liars, err
	}
	if got := identity.Recipient(); got != r.Recipient {
		identity.Wipe()
		return nil, liars, fmt.Errorf("%w: %s: the shares give %s and the record names %s", ErrRecord, r.Subject, got, r.Recipient)
	}
	return identity, liars, nil
}

// Share is one holder's part of a scalar.
type Share struct {
	Index uint32
	Value [scalarBytes]byte
}

const (
	shareVersion = 1
	shareBytes   = 1 + 4 + scalarBytes
)

// Bytes is the share as it travels: version, index, value.
func (s Share) Bytes() []byte {
	out := make([]byte, 5, shareBytes)
	out[0] = shareVersion
	binary.BigEndian.PutUint32(out[1:], s.Index)
	return append(out, s.Value[:]...)
}

// ParseShare reads what Bytes wrote. ErrFalseShare.
func ParseShare(raw []byte) (Share, error) {
	if len(raw) != shareBytes || raw[0] != shareVersion {
		return Share{}, fmt.Errorf("%w: not a share of version %d", ErrFalseShare, shareVersion)
	}
	s := Share{Index: binary.BigEndian.Uint32(raw[1:])}
	copy(s.Value[:], raw[5:])
	if s.Index == 0 {
		return Share{}, fmt.Errorf("%w: index 0 would be the secret itself", ErrFalseShare)
	}
	_, err := s.scalar()
	return s, err
}

// Wipe overwrites the value.
func (s *Share) Wipe() { clear(s.Value[:]) }

func (s Share) scalarIndex() group.Scalar { return curve.NewScalar().SetUint64(uint64(s.Index)) }

func (s Share) scalar() (group.Scalar, error) {
	value := curve.NewScalar()
	if err := value.UnmarshalBinary(s.Value[:]); err != nil {
		return nil, fmt.Errorf("%w: its value is no scalar", ErrFalseShare)
	}
	// Two encodings of one value would be two shares.
	again, err := value.MarshalBinary()
	if err != nil || !bytes.Equal(again, s.Value[:]) {
		return nil, fmt.Errorf("%w: its value is not reduced", ErrFalseShare)
	}
	return value, nil
}
