// Package vault keeps secrets for leases and private images, so that a node
// can read what it must run and nobody else can.
//
// An Identity is an age key pair that is derived from one scalar. Its owner
// splits the scalar among nodes: any threshold of them give it back, fewer
// tell nothing. What goes on the chain is a Record: the identity's recipient,
// the shares, each sealed to its node, and commitments by which a false share
// is told from a true one. A Releaser is the side of a node that holds a
// share; Collect is the side of a node that needs the identity.
package vault

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Sentinels that callers decide by.
var (
	// ErrRecord: a record of key holders is malformed or contradicts itself.
	ErrRecord = errors.New("malformed record of key holders")
	// ErrSealed: a sealed share does not open: it is of another subject, index,
	// node or identity, or damaged.
	ErrSealed = errors.New("sealed share does not open")
	// ErrFalseShare: a share does not match the record's commitments.
	ErrFalseShare = errors.New("false share")
	// ErrKept: the owner of a key keeps it alone, and no node has a share.
	ErrKept = errors.New("its owner keeps the key alone")
	// ErrTooFew: fewer true shares than the threshold.
	ErrTooFew = errors.New("too few shares")
	// ErrNotEntitled: the chain does not let the asker have this share.
	ErrNotEntitled = errors.New("not entitled to the key")
	// ErrOften: the asker asks too often.
	ErrOften = errors.New("asked too often")
	// ErrKeyFile: a file of keys is damaged, readable by others, or not there.
	ErrKeyFile = errors.New("key file")
)

// Bounds of a record; the chain has the same.
const (
	MaxShares      = 16
	MaxSealedBytes = 512
)

// Subject is what an identity is for: "lease/TENANT/NUMBER",
// "image/PUBLISHER/NAME:TAG" or, never shared among nodes by itself,
// "object/OWNER/NAME".
type Subject string

// Kinds of subjects.
const (
	KindLease  = "lease"
	KindImage  = "image"
	KindObject = "object"
)

var (
	accountPattern = regexp.MustCompile(`^[a-z0-9]{1,128}$`)
	imagePattern   = regexp.MustCompile(`^[a-z0-9]{1,128}/[a-z0-9][a-z0-9._/-]{0,127}:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)
	objectPattern  = regexp.MustCompile(`^[a-z0-9]{1,128}/[A-Za-z0-9._/-]{1,128}$`)
)

// LeaseSubject names the identity of a lease.
func LeaseSubject(tenant string, number uint64) Subject {
	return Subject(KindLease + "/" + tenant + "/" + strconv.FormatUint(number, 10))
}

// ImageSubject names the identity of an image, given as PUBLISHER/NAME:TAG.
func ImageSubject(image string) Subject { return Subject(KindImage + "/" + image) }

// ObjectSubject names the identity of a stored object.
func ObjectSubject(owner, name string) Subject { return Subject(KindObject + "/" + owner + "/" + name) }

// Of says whether a placement of a lease that runs an image needs the
// subject's key.
func (s Subject) Of(tenant string, number uint64, image string) bool {
	return s == LeaseSubject(tenant, number) || s == ImageSubject(image)
}

// Split checks the form and gives the kind and what follows it.
func (s Subject) Split() (kind, name string, err error) {
	kind, name, _ = strings.Cut(string(s), "/")
	ok := false
	switch kind {
	case KindLease:
		_, _, err := s.Lease()
		ok = err == nil
	case KindImage:
		ok = imagePattern.MatchString(name)
	case KindObject:
		ok = objectPattern.MatchString(name)
	}
	if !ok {
		return "", "", fmt.Errorf("%w: subject %q is none of lease/TENANT/NUMBER, image/PUBLISHER/NAME:TAG, object/OWNER/NAME", ErrRecord, s)
	}
	return kind, name, nil
}

// Lease gives tenant and number of a lease's subject.
func (s Subject) Lease() (tenant string, number uint64, err error) {
	rest, ok := strings.CutPrefix(string(s), KindLease+"/")
	tenant, digits, _ := strings.Cut(rest, "/")
	number, parseErr := strconv.ParseUint(digits, 10, 64)
	// One lease has one name: "7" and "07" would be two subjects.
	if !ok || parseErr != nil || !accountPattern.MatchString(tenant) || strconv.FormatUint(number, 10) != digits {
		return "", 0, fmt.Errorf("%w: subject %q is not lease/TENANT/NUMBER", ErrRecord, s)
	}
	return tenant, number, nil
}
