package chunk

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
)

// An encoded outline, numbers big-endian:
//
//	version 1 byte | digest 32 | size 8 | count 4 | count × (sum 32 | size 4) | CRC-32C of all before 4
//
// The checksum finds what a disk or a line did to it, not what somebody wrote.
const (
	version     = 1
	headLength  = 1 + 32 + 8 + 4
	entryLength = 32 + 4
)

var checksums = crc32.MakeTable(crc32.Castagnoli)

// EncodedLength is how many bytes an outline of so many chunks takes.
func EncodedLength(chunks int) int64 {
	return headLength + int64(chunks)*entryLength + crc32.Size
}

// Check tells whether a blob can have an outline: sizes within bounds and
// their sum that of the blob. Whether it has is known when the whole blob has
// been hashed. ErrMalformed.
func Check(o cloud.Outline) error {
	sum, err := Sum(o.Blob)
	if err != nil {
		return err
	}
	if err := checkCount(o.Blob.Size, uint64(len(o.Chunks))); err != nil {
		return err
	}
	left := o.Blob.Size
	for i, c := range o.Chunks {
		if err := checkSize(c.Size, left); err != nil {
			return fmt.Errorf("chunk %d of %s: %w", i, o.Blob.Digest, err)
		}
		left -= int64(c.Size)
	}
	if left > 0 {
		return fmt.Errorf("%w: the chunks of %s are %d bytes short", ErrMalformed, o.Blob.Digest, left)
	}
	if len(o.Chunks) == 1 && o.Chunks[0].Sum != sum {
		return fmt.Errorf("%w: the only chunk of %s has another sum", ErrMalformed, o.Blob.Digest)
	}
	return nil
}

func checkCount(size int64, count uint64) error {
	if size < 0 || size > MaxBlob {
		return fmt.Errorf("%w: a blob of %d bytes; the most is %d", ErrMalformed, size, int64(MaxBlob))
	}
	if most := uint64((size + Min - 1) / Min); count > most || count == 0 && size > 0 {
		return fmt.Errorf("%w: %d chunks for %d bytes", ErrMalformed, count, size)
	}
	return nil
}

// checkSize takes less than Min only for what ends the blob.
func checkSize(size uint32, left int64) error {
	if size == 0 || size > Max || int64(size) > left || size < Min && int64(size) != left {
		return fmt.Errorf("%w: %d bytes where %d are left", ErrMalformed, size, left)
	}
	return nil
}

// Append encodes an outline that Check takes.
func Append(to []byte, o cloud.Outline) ([]byte, error) {
	sum, err := Sum(o.Blob)
	if err != nil {
		return nil, err
	}
	start := len(to)
	to = append(append(to, version), sum[:]...)
	to = binary.BigEndian.AppendUint64(to, uint64(o.Blob.Size))
	to = binary.BigEndian.AppendUint32(to, uint32(len(o.Chunks)))
	for _, c := range o.Chunks {
		to = append(to, c.Sum[:]...)
		to = binary.BigEndian.AppendUint32(to, c.Size)
	}
	return binary.BigEndian.AppendUint32(to, crc32.Checksum(to[start:], checksums)), nil
}

// Decode reads an outline and checks it as Check does. Memory is taken as
// entries arrive, so a few bytes that announce many cost nothing. It reads
// ahead: nothing may follow the outline that somebody else is to read.
// maxBlob bounds the size in bytes of the blob it is of. ErrMalformed.
func Decode(r io.Reader, maxBlob int64) (cloud.Outline, error) {
	sum := crc32.New(checksums)
	buffered := bufio.NewReaderSize(r, 32<<10)
	from := io.TeeReader(buffered, sum)
	var head [headLength]byte
	if _, err := io.ReadFull(from, head[:]); err != nil {
		return cloud.Outline{}, decodeError(err)
	}
	if head[0] != version {
		return cloud.Outline{}, fmt.Errorf("%w: version %d", ErrMalformed, head[0])
	}
	size, count := binary.BigEndian.Uint64(head[33:]), binary.BigEndian.Uint32(head[41:])
	if size > uint64(max(maxBlob, 0)) {
		return cloud.Outline{}, fmt.Errorf("%w: a blob of %d bytes where at most %d are wanted", ErrMalformed, size, maxBlob)
	}
	o := cloud.Outline{Blob: cloud.Blob{Digest: uai.Digest("sha256:" + hex.EncodeToString(head[1:33])), Size: int64(size)}}
	if err := checkCount(o.Blob.Size, uint64(count)); err != nil {
		return cloud.Outline{}, err
	}
	if err := readChunks(from, &o, count); err != nil {
		return cloud.Outline{}, err
	}
	want := sum.Sum32()
	var tail [crc32.Size]byte
	if _, err := io.ReadFull(buffered, tail[:]); err != nil {
		return cloud.Outline{}, decodeError(err)
	}
	if binary.BigEndian.Uint32(tail[:]) != want {
		return cloud.Outline{}, fmt.Errorf("%w: it was damaged on its way", ErrMalformed)
	}
	if err := Check(o); err != nil {
		return cloud.Outline{}, err
	}
	return o, nil
}

func readChunks(from io.Reader, o *cloud.Outline, count uint32) error {
	const ahead = 1 << 10
	if count > 0 {
		o.Chunks = make([]cloud.Chunk, 0, min(count, ahead))
	}
	left := o.Blob.Size
	var entry [entryLength]byte
	for range count {
		if _, err := io.ReadFull(from, entry[:]); err != nil {
			return decodeError(err)
		}
		c := cloud.Chunk{Sum: [32]byte(entry[:32]), Size: binary.BigEndian.Uint32(entry[32:])}
		if err := checkSize(c.Size, left); err != nil {
			return err
		}
		left -= int64(c.Size)
		o.Chunks = append(o.Chunks, c)
	}
	return nil
}

func decodeError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it ends early", ErrMalformed)
	}
	return fmt.Errorf("read outline: %w", err)
}
