package snapshot

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// encoder appends values; decoder reads them back.
type encoder struct{ out []byte }

func (e *encoder) uint(v uint64) { e.out = binary.AppendUvarint(e.out, v) }
func (e *encoder) int(v int64)   { e.out = binary.AppendVarint(e.out, v) }
func (e *encoder) raw(b []byte)  { e.out = append(e.out, b...) }
func (e *encoder) bool(b bool) {
	if b {
		e.uint(1)
	} else {
		e.uint(0)
	}
}

func (e *encoder) text(s string) {
	e.uint(uint64(len(s)))
	e.out = append(e.out, s...)
}

// decoder keeps its first error, after which everything is zero. What it reads
// may come from anybody.
type decoder struct {
	r   *bufio.Reader
	err error
}

func newDecoder(r io.Reader) *decoder { return &decoder{r: bufio.NewReaderSize(r, 64<<10)} }

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
	}
}

func (d *decoder) broken(err error) {
	switch {
	case d.err != nil || err == nil:
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		d.fail("it ends too early")
	default:
		d.err = err
	}
}

// end is true when everything was read.
func (d *decoder) end() bool {
	if d.err != nil {
		return true
	}
	_, err := d.r.Peek(1)
	if err != nil && !errors.Is(err, io.EOF) {
		d.broken(err)
	}
	return err != nil
}

// varint reads a number of 64 bits at most.
func (d *decoder) varint() (v uint64) {
	for shift := uint(0); d.err == nil; shift += 7 {
		b, err := d.r.ReadByte()
		d.broken(err)
		if d.err == nil && shift == 63 && b > 1 {
			d.fail("a number of more than 64 bits")
		}
		if v |= uint64(b&0x7f) << shift; b < 0x80 {
			break
		}
	}
	return v
}

// uint reads a number of at most top.
func (d *decoder) uint(what string, top uint64) uint64 {
	v := d.varint()
	if d.err == nil && v > top {
		d.fail("%s is %d, at most %d", what, v, top)
	}
	if d.err != nil {
		return 0
	}
	return v
}

// int reads what encoder.int wrote.
func (d *decoder) int() int64 {
	v := d.varint()
	return int64(v>>1) ^ -int64(v&1)
}

func (d *decoder) raw(into []byte) {
	if d.err != nil {
		return
	}
	_, err := io.ReadFull(d.r, into)
	d.broken(err)
}

func (d *decoder) text(what string, most uint64) string {
	n := d.uint(what, most)
	if d.err != nil {
		return ""
	}
	b := make([]byte, n)
	d.raw(b)
	if d.err != nil {
		return ""
	}
	return string(b)
}
