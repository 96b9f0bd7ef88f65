package peer

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"unicode"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
	"github.com/isuncoin/isuncoin/worker/cloud/chunk"
)

// errMalformed: a message that the protocol does not know.
var errMalformed = errors.New("malformed message")

// Operations of the protocol for reading.
const (
	opStat    = "stat"
	opOutline = "outline"
	opChunks  = "chunks"
)

// request asks for something to read.
type request struct {
	Op string `json:"op"`
	// Digests are up to maxStat for a stat, and one for the others.
	Digests []uai.Digest `json:"digests"`
	// First and Count name chunks of the answerer's own outline.
	First int `json:"first,omitempty"`
	Count int `json:"count,omitempty"`
}

func (r request) validate() error {
	most := 1
	switch {
	case r.Op == opStat && r.First == 0 && r.Count == 0:
		most = maxStat
	case r.Op == opOutline && r.First == 0 && r.Count == 0:
	case r.Op == opChunks && r.First >= 0 && r.First < maxOutline && r.Count > 0 && r.Count <= maxRange:
	default:
		return fmt.Errorf("%w: operation %.20q, chunks %d from %d on", errMalformed, r.Op, r.Count, r.First)
	}
	if len(r.Digests) < 1 || len(r.Digests) > most {
		return fmt.Errorf("%w: %d digests", errMalformed, len(r.Digests))
	}
	for _, d := range r.Digests {
		if _, err := uai.ParseDigest(string(d)); err != nil {
			return fmt.Errorf("%w: %w", errMalformed, err)
		}
	}
	return nil
}

// answer is what a request gets, before any content.
type answer struct {
	// Error is one of the codes below, or empty.
	Error   string `json:"error,omitempty"`
	Message string `json:"message,omitempty"`
	// Sizes are those of a stat, in its order: bytes, or -1 for what is not held.
	Sizes []int64 `json:"sizes,omitempty"`
	// Size is the blob's, for an outline.
	Size int64 `json:"size,omitempty"`
	// Bytes is how much content follows.
	Bytes int64 `json:"bytes,omitempty"`
}

// Codes of errors, and what they are on this side.
const (
	codeNotHeld = "not-held"
	codeRefused = "refused"
	codeFull    = "full"
	codeFailed  = "failed"
)

// failure is the answer that tells a peer of an error. What went wrong inside
// is nobody else's: paths and addresses stay here.
func failure(err error) answer {
	switch {
	case errors.Is(err, cloud.ErrNotHeld):
		return answer{Error: codeNotHeld}
	case errors.Is(err, cloud.ErrFull):
		return answer{Error: codeFull}
	case errors.Is(err, cloud.ErrRefused), errors.Is(err, errMalformed):
		return answer{Error: codeRefused, Message: printable(err.Error())}
	default:
		return answer{Error: codeFailed}
	}
}

// level says whom the failure concerns: the owner of this machine, where
// something does not work here, and else only who looks for it.
func (a answer) level() slog.Level {
	if a.Error == codeFailed {
		return slog.LevelWarn
	}
	return slog.LevelDebug
}

// err is the error that a peer told of.
func (a answer) err() error { return asError(a.Error, a.Message) }

func asError(code, message string) error {
	switch code {
	case "":
		return nil
	case codeNotHeld:
		return cloud.ErrNotHeld
	case codeFull:
		return cloud.ErrFull
	case codeRefused:
		return fmt.Errorf("%w: %s", cloud.ErrRefused, strings.TrimPrefix(printable(message), cloud.ErrRefused.Error()+": "))
	case codeFailed:
		return errors.New("the peer failed at it")
	default:
		return fmt.Errorf("%w: error %.20q", errMalformed, code)
	}
}

// maxText bounds in bytes what a peer may have shown to a person.
const maxText = 256

// printable is a peer's text without what would move a terminal's cursor.
func printable(text string) string {
	if len(text) > maxText {
		text = text[:maxText]
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text)
}

// writeMessage sends one message.
func writeMessage(w io.Writer, message any) error {
	body, err := json.Marshal(message)
	if err != nil {
		return fmt.Errorf("encode a message: %w", err)
	}
	if len(body) > maxMessage {
		return fmt.Errorf("%w: %d bytes, more than %d", errMalformed, len(body), maxMessage)
	}
	_, err = w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...))
	return err
}

// readMessage reads one message and refuses fields that it does not know.
func readMessage(r io.Reader, message any) error {
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(length[:])
	if n == 0 || n > maxMessage {
		return fmt.Errorf("%w: a length of %d bytes", errMalformed, n)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(message); err != nil {
		return fmt.Errorf("%w: %w", errMalformed, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: more than one value", errMalformed)
	}
	return nil
}

// entry is a chunk of an outline on the wire: its sum and its size, big-endian.
const entry = 32 + 4

func encodeOutline(chunks []cloud.Chunk) []byte {
	out := make([]byte, 0, len(chunks)*entry)
	for _, c := range chunks {
		out = binary.BigEndian.AppendUint32(append(out, c.Sum[:]...), c.Size)
	}
	return out
}

// outlineChunks is how many chunks an outline may have that takes so many
// bytes, for a blob of that size. It bounds what is read from a peer.
func outlineChunks(size, bytes int64) (int, error) {
	n := bytes / entry
	if size < 0 || bytes < 0 || bytes%entry != 0 || n > maxOutline || n > size/chunk.Min+1 || n < (size+chunk.Max-1)/chunk.Max {
		return 0, fmt.Errorf("%w: an outline of %d bytes for a blob of %d", cloud.ErrLied, bytes, size)
	}
	return int(n), nil
}

// readOutline reads the chunks of a blob of that size. They must add up.
func readOutline(r io.Reader, size int64, n int) ([]cloud.Chunk, error) {
	var (
		raw    [entry]byte
		total  int64
		chunks []cloud.Chunk // grows as bytes arrive, not as they are promised
	)
	for range n {
		if _, err := io.ReadFull(r, raw[:]); err != nil {
			return nil, err
		}
		c := cloud.Chunk{Sum: [32]byte(raw[:32]), Size: binary.BigEndian.Uint32(raw[32:])}
		if c.Size == 0 || c.Size > chunk.Max {
			return nil, fmt.Errorf("%w: a chunk of %d bytes", cloud.ErrLied, c.Size)
		}
		total += int64(c.Size)
		chunks = append(chunks, c)
	}
	if total != size {
		return nil, fmt.Errorf("%w: chunks of %d bytes together for a blob of %d", cloud.ErrLied, total, size)
	}
	return chunks, nil
}
