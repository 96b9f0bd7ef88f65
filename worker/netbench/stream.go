package netbench

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"time"
)

const (
	// ringSize of seeded bytes go round and round: making them anew would take
	// longer than sending them.
	ringSize = 1 << 20
	// window is how many blocks a sender may be ahead: 4 MiB a stream carry
	// 1 Gbit/s on four streams over a distance of 130 ms.
	window = 256
	// bufferSize is what a connection reads and writes at a time.
	bufferSize = 128 << 10
)

// ring is the payload of a seed, the same on every machine.
type ring []byte

func newRing(seed uint64) ring {
	var key [32]byte
	copy(key[:], "isun network payload")
	binary.BigEndian.PutUint64(key[24:], seed)
	r := make(ring, ringSize)
	_, _ = rand.NewChaCha8(key).Read(r) // never fails
	return r
}

// digest is the SHA-256 of the ring, in hex.
func (r ring) digest() string {
	sum := sha256.Sum256(r)
	return hex.EncodeToString(sum[:])
}

// start is where a stream begins, so that streams differ at any moment.
func (r ring) start(stream uint16) int { return int(stream) * 3 * blockSize % len(r) }

// steady is a connection that fails when it stands still, or at its end.
type steady struct {
	net.Conn
	stall time.Duration
	end   time.Time
	// read counts the bytes that arrived; nil counts none.
	read *atomic.Int64
}

func (s steady) Read(b []byte) (int, error) {
	by := time.Now().Add(s.stall)
	if by.After(s.end) {
		by = s.end
	}
	if err := s.SetReadDeadline(by); err != nil {
		return 0, err
	}
	n, err := s.Conn.Read(b)
	if s.read != nil {
		s.read.Add(int64(n))
	}
	return n, err
}

// stream carries one direction over one connection.
type stream struct {
	conn   net.Conn
	ring   ring
	offset int
	// spend is told of every block before it is sent, or once it was received,
	// and may end the stream.
	spend func(bytes int) error
	// acked is told of every block the receiver has read; nil is allowed.
	acked func(bytes int)
}

// receive reads, checks and confirms blocks until the connection ends.
func (s *stream) receive() error {
	in, out := bufio.NewReaderSize(s.conn, bufferSize), bufio.NewWriter(s.conn)
	buf := make([]byte, maxFrame)
	ack := appendHeader(make([]byte, 0, headerSize+numberSize), frameAck, numberSize)
	for {
		payload, err := expectFrame(in, buf, frameBlock)
		if err != nil {
			return err
		}
		if len(payload) != maxFrame || !bytes.Equal(payload[numberSize:], s.next()) {
			return ErrCorrupt
		}
		if err := s.spend(blockSize); err != nil {
			return err
		}
		if _, err := out.Write(append(ack[:headerSize], payload[:numberSize]...)); err != nil {
			return err
		}
		// More blocks are here already: confirm them together.
		if in.Buffered() < headerSize+maxFrame {
			if err := out.Flush(); err != nil {
				return err
			}
		}
	}
}

// next is the block of the ring that comes next.
func (s *stream) next() []byte {
	block := s.ring[s.offset : s.offset+blockSize]
	s.offset = (s.offset + blockSize) % len(s.ring)
	return block
}

// send writes blocks until the connection ends. secret draws their numbers.
func (s *stream) send(secret [32]byte) error {
	ahead, ended := make(chan struct{}, window), make(chan struct{})
	var ackErr error
	go func() {
		defer close(ended)
		ackErr = s.readAcks(secret, ahead)
		_ = s.conn.Close() // ends a write that waits for a reader who does not read
	}()
	err := s.write(secret, ahead, ended)
	_ = s.conn.Close() // ends readAcks
	<-ended
	// What readAcks met is the cause, unless the writer closed on it.
	if err == nil || errors.Is(err, net.ErrClosed) {
		err = ackErr
	}
	return err
}

// write returns nil when ended is closed first.
func (s *stream) write(secret [32]byte, ahead chan<- struct{}, ended <-chan struct{}) error {
	out := bufio.NewWriterSize(s.conn, bufferSize)
	numbers := rand.NewChaCha8(secret)
	head := make([]byte, 0, headerSize+numberSize)
	for {
		select {
		case ahead <- struct{}{}:
		default: // the window is full: what is buffered must go out before any number comes back
			if err := out.Flush(); err != nil {
				return err
			}
			select {
			case ahead <- struct{}{}:
			case <-ended:
				return nil
			}
		}
		if err := s.spend(blockSize); err != nil {
			return err
		}
		head = binary.BigEndian.AppendUint64(appendHeader(head[:0], frameBlock, maxFrame), numbers.Uint64())
		if _, err := out.Write(head); err != nil {
			return err
		}
		if _, err := out.Write(s.next()); err != nil {
			return err
		}
	}
}

// readAcks takes the numbers back in the order they were sent.
func (s *stream) readAcks(secret [32]byte, ahead <-chan struct{}) error {
	in, buf := bufio.NewReader(s.conn), make([]byte, maxFrame)
	numbers := rand.NewChaCha8(secret)
	for {
		payload, err := expectFrame(in, buf, frameAck)
		if err != nil {
			return err
		}
		number, err := parseNumber(payload)
		if err != nil {
			return err
		}
		if number != numbers.Uint64() {
			return fmt.Errorf("%w: it confirms a block it has not read", ErrProtocol)
		}
		select {
		case <-ahead:
		default:
			return fmt.Errorf("%w: it confirms a block that was not sent", ErrProtocol)
		}
		if s.acked != nil {
			s.acked(blockSize)
		}
	}
}
