// Package journal is the worker's memory: what each placement has used, what
// was decided about it and which attestation came last. It is written before
// anything is attested or acted on, so that a worker killed at any moment
// goes on from where it was and counts no second twice.
//
// A file that is torn or damaged is moved aside and a new one begun: what the
// journal knew is then taken from the chain, which never holds more than was
// once attested.
package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
)

// ErrInUse: another process has the journal open.
var ErrInUse = errors.New("journal is in use by another worker")

// errDamaged marks contents that cannot be trusted.
var errDamaged = errors.New("journal is damaged")

var (
	metaBucket       = []byte("meta")
	placementsBucket = []byte("placements")

	versionKey   = []byte("version")
	sequenceKey  = []byte("sequence")
	confirmedKey = []byte("confirmed")
	sealKey      = []byte("seal")

	checksums = crc32.MakeTable(crc32.Castagnoli)
)

// version of the layout.
const version = 1

// lockTimeout is how long Open waits for a worker that is just ending.
const lockTimeout = 2 * time.Second

// Journal is the open database. It is safe for concurrent use.
type Journal struct {
	db *bolt.DB
}

// Open opens the journal, and begins it if there is none. setAside is the
// path a damaged one was moved to, empty if it was whole.
func Open(path string) (j *Journal, setAside string, err error) {
	j, err = open(path)
	if !errors.Is(err, errDamaged) {
		return j, "", err
	}
	setAside, moveErr := moveAside(path)
	if moveErr != nil {
		return nil, "", errors.Join(err, moveErr)
	}
	if j, err = open(path); err != nil {
		return nil, setAside, err
	}
	return j, setAside, nil
}

func moveAside(path string) (string, error) {
	for i := 1; ; i++ {
		target := fmt.Sprintf("%s.damaged-%d", path, i)
		if _, err := os.Lstat(target); err == nil {
			continue
		}
		if err := os.Rename(path, target); err != nil {
			return "", fmt.Errorf("move the damaged journal aside: %w", err)
		}
		return target, nil
	}
}

// open reads every record once, so that damage shows now and not later. A
// file shorter than its own tables faults on reading; that and bbolt's own
// panics on impossible pages both mean damage.
func open(path string) (j *Journal, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			j, err = nil, fmt.Errorf("%w: %v", errDamaged, p)
		}
	}()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	if err := checkPages(path); err != nil {
		return nil, err
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: lockTimeout, FreelistType: bolt.FreelistMapType})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("%w: %s", ErrInUse, path)
	}
	if err != nil {
		return nil, openError(err)
	}
	j = &Journal{db: db}
	if err := j.prepare(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return j, nil
}

// openError tells a damaged file from a system that cannot serve it: on a full disk, say, a whole journal would be lost by
// setting it aside, and the new one could not be written either.
func openError(err error) error {
	var system syscall.Errno
	if errors.As(err, &system) && system != syscall.EINVAL {
		return fmt.Errorf("open journal: %w", err)
	}
	return fmt.Errorf("%w: %w", errDamaged, err)
}

func (j *Journal) prepare() error {
	if err := j.db.View(j.check); err != nil {
		return err
	}
	if err := j.begin(); err != nil {
		return err
	}
	var found int
	err := j.db.View(func(tx *bolt.Tx) error {
		if _, err := get(tx.Bucket(metaBucket), versionKey, &found); err != nil {
			return err
		}
		var sequence uint64
		if _, err := get(tx.Bucket(metaBucket), sequenceKey, &sequence); err != nil {
			return err
		}
		if _, err := get(tx.Bucket(metaBucket), confirmedKey, &Confirmed{}); err != nil {
			return err
		}
		return tx.Bucket(placementsBucket).ForEach(func(_, raw []byte) error {
			return decode(raw, &Record{})
		})
	})
	if err != nil {
		return err
	}
	if found != version {
		return fmt.Errorf("journal has layout %d, this worker knows %d: use the worker that wrote it", found, version)
	}
	return j.db.View(checkSeal)
}

// check looks for a tail that is gone, and for a list of free pages that names
// pages in use, which the next write would overwrite: so it comes before any.
func (j *Journal) check(tx *bolt.Tx) error {
	info, err := os.Stat(j.db.Path())
	if err != nil {
		return fmt.Errorf("open journal: %w", err)
	}
	if info.Size() < tx.Size() {
		return fmt.Errorf("%w: %d of %d bytes are there", errDamaged, info.Size(), tx.Size())
	}
	var first error
	for err := range tx.Check() { // to its end, so that it lets go of the transaction
		if first == nil {
			first = fmt.Errorf("%w: %w", errDamaged, err)
		}
	}
	return first
}

// begin lays out a new file. One that is laid out is not written to: opening it needs no room on the disk.
func (j *Journal) begin() error {
	begun := false
	err := j.db.View(func(tx *bolt.Tx) error {
		meta := tx.Bucket(metaBucket)
		begun = meta != nil && meta.Get(versionKey) != nil && tx.Bucket(placementsBucket) != nil
		return nil
	})
	if err != nil || begun {
		return err
	}
	err = j.update(func(tx *bolt.Tx) error {
		if _, err := tx.CreateBucketIfNotExists(placementsBucket); err != nil {
			return err
		}
		meta, err := tx.CreateBucketIfNotExists(metaBucket)
		if err != nil {
			return err
		}
		return put(meta, versionKey, version)
	})
	if err != nil {
		return openError(err)
	}
	return nil
}

// Close ends the use of the journal.
func (j *Journal) Close() error { return j.db.Close() }

// Get returns a placement's record; ok is false if there is none.
func (j *Journal) Get(id leasetypes.PlacementID) (r Record, ok bool, err error) {
	err = j.db.View(func(tx *bolt.Tx) error {
		ok, err = get(tx.Bucket(placementsBucket), key(id), &r)
		return err
	})
	return r, ok, err
}

// All returns every record, by id.
func (j *Journal) All() ([]Record, error) {
	var all []Record
	err := j.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket(placementsBucket).ForEach(func(_, raw []byte) error {
			var r Record
			if err := decode(raw, &r); err != nil {
				return err
			}
			all = append(all, r)
			return nil
		})
	})
	return all, err
}

// Update changes a placement's record, beginning one if there is none, and
// returns it once it is on disk.
func (j *Journal) Update(id leasetypes.PlacementID, change func(*Record)) (Record, error) {
	records, err := j.UpdateAll([]leasetypes.PlacementID{id}, change)
	if err != nil {
		return Record{}, err
	}
	return records[0], nil
}

// UpdateAll changes several records in one write: all of them or none.
func (j *Journal) UpdateAll(ids []leasetypes.PlacementID, change func(*Record)) ([]Record, error) {
	records := make([]Record, len(ids))
	err := j.update(func(tx *bolt.Tx) error {
		bucket := tx.Bucket(placementsBucket)
		for i, id := range ids {
			r := Record{}
			if _, err := get(bucket, key(id), &r); err != nil {
				return err
			}
			r.ID = id
			change(&r)
			if err := put(bucket, key(id), r); err != nil {
				return err
			}
			records[i] = r
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("write journal: %w", err)
	}
	return records, nil
}

// Delete forgets placements.
func (j *Journal) Delete(ids ...leasetypes.PlacementID) error {
	err := j.update(func(tx *bolt.Tx) error {
		for _, id := range ids {
			if err := tx.Bucket(placementsBucket).Delete(key(id)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	return nil
}

// NextSequence takes the next n numbers for attestations, above both the
// journal's last one and the chain's, and returns the first. They are on disk
// as used before any of them is sent.
func (j *Journal) NextSequence(chain, n uint64) (first uint64, err error) {
	err = j.update(func(tx *bolt.Tx) error {
		meta := tx.Bucket(metaBucket)
		var last uint64
		if _, err := get(meta, sequenceKey, &last); err != nil {
			return err
		}
		first = max(last, chain) + 1
		return put(meta, sequenceKey, first+n-1)
	})
	if err != nil {
		return 0, fmt.Errorf("write journal: %w", err)
	}
	return first, nil
}

// Confirmed is when the chain last confirmed a sign of life of this node, by
// the clock of one boot.
type Confirmed struct {
	Boot string        `json:"boot"`
	At   time.Duration `json:"at_ns"`
	// Limit and Idle are the chain's limits as they were then, for a node
	// with placements and for one without.
	Limit time.Duration `json:"limit_ns"`
	Idle  time.Duration `json:"idle_ns"`
}

// SetConfirmed remembers the last confirmation.
func (j *Journal) SetConfirmed(c Confirmed) error {
	err := j.update(func(tx *bolt.Tx) error { return put(tx.Bucket(metaBucket), confirmedKey, c) })
	if err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	return nil
}

// Confirmed returns the last confirmation; ok is false if there was none.
func (j *Journal) Confirmed() (c Confirmed, ok bool, err error) {
	err = j.db.View(func(tx *bolt.Tx) error {
		ok, err = get(tx.Bucket(metaBucket), confirmedKey, &c)
		return err
	})
	return c, ok, err
}

// update writes in one transaction, sealed.
func (j *Journal) update(change func(tx *bolt.Tx) error) error {
	return j.db.Update(func(tx *bolt.Tx) error {
		if err := change(tx); err != nil {
			return err
		}
		return tx.Bucket(metaBucket).Put(sealKey, seal(tx))
	})
}

// seal is a checksum of all there is and of the write's number, so that a
// state is noticed of which a torn write left some pages as they were: each
// page may be whole, and all of them together an older state.
func seal(tx *bolt.Tx) []byte {
	sum := sha256.New()
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(tx.ID()))
	sum.Write(length[:])
	for _, bucket := range [][]byte{metaBucket, placementsBucket} {
		_ = tx.Bucket(bucket).ForEach(func(key, value []byte) error { // fails only if the function does
			if bytes.Equal(key, sealKey) {
				return nil
			}
			binary.BigEndian.PutUint32(length[:], uint32(len(key)))
			binary.BigEndian.PutUint32(length[4:], uint32(len(value)))
			sum.Write(length[:])
			sum.Write(key)
			sum.Write(value)
			return nil
		})
	}
	return sum.Sum(nil)
}

// checkSeal compares what there is with its seal; a journal of before there
// were seals has none.
func checkSeal(tx *bolt.Tx) error {
	if kept := tx.Bucket(metaBucket).Get(sealKey); kept != nil && !bytes.Equal(kept, seal(tx)) {
		return fmt.Errorf("%w: its parts are of different writes", errDamaged)
	}
	return nil
}

func key(id leasetypes.PlacementID) []byte { return []byte(id.String()) }

// put writes a value as checksum and JSON: bbolt guards its tables, not what
// is in them.
func put(bucket *bolt.Bucket, key []byte, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return err
	}
	raw := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(body)), crc32.Checksum(body, checksums))
	return bucket.Put(key, append(raw, body...))
}

func get(bucket *bolt.Bucket, key []byte, value any) (bool, error) {
	raw := bucket.Get(key)
	if raw == nil {
		return false, nil
	}
	return true, decode(raw, value)
}

func decode(raw []byte, value any) error {
	if len(raw) < 4 || binary.BigEndian.Uint32(raw) != crc32.Checksum(raw[4:], checksums) {
		return fmt.Errorf("%w: a record's checksum is wrong", errDamaged)
	}
	if err := json.Unmarshal(raw[4:], value); err != nil {
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	return nil
}
