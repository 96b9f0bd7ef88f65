package types

import (
	"strconv"
	"strings"

	"cosmossdk.io/collections"

	"github.com/cosmos/cosmos-sdk/types/bech32"

	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

const (
	// MaxShares bounds the nodes that hold a key: whoever needs it asks all of them.
	MaxShares = 16
	// MaxSealedBytes bounds a sealed share: 32 bytes of a share with what age adds are below it.
	MaxSealedBytes = 512
	// CommitmentBytes is the size of a point of Ristretto255.
	CommitmentBytes = 32

	// recipientPrefix is the human-readable part of age's X25519 recipients.
	recipientPrefix = "age"

	imageSubject = "image/"
	leaseSubject = "lease/"
)

// Subject is what a key is to: an image, or a lease by its tenant and number. One of both is set.
type Subject struct {
	Image  string
	Tenant string
}

// ParseSubject reads "image/PUBLISHER/NAME:TAG" or "lease/TENANT/NUMBER", in the one spelling the chain writes, or gives
// ErrInvalidSubject.
func ParseSubject(s string) (Subject, error) {
	if ref, ok := strings.CutPrefix(s, imageSubject); ok {
		if _, err := ParseImageID(ref); err != nil {
			return Subject{}, ErrInvalidSubject.Wrap(err.Error())
		}
		return Subject{Image: ref}, nil
	}
	rest, ok := strings.CutPrefix(s, leaseSubject)
	tenant, number, parted := strings.Cut(rest, "/")
	if !ok || !parted {
		return Subject{}, ErrInvalidSubject.Wrapf("%.200q is neither image/PUBLISHER/NAME:TAG nor lease/TENANT/NUMBER", s)
	}
	if _, err := parseAddress(tenant); err != nil {
		return Subject{}, ErrInvalidSubject.Wrapf("tenant %.100q: %s", tenant, err)
	}
	if n, err := strconv.ParseUint(number, 10, 64); err != nil || n == 0 || strconv.FormatUint(n, 10) != number {
		return Subject{}, ErrInvalidSubject.Wrapf("%.40q is no number of a lease", number)
	}
	return Subject{Tenant: tenant}, nil
}

// Validate returns ErrInvalidSubject or ErrInvalidKeyHolders with what is wrong. That nodes are there is for the keeper to
// say. Shares and commitments are not checked against each other: whoever is given a share does that.
func (h KeyHolders) Validate() error {
	if _, err := ParseSubject(h.Subject); err != nil {
		return err
	}
	if _, err := parseAddress(h.Owner); err != nil {
		return ErrInvalidKeyHolders.Wrapf("owner %.100q: %s", h.Owner, err)
	}
	if err := validateRecipient(h.Recipient); err != nil {
		return err
	}
	if h.Revision == 0 {
		return ErrInvalidKeyHolders.Wrap("revisions begin at 1")
	}
	if len(h.Shares) > MaxShares || int64(h.Threshold) > int64(len(h.Shares)) || (h.Threshold == 0) != (len(h.Shares) == 0) {
		return ErrInvalidKeyHolders.Wrapf("threshold %d of %d shares: 1 to the number of shares, which is at most %d, or 0 of none",
			h.Threshold, len(h.Shares), MaxShares)
	}
	if len(h.Commitments) != int(h.Threshold) {
		return ErrInvalidKeyHolders.Wrapf("%d commitments, not as many as the threshold, %d", len(h.Commitments), h.Threshold)
	}
	for i, commitment := range h.Commitments {
		if len(commitment) != CommitmentBytes {
			return ErrInvalidKeyHolders.Wrapf("commitments[%d] has %d bytes, not %d", i, len(commitment), CommitmentBytes)
		}
	}
	return h.validateShares()
}

func (h KeyHolders) validateShares() error {
	nodes, indexes := make(map[sunstypes.NodeID]bool, len(h.Shares)), make(map[uint32]bool, len(h.Shares))
	for i, share := range h.Shares {
		if _, err := share.Node.Canonical(); err != nil {
			return ErrInvalidKeyHolders.Wrapf("shares[%d]: %s", i, err)
		}
		if share.Index == 0 || indexes[share.Index] || nodes[share.Node] {
			return ErrInvalidKeyHolders.Wrapf("shares[%d]: index %d is 0, or index or node %s is there twice", i, share.Index, share.Node)
		}
		if len(share.Sealed) == 0 || len(share.Sealed) > MaxSealedBytes {
			return ErrInvalidKeyHolders.Wrapf("shares[%d]: sealed has %d bytes, not 1 to %d", i, len(share.Sealed), MaxSealedBytes)
		}
		nodes[share.Node], indexes[share.Index] = true, true
	}
	return nil
}

// validateRecipient takes age's X25519 recipients, in lower case as age writes them.
func validateRecipient(recipient string) error {
	prefix, key, err := bech32.DecodeAndConvert(recipient)
	if err != nil || prefix != recipientPrefix || strings.ToLower(recipient) != recipient {
		return ErrInvalidKeyHolders.Wrapf("recipient %.100q is no public key of age, age1…", recipient)
	}
	if err := sunstypes.ValidateEncryptionKey(key); err != nil {
		return ErrInvalidKeyHolders.Wrapf("recipient: %s", err)
	}
	return nil
}

func (g GenesisState) validateKeyHolders() error {
	keys := inOrder[string]{name: "key_holders", codec: collections.StringKey}
	for _, holders := range g.KeyHolders {
		if err := holders.Validate(); err != nil {
			return err
		}
		if err := keys.next(holders.Subject, nil); err != nil {
			return err
		}
	}
	return nil
}
