package uai

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"path"
	"strings"
)

const digestPrefix = "sha256:"

// Digest is "sha256:" and 64 lower-case hexadecimal digits. No other
// algorithm is taken, so no digest can name a path outside the blobs.
type Digest string

// ParseDigest checks the form.
func ParseDigest(s string) (Digest, error) {
	digits, ok := strings.CutPrefix(s, digestPrefix)
	if !ok || len(digits) != 2*sha256.Size || strings.Trim(digits, "0123456789abcdef") != "" {
		return "", fmt.Errorf("%w: digest %q is not sha256: and 64 hexadecimal digits", ErrMalformed, s)
	}
	return Digest(s), nil
}

// Hex is the digest without its algorithm.
func (d Digest) Hex() string { return strings.TrimPrefix(string(d), digestPrefix) }

// String implements fmt.Stringer.
func (d Digest) String() string { return string(d) }

// blobPath is where a layout keeps the content.
func (d Digest) blobPath() string { return path.Join("blobs", "sha256", d.Hex()) }

func digestOf(content []byte) Digest {
	sum := sha256.Sum256(content)
	return Digest(digestPrefix + hex.EncodeToString(sum[:]))
}

func digestFrom(h hash.Hash) Digest { return Digest(digestPrefix + hex.EncodeToString(h.Sum(nil))) }

// verifyingReader gives ErrMismatch instead of the end when what passed
// through is not what was announced.
type verifyingReader struct {
	from io.Reader
	hash hash.Hash
	left int64
	want Digest
}

func newVerifyingReader(from io.Reader, want Digest, size int64) *verifyingReader {
	return &verifyingReader{from: from, hash: sha256.New(), left: size, want: want}
}

// Read implements io.Reader.
func (v *verifyingReader) Read(p []byte) (int, error) {
	n, err := v.from.Read(p)
	v.hash.Write(p[:n])
	v.left -= int64(n)
	switch {
	case v.left < 0:
		return n, fmt.Errorf("%w: %s is longer than announced", ErrMismatch, v.want)
	case err != io.EOF:
		return n, err
	case v.left > 0:
		return n, fmt.Errorf("%w: %s is %d bytes short", ErrMismatch, v.want, v.left)
	}
	if got := digestFrom(v.hash); got != v.want {
		return n, fmt.Errorf("%w: %s is really %s", ErrMismatch, v.want, got)
	}
	return n, io.EOF
}
