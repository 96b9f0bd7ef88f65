package registry

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// pieceIn is what a client has to send within the stall timeout, so that
	// one that trickles cannot keep an upload open for ever.
	pieceIn = 256 << 10
	// pieceOut is the same for reading.
	pieceOut = 1 << 20
)

// span is a part of a blob.
type span struct {
	first, length int64
}

// header is the value of Content-Range for an answer.
func (s span) header(size int64) string {
	return fmt.Sprintf("bytes %d-%d/%d", s.first, s.first+s.length-1, size)
}

// parseRange reads a Range header for a blob of size bytes: one range of
// RFC 9110, section 14.1.2. Units other than bytes are passed over, as the
// RFC has it; what is malformed or outside is an error, not the whole blob: a
// client that resumes must not get what it has already.
func parseRange(header string, size int64) (part span, partial bool, err error) {
	whole := span{0, size}
	text, ok := strings.CutPrefix(header, "bytes=")
	if !ok {
		return whole, false, nil
	}
	outside := newFault(http.StatusRequestedRangeNotSatisfiable, "SIZE_INVALID", "range %.60q is not within %d bytes", header, size)
	first, last, ok := strings.Cut(strings.TrimSpace(text), "-")
	if !ok {
		return span{}, false, outside
	}
	if first == "" { // the last so many bytes
		n, err := parseCount(last)
		if err != nil || n == 0 || size == 0 {
			return span{}, false, outside
		}
		n = min(n, size)
		return span{size - n, n}, true, nil
	}
	from, err := parseCount(first)
	if err != nil || from >= size {
		return span{}, false, outside
	}
	to := size - 1
	if last != "" {
		if to, err = parseCount(last); err != nil || to < from {
			return span{}, false, outside
		}
		to = min(to, size-1)
	}
	return span{from, to - from + 1}, true, nil
}

// parseContentRange reads the Content-Range of an upload's piece, which the
// specification writes without a unit: "0-1023". Other clients write
// "bytes 0-1023/*".
func parseContentRange(header string) (span, error) {
	text := strings.TrimPrefix(header, "bytes ")
	text, _, _ = strings.Cut(text, "/")
	first, last, ok := strings.Cut(text, "-")
	from, err := parseCount(first)
	to, errTo := parseCount(last)
	if !ok || err != nil || errTo != nil || to < from {
		return span{}, newFault(http.StatusBadRequest, "BLOB_UPLOAD_INVALID", "Content-Range %.60q is not FIRST-LAST", header)
	}
	return span{from, to - from + 1}, nil
}

// parseCount reads digits only; ParseInt alone takes signs.
func parseCount(s string) (int64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	return int64(n), err
}

// send copies a part of a blob to a client, each piece with a deadline of its
// own. From a file the kernel copies it.
func (r *Registry) send(w http.ResponseWriter, content io.Reader, length int64) error {
	for length > 0 {
		r.extendWrite(w)
		n, err := io.CopyN(w, content, min(length, pieceOut))
		length -= n
		if err != nil {
			// The answer has begun: cutting it short is all that is left, so
			// that the client does not take it for whole.
			panic(http.ErrAbortHandler)
		}
	}
	return nil
}

func (r *Registry) extendWrite(w http.ResponseWriter) {
	// A writer without deadlines is a test's.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(r.cfg.StallTimeout))
}

// receive copies a request's body, piece by piece with a deadline for each,
// and gives the bytes that were written.
func (r *Registry) receive(w http.ResponseWriter, to io.Writer, body io.Reader) (int64, error) {
	control := http.NewResponseController(w)
	buffer := make([]byte, pieceIn)
	var total int64
	for {
		_ = control.SetReadDeadline(time.Now().Add(r.cfg.StallTimeout)) // as in extendWrite
		n, err := io.ReadFull(body, buffer)
		// What has arrived is kept even if no more follows: an upload resumes.
		written, writeErr := to.Write(buffer[:n])
		total += int64(written)
		switch {
		case writeErr != nil:
			return total, writeErr
		case errors.Is(err, io.EOF):
			return total, nil
		case errors.Is(err, io.ErrUnexpectedEOF):
			// ReadFull's word for a last piece, and the body's for a connection
			// that broke: the next read tells.
			_, err := body.Read(buffer[:1])
			if errors.Is(err, io.EOF) {
				return total, nil
			}
			return total, fmt.Errorf("the client's connection ended: %w", io.ErrUnexpectedEOF)
		case err != nil:
			return total, err
		}
	}
}
