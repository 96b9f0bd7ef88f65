package blobs

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
	"github.com/isuncoin/isuncoin/worker/cloud/chunk"
)

// index finds chunks by their sums. It is made of what the folder has and is
// never waited for by a disk: bbolt does not sync it. So it is trusted only
// if it was closed and its file has the sum that it had then, or if the
// kernel that took its writes still runs. Else it is made anew.
type index struct {
	db    *bolt.DB
	state string // path
	log   *slog.Logger
}

var (
	// blobs: digest (32 bytes) -> number (8). A blob that comes again has a
	// new number.
	blobsBucket = []byte("blobs")
	// numbers: number -> digest
	numbersBucket = []byte("numbers")
	// chunks: the sum's first 16 bytes, the blob's number -> offset (8), size (4).
	chunksBucket = []byte("chunks")
)

const (
	sumPrefix = 16
	// mostPlaces of a chunk that are tried.
	mostPlaces = 8
	// lockTimeout: nobody else has the file open, for the store is locked.
	lockTimeout = 2 * time.Second

	stateOpen, stateClosed = "open ", "closed "
)

// errNoIndex: there was no room for one.
var errNoIndex = errors.New("there is no index of chunks")

// place is where a chunk is.
type place struct {
	blob   uai.Digest
	offset int64
	size   uint32
}

// openIndex opens an index, or begins a new one in place of one that cannot
// be trusted. On a full disk there is none: content can be read all the same.
func openIndex(path, state, boot string, log *slog.Logger) (*index, error) {
	x := &index{state: state, log: log}
	whole := trusted(path, state, boot)
	err := os.WriteFile(state, []byte(stateOpen+boot), 0o600)
	if err == nil && whole {
		if x.db, err = openBolt(path); err != nil {
			log.Warn("index of chunks is damaged; making it anew", "error", err)
			whole = false
		}
	}
	if !whole {
		if err = remove(path); err == nil {
			x.db, err = openBolt(path)
		}
	}
	if errors.Is(full(err), cloud.ErrFull) {
		log.Warn("no room for an index of chunks", "error", err)
		return x, errors.Join(remove(path), remove(state))
	}
	if err != nil {
		return nil, fmt.Errorf("open index of chunks: %w", err)
	}
	return x, nil
}

func trusted(path, state, boot string) bool {
	raw, err := os.ReadFile(state)
	if err != nil {
		return false
	}
	if opened, ok := strings.CutPrefix(string(raw), stateOpen); ok {
		return opened == boot && boot != ""
	}
	sum, err := fileSum(path)
	return err == nil && string(raw) == stateClosed+sum
}

func fileSum(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// guard turns what bbolt and its mapped file do on damage into an error.
func guard(do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: index of chunks: %v", errDamaged, p)
		}
	}()
	return do()
}

func openBolt(path string) (*bolt.DB, error) {
	var db *bolt.DB
	err := guard(func() (err error) {
		options := &bolt.Options{Timeout: lockTimeout, NoSync: true, NoGrowSync: true, FreelistType: bolt.FreelistMapType}
		if db, err = bolt.Open(path, 0o600, options); err != nil {
			return err
		}
		err = db.Update(func(tx *bolt.Tx) error {
			for _, name := range [][]byte{blobsBucket, numbersBucket, chunksBucket} {
				if _, err := tx.CreateBucketIfNotExists(name); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		_, err = known(db)
		return err
	})
	if err != nil && db != nil {
		err = errors.Join(err, guard(db.Close))
	}
	if err != nil {
		return nil, err
	}
	return db, nil
}

// close leaves an index that the next start can trust. If that fails, it is
// made anew then, which is no reason to fail here.
func (x *index) close() error {
	if x.db == nil {
		return nil
	}
	path := x.db.Path()
	err := guard(x.db.Sync)
	if err := guard(x.db.Close); err != nil {
		return err
	}
	if err == nil {
		var sum string
		if sum, err = fileSum(path); err == nil {
			err = os.WriteFile(x.state, []byte(stateClosed+sum), 0o600)
		}
	}
	if err != nil {
		x.log.Warn("index of chunks will be made anew at the next start", "error", err)
		return remove(x.state)
	}
	return nil
}

func key(number uint64) []byte { return binary.BigEndian.AppendUint64(nil, number) }

func chunkKey(sum [32]byte, number uint64) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, sumPrefix+8), sum[:sumPrefix]...), number)
}

// known gives the blobs that are indexed.
func (x *index) known() (digests map[uai.Digest]bool, err error) {
	if x.db == nil {
		return nil, errNoIndex
	}
	err = guard(func() error {
		digests, err = known(x.db)
		return err
	})
	return digests, err
}

func known(db *bolt.DB) (map[uai.Digest]bool, error) {
	digests := map[uai.Digest]bool{}
	err := db.View(func(tx *bolt.Tx) error {
		return tx.Bucket(blobsBucket).ForEach(func(k, v []byte) error {
			if len(k) != sha256.Size || len(v) != 8 {
				return fmt.Errorf("%w: index of chunks", errDamaged)
			}
			digests[digestOf([32]byte(k))] = true
			return nil
		})
	})
	return digests, err
}

// add indexes the chunks of a blob.
func (x *index) add(o cloud.Outline) error {
	sum, err := chunk.Sum(o.Blob)
	if err != nil {
		return err
	}
	return x.update(func(blobs, numbers, chunks *bolt.Bucket) error {
		number, err := blobs.NextSequence()
		if err != nil {
			return err
		}
		var offset int64
		for _, c := range o.Chunks {
			at := binary.BigEndian.AppendUint64(make([]byte, 0, 12), uint64(offset))
			if err := chunks.Put(chunkKey(c.Sum, number), binary.BigEndian.AppendUint32(at, c.Size)); err != nil {
				return err
			}
			offset += int64(c.Size)
		}
		return errors.Join(blobs.Put(sum[:], key(number)), numbers.Put(key(number), sum[:]))
	})
}

// forget takes a blob out. Without its outline its chunks stay, and lead
// nowhere.
func (x *index) forget(o cloud.Outline) error {
	sum, err := chunk.Sum(o.Blob)
	if err != nil {
		return err
	}
	return x.update(func(blobs, numbers, chunks *bolt.Bucket) error {
		raw := blobs.Get(sum[:])
		if len(raw) != 8 {
			return nil
		}
		number := binary.BigEndian.Uint64(raw)
		for _, c := range o.Chunks {
			if err := chunks.Delete(chunkKey(c.Sum, number)); err != nil {
				return err
			}
		}
		return errors.Join(numbers.Delete(key(number)), blobs.Delete(sum[:]))
	})
}

func (x *index) update(change func(blobs, numbers, chunks *bolt.Bucket) error) error {
	if x.db == nil {
		return errNoIndex
	}
	return guard(func() error {
		return x.db.Update(func(tx *bolt.Tx) error {
			return change(tx.Bucket(blobsBucket), tx.Bucket(numbersBucket), tx.Bucket(chunksBucket))
		})
	})
}

// find gives places of a chunk. The index may be wrong: look before use.
func (x *index) find(sum [32]byte) []place {
	if x.db == nil {
		return nil
	}
	var places []place
	err := guard(func() error {
		return x.db.View(func(tx *bolt.Tx) error {
			numbers, cursor := tx.Bucket(numbersBucket), tx.Bucket(chunksBucket).Cursor()
			for k, v := cursor.Seek(sum[:sumPrefix]); bytes.HasPrefix(k, sum[:sumPrefix]) && len(places) < mostPlaces; k, v = cursor.Next() {
				raw := numbers.Get(k[sumPrefix:])
				if len(raw) != sha256.Size || len(v) != 12 {
					continue
				}
				places = append(places, place{
					blob: digestOf([32]byte(raw)), offset: int64(binary.BigEndian.Uint64(v)), size: binary.BigEndian.Uint32(v[8:]),
				})
			}
			return nil
		})
	})
	if err != nil && !errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		x.log.Warn("index of chunks cannot be read", "error", err)
	}
	return places
}

// reindex brings the index up to what the folder has.
func (s *Store) reindex() error {
	indexed, err := s.index.known()
	if errors.Is(err, errNoIndex) {
		return nil
	}
	if err != nil {
		return err
	}
	for digest := range indexed {
		if s.blobs[digest] == nil {
			if err := s.index.forget(cloud.Outline{Blob: cloud.Blob{Digest: digest}}); err != nil {
				return err
			}
		}
	}
	for digest, h := range s.blobs {
		if !indexed[digest] && h.size > chunk.Min {
			s.indexAgain(digest)
		}
	}
	return nil
}

// indexAgain adds a blob that the index does not have. Without it the blob is
// there all the same, but for one whose content turns out to be damaged.
func (s *Store) indexAgain(digest uai.Digest) {
	o, err := s.Outline(digest)
	if errors.Is(err, errDamaged) {
		s.log.Warn("blob is damaged and dropped", "blob", digest)
		if _, err := s.drop(digest); err != nil {
			s.log.Warn("damaged blob cannot be dropped", "blob", digest, "error", err)
		}
		return
	}
	s.addToIndex(o, err)
}

func (s *Store) addToIndex(o cloud.Outline, err error) {
	if len(o.Chunks) < 2 && err == nil {
		return // its digest finds it
	}
	if err == nil {
		err = s.index.add(o)
	}
	if err != nil {
		s.log.Warn("blob is not in the index of chunks until the next start", "blob", o.Blob.Digest, "error", err)
	}
}
