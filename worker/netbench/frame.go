package netbench

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"
)

// A frame is its type, the length of its payload in four bytes, and the
// payload. All numbers are big-endian.
type frameType byte

const (
	frameHello   frameType = iota + 1 // client: who I am, what I want
	frameWelcome                      // server: go on
	framePing                         // client: a number
	framePong                         // server: the same number
	frameBlock                        // sender: a number, then payload of the seeded ring
	frameAck                          // receiver: the number of the block it has read and checked
	frameDone                         // client: that was all
	frameSummary                      // server: what the client could not see
	frameRefused                      // server: no, and why
)

const (
	headerSize = 5
	numberSize = 8
	// blockSize is small enough that a slow line's progress is seen between
	// two slices, and large enough that a fast one is not bound by calls.
	blockSize = 16 << 10
	// maxText bounds what a server has to say.
	maxText = 400
	// maxFrame is the longest payload.
	maxFrame = numberSize + blockSize
)

// maxPayload is how long a frame's payload may be; unknown types are no frames.
func maxPayload(t frameType) (int, bool) {
	switch t {
	case frameHello:
		return helloSize, true
	case frameWelcome:
		return welcomeSize + maxAddress, true
	case framePing, framePong, frameAck:
		return numberSize, true
	case frameBlock:
		return maxFrame, true
	case frameDone:
		return 0, true
	case frameSummary:
		return 1, true
	case frameRefused:
		return refusedSize + maxText, true
	}
	return 0, false
}

// readFrame reads one frame into buf, which holds maxFrame bytes. The length
// is checked before anything is read on its word.
func readFrame(r io.Reader, buf []byte) (frameType, []byte, error) {
	head := buf[:headerSize]
	if _, err := io.ReadFull(r, head); err != nil {
		return 0, nil, err
	}
	t, length := frameType(head[0]), binary.BigEndian.Uint32(head[1:])
	limit, known := maxPayload(t)
	if !known || uint64(length) > uint64(limit) {
		return 0, nil, fmt.Errorf("%w: a frame of type %d and %d bytes", ErrProtocol, t, length)
	}
	if _, err := io.ReadFull(r, buf[:length]); err != nil {
		return 0, nil, err
	}
	return t, buf[:length], nil
}

// expectFrame reads a frame that must be of type t. A refusal becomes its
// error.
func expectFrame(r io.Reader, buf []byte, t frameType) ([]byte, error) {
	got, payload, err := readFrame(r, buf)
	switch {
	case err != nil:
		return nil, err
	case got == frameRefused:
		no, err := parseRefusal(payload)
		if err != nil {
			return nil, err
		}
		return nil, no.err()
	case got != t:
		return nil, fmt.Errorf("%w: a frame of type %d, not %d", ErrProtocol, got, t)
	}
	return payload, nil
}

func appendHeader(b []byte, t frameType, length int) []byte {
	return binary.BigEndian.AppendUint32(append(b, byte(t)), uint32(length))
}

func writeFrame(w io.Writer, t frameType, payload []byte) error {
	_, err := w.Write(append(appendHeader(make([]byte, 0, headerSize+len(payload)), t, len(payload)), payload...))
	return err
}

// parseNumber reads the payload of pings, pongs and acks.
func parseNumber(payload []byte) (uint64, error) {
	if len(payload) != numberSize {
		return 0, fmt.Errorf("%w: a number of %d bytes", ErrProtocol, len(payload))
	}
	return binary.BigEndian.Uint64(payload), nil
}

// role says what a connection is for.
type role byte

const (
	roleControl  role = iota + 1
	roleDownload      // the server sends
	roleUpload        // the client sends
)

// magic begins every greeting, so that a stray program is told at once.
const magic = "ISNB"

type token [16]byte

// hello is the first frame of every connection.
type hello struct {
	version uint16
	role    role
	// stream numbers the connections of a direction from 0.
	stream uint16
	seed   uint64
	// duration is how long the connection carries a direction, warm-up
	// included.
	duration time.Duration
	// token is the session's; empty on the control connection, which gets it.
	token token
}

const helloSize = len(magic) + 2 + 1 + 2 + 8 + 4 + 16

func (h hello) encode() []byte {
	b := append(make([]byte, 0, helloSize), magic...)
	b = binary.BigEndian.AppendUint16(b, h.version)
	b = append(b, byte(h.role))
	b = binary.BigEndian.AppendUint16(b, h.stream)
	b = binary.BigEndian.AppendUint64(b, h.seed)
	b = binary.BigEndian.AppendUint32(b, uint32(h.duration.Milliseconds()))
	return append(b, h.token[:]...)
}

func parseHello(b []byte) (hello, error) {
	if len(b) != helloSize || string(b[:len(magic)]) != magic {
		return hello{}, fmt.Errorf("%w: no greeting", ErrProtocol)
	}
	b = b[len(magic):]
	h := hello{
		version: binary.BigEndian.Uint16(b), role: role(b[2]), stream: binary.BigEndian.Uint16(b[3:]),
		seed:     binary.BigEndian.Uint64(b[5:]),
		duration: time.Duration(binary.BigEndian.Uint32(b[13:])) * time.Millisecond,
	}
	copy(h.token[:], b[17:])
	if h.role < roleControl || h.role > roleUpload {
		return hello{}, fmt.Errorf("%w: a connection for purpose %d", ErrProtocol, h.role)
	}
	return h, nil
}

// welcome answers a hello.
type welcome struct {
	// token opens the session's streams.
	token token
	// maxBytes is what the session may move in both directions together.
	maxBytes uint64
	// address is the client's as the server sees it.
	address netip.Addr
}

const (
	welcomeSize = 16 + 8
	maxAddress  = 64
)

func (w welcome) encode() []byte {
	b := append(make([]byte, 0, welcomeSize+maxAddress), w.token[:]...)
	b = binary.BigEndian.AppendUint64(b, w.maxBytes)
	return append(b, w.address.String()...)
}

func parseWelcome(b []byte) (welcome, error) {
	if len(b) < welcomeSize {
		return welcome{}, fmt.Errorf("%w: a welcome of %d bytes", ErrProtocol, len(b))
	}
	w := welcome{maxBytes: binary.BigEndian.Uint64(b[16:])}
	copy(w.token[:], b)
	address, err := netip.ParseAddr(string(b[welcomeSize:]))
	if err != nil || address.Zone() != "" {
		return welcome{}, fmt.Errorf("%w: it sees this machine at %q", ErrProtocol, b[welcomeSize:])
	}
	w.address = address.Unmap()
	return w, nil
}

// refusal says no.
type refusal struct {
	// retry is when to try again; 0 if that is of no use.
	retry time.Duration
	text  string
}

const refusedSize = 4

func (r refusal) encode() []byte {
	b := binary.BigEndian.AppendUint32(make([]byte, 0, refusedSize+len(r.text)), uint32(r.retry.Milliseconds()))
	return append(b, r.text[:min(len(r.text), maxText)]...)
}

func parseRefusal(b []byte) (refusal, error) {
	if len(b) < refusedSize {
		return refusal{}, fmt.Errorf("%w: a refusal of %d bytes", ErrProtocol, len(b))
	}
	// What a stranger writes ends up on an owner's terminal.
	text := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, string(b[refusedSize:]))
	return refusal{retry: time.Duration(binary.BigEndian.Uint32(b)) * time.Millisecond, text: text}, nil
}

func (r refusal) err() error {
	if r.retry > 0 {
		return fmt.Errorf("%w: %s; try again in %s", ErrBusy, r.text, r.retry.Round(time.Second))
	}
	return fmt.Errorf("%w: %s", ErrRefused, r.text)
}
