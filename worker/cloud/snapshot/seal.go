package snapshot

import (
	"bytes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"
	"github.com/restic/chunker"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/isuncoin/isuncoin/worker/cloud/vault"
)

const (
	dataKeyBytes = 32
	// Sizes of chunks in bytes, the mean as a power of two beyond the least.
	chunkMin  = 16 << 10
	chunkMax  = 256 << 10
	chunkBits = 16
	// sealOverhead is what sealing adds: nonce, how it is packed, tag.
	sealOverhead = chacha20poly1305.NonceSizeX + 1 + chacha20poly1305.Overhead
	maxSealed    = chunkMax + sealOverhead

	headMagic       = "isun-snapshot-1\n"
	maxWrappedBytes = 1024

	packedRaw  = 0
	packedZstd = 1
)

// keys are all that is derived from a data key.
type keys struct {
	data  []byte
	chunk cipher.AEAD
	head  cipher.AEAD
	nonce []byte
	// pol is where files are cut: another one for every data key, so that the
	// sizes of chunks tell nothing of known files.
	pol chunker.Pol
}

func newDataKey() ([]byte, error) {
	key := make([]byte, dataKeyBytes)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("data key: %w", err)
	}
	return key, nil
}

func deriveKeys(data []byte) (*keys, error) {
	k := &keys{data: data}
	derive := func(purpose string, size int) []byte {
		out, err := hkdf.Key(sha256.New, data, nil, "isun/snapshot/1/"+purpose, size)
		if err != nil { // sizes are constants
			panic(err)
		}
		return out
	}
	var err error
	if k.chunk, err = chacha20poly1305.NewX(derive("chunk", 32)); err != nil {
		return nil, fmt.Errorf("data key: %w", err)
	}
	if k.head, err = chacha20poly1305.NewX(derive("head", 32)); err != nil {
		return nil, fmt.Errorf("data key: %w", err)
	}
	k.nonce = derive("nonce", 32)
	if k.pol, err = chunker.DerivePolynomial(bytes.NewReader(derive("cut", 8000))); err != nil {
		return nil, fmt.Errorf("data key: %w", err)
	}
	return k, nil
}

// The coders have no state between calls and may be used by many.
var coders = sync.OnceValues(func() (*zstd.Encoder, *zstd.Decoder) {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(false))
	if err != nil { // the options are constants
		panic(err)
	}
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(chunkMax))
	if err != nil {
		panic(err)
	}
	return encoder, decoder
})

// sealChunk packs and encrypts. The nonce follows from what is encrypted, so
// one nonce never meets two contents.
func (k *keys) sealChunk(plain []byte) []byte {
	encoder, _ := coders()
	buf := make([]byte, 1, len(plain)+1+chacha20poly1305.Overhead)
	buf[0] = packedZstd
	buf = encoder.EncodeAll(plain, buf)
	if len(buf)-1 > len(plain)-len(plain)/16 {
		buf = append(buf[:0], packedRaw)
		buf = append(buf, plain...)
	}
	mac := hmac.New(sha256.New, k.nonce)
	mac.Write(buf)
	nonce := mac.Sum(nil)[:chacha20poly1305.NonceSizeX]
	out := make([]byte, 0, len(buf)+chacha20poly1305.NonceSizeX+chacha20poly1305.Overhead)
	return k.chunk.Seal(append(out, nonce...), nonce, buf, nil)
}

// openChunk decrypts, unpacks and checks a chunk.
func (k *keys) openChunk(ref *chunkRef, sealed []byte) ([]byte, error) {
	if len(sealed) <= sealOverhead {
		return nil, fmt.Errorf("%w: a chunk of %d bytes", ErrMalformed, len(sealed))
	}
	nonce, text := sealed[:chacha20poly1305.NonceSizeX], sealed[chacha20poly1305.NonceSizeX:]
	buf, err := k.chunk.Open(nil, nonce, text, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: a chunk does not open", ErrMalformed)
	}
	plain := buf[1:]
	switch buf[0] {
	case packedRaw:
	case packedZstd:
		_, decoder := coders()
		if plain, err = decoder.DecodeAll(plain, make([]byte, 0, ref.size)); err != nil {
			return nil, fmt.Errorf("%w: a chunk does not unpack: %w", ErrMalformed, err)
		}
	default:
		return nil, fmt.Errorf("%w: a chunk packed in way %d", ErrMalformed, buf[0])
	}
	if len(plain) != int(ref.size) || sha256.Sum256(plain) != ref.sum {
		return nil, fmt.Errorf("%w: a chunk holds something else", ErrMalformed)
	}
	return plain, nil
}

// sealHead wraps the data key to a recipient and encrypts the head's body.
func (k *keys) sealHead(recipient string, body []byte) ([]byte, error) {
	to, err := vault.ParseRecipient(recipient)
	if err != nil {
		return nil, err
	}
	var wrapped bytes.Buffer
	w, err := age.Encrypt(&wrapped, to)
	if err != nil {
		return nil, fmt.Errorf("wrap the data key: %w", err)
	}
	_, err = w.Write(k.data)
	if err = errors.Join(err, w.Close()); err != nil {
		return nil, fmt.Errorf("wrap the data key: %w", err)
	}
	out := append([]byte(headMagic), 0, 0)
	binary.BigEndian.PutUint16(out[len(headMagic):], uint16(wrapped.Len()))
	out = append(out, wrapped.Bytes()...)
	nonce := make([]byte, chacha20poly1305.NonceSizeX)
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("seal the head: %w", err)
	}
	front := bytes.Clone(out)
	return k.head.Seal(append(out, nonce...), nonce, body, front), nil
}

// openHead reads what sealHead wrote. ErrNoKey, ErrMalformed.
func openHead(raw []byte, identities ...age.Identity) (*keys, []byte, error) {
	front := len(headMagic) + 2
	if len(raw) < front || string(raw[:len(headMagic)]) != headMagic {
		return nil, nil, fmt.Errorf("%w: the head is not of version 1; a newer isun may read it", ErrMalformed)
	}
	size := int(binary.BigEndian.Uint16(raw[len(headMagic):]))
	if size > maxWrappedBytes || len(raw) < front+size+chacha20poly1305.NonceSizeX {
		return nil, nil, fmt.Errorf("%w: the head ends too early", ErrMalformed)
	}
	r, err := age.Decrypt(bytes.NewReader(raw[front:front+size]), identities...)
	if err != nil {
		var none *age.NoIdentityMatchError
		if errors.As(err, &none) {
			return nil, nil, ErrNoKey
		}
		return nil, nil, fmt.Errorf("%w: the data key: %w", ErrMalformed, err)
	}
	data, err := io.ReadAll(io.LimitReader(r, dataKeyBytes+1))
	if err != nil || len(data) != dataKeyBytes {
		return nil, nil, fmt.Errorf("%w: the data key has %d bytes", ErrMalformed, len(data))
	}
	k, err := deriveKeys(data)
	if err != nil {
		return nil, nil, err
	}
	front += size
	nonce := raw[front : front+chacha20poly1305.NonceSizeX]
	body, err := k.head.Open(nil, nonce, raw[front+chacha20poly1305.NonceSizeX:], raw[:front])
	if err != nil {
		return nil, nil, fmt.Errorf("%w: the head does not open", ErrMalformed)
	}
	return k, body, nil
}
