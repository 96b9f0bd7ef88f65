package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/isuncoin/isuncoin/uai"
)

// Buckets of the file. Keys are joined by NUL, which no part contains.
var (
	reposBucket     = []byte("repositories") // name -> ""
	blobsBucket     = []byte("blobs")        // name, digest -> ""
	manifestsBucket = []byte("manifests")    // name, digest -> ""
	placesBucket    = []byte("places")       // digest of a manifest, name -> ""
	tagsBucket      = []byte("tags")         // name, tag -> digest
	referrersBucket = []byte("referrers")    // name, digest of the subject, digest -> descriptor
)

// lockTimeout is how long another process may hold the file.
const lockTimeout = 5 * time.Second

// records keep what was pushed under which name.
type records struct{ db *bolt.DB }

func openRecords(path string) (*records, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("open the registry's records: %w", err)
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: lockTimeout, FreelistType: bolt.FreelistMapType})
	if err != nil {
		return nil, fmt.Errorf("open the registry's records: %w; if it is damaged, remove %s: tags are lost, content is not", err, path)
	}
	r := &records{db: db}
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{reposBucket, blobsBucket, manifestsBucket, placesBucket, tagsBucket, referrersBucket} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the registry's records: %w", err), db.Close())
	}
	return r, nil
}

func (r *records) close() error { return r.db.Close() }

func key(parts ...string) []byte {
	var k []byte
	for n, p := range parts {
		if n > 0 {
			k = append(k, 0)
		}
		k = append(k, p...)
	}
	return k
}

// has looks a key up. Without records there are none.
func (r *records) has(bucket, key []byte) bool { return r.get(bucket, key) != nil }

func (r *records) get(bucket, key []byte) []byte {
	if r == nil {
		return nil
	}
	var value []byte
	err := r.db.View(func(tx *bolt.Tx) error {
		if v := tx.Bucket(bucket).Get(key); v != nil {
			value = append([]byte{}, v...)
		}
		return nil
	})
	if err != nil { // the file is closed: nobody is served any more
		return nil
	}
	return value
}

func (r *records) update(change func(tx *bolt.Tx) error) error {
	if err := r.db.Update(change); err != nil {
		return fmt.Errorf("write the registry's records: %w", err)
	}
	return nil
}

func (r *records) hasRepository(name string) bool { return r.has(reposBucket, key(name)) }

func (r *records) hasBlob(name string, d uai.Digest) bool {
	// A manifest is a blob too, as clients that copy content as it is ask.
	return r.has(blobsBucket, key(name, d.String())) || r.hasManifest(name, d)
}

func (r *records) hasManifest(name string, d uai.Digest) bool {
	return r.has(manifestsBucket, key(name, d.String()))
}

func (r *records) tag(name, tag string) (uai.Digest, bool) {
	value := r.get(tagsBucket, key(name, tag))
	return uai.Digest(value), value != nil
}

func (r *records) addBlob(name string, d uai.Digest) error {
	return r.update(func(tx *bolt.Tx) error {
		if err := tx.Bucket(reposBucket).Put(key(name), []byte{}); err != nil {
			return err
		}
		return tx.Bucket(blobsBucket).Put(key(name, d.String()), []byte{})
	})
}

func (r *records) removeBlob(name string, d uai.Digest) error {
	if !r.has(blobsBucket, key(name, d.String())) {
		return blobUnknown(d)
	}
	return r.update(func(tx *bolt.Tx) error { return tx.Bucket(blobsBucket).Delete(key(name, d.String())) })
}

// putManifest records a manifest, and its tag unless that is empty.
func (r *records) putManifest(name, tag string, m *manifest, self descriptor) error {
	entry, err := json.Marshal(self)
	if err != nil {
		return fmt.Errorf("encode referrer: %w", err)
	}
	digest := self.Digest.String()
	return r.update(func(tx *bolt.Tx) error {
		errs := []error{
			tx.Bucket(reposBucket).Put(key(name), []byte{}),
			tx.Bucket(manifestsBucket).Put(key(name, digest), []byte{}),
			tx.Bucket(placesBucket).Put(key(digest, name), []byte{}),
		}
		if tag != "" {
			errs = append(errs, tx.Bucket(tagsBucket).Put(key(name, tag), []byte(digest)))
		}
		if m.Subject != nil {
			errs = append(errs, tx.Bucket(referrersBucket).Put(key(name, m.Subject.Digest.String(), digest), entry))
		}
		return errors.Join(errs...)
	})
}

func (r *records) removeTag(name, tag string) error {
	return r.update(func(tx *bolt.Tx) error { return tx.Bucket(tagsBucket).Delete(key(name, tag)) })
}

// removeManifest forgets a manifest and its tags, and says whether it is in
// another repository. m is nil if its content is gone.
func (r *records) removeManifest(name string, d uai.Digest, m *manifest) (elsewhere bool, err error) {
	digest := d.String()
	err = r.update(func(tx *bolt.Tx) error {
		errs := []error{
			tx.Bucket(manifestsBucket).Delete(key(name, digest)),
			tx.Bucket(placesBucket).Delete(key(digest, name)),
		}
		if m != nil && m.Subject != nil {
			errs = append(errs, tx.Bucket(referrersBucket).Delete(key(name, m.Subject.Digest.String(), digest)))
		}
		var tags [][]byte
		for k, v := range below(tx, tagsBucket, "", name) {
			if string(v) == digest {
				tags = append(tags, bytes.Clone(k))
			}
		}
		for _, k := range tags {
			errs = append(errs, tx.Bucket(tagsBucket).Delete(k))
		}
		for range below(tx, placesBucket, "", digest) {
			elsewhere = true
			break
		}
		return errors.Join(errs...)
	})
	return elsewhere, err
}

// below walks the keys under a prefix of whole parts, beginning after one of
// them; keys keep their prefix.
func below(tx *bolt.Tx, bucket []byte, after string, parts ...string) func(yield func(k, v []byte) bool) {
	prefix := append(key(parts...), 0)
	if len(parts) == 0 {
		prefix = nil
	}
	return func(yield func(k, v []byte) bool) {
		cursor := tx.Bucket(bucket).Cursor()
		start := append(bytes.Clone(prefix), after...)
		for k, v := cursor.Seek(start); k != nil && bytes.HasPrefix(k, prefix); k, v = cursor.Next() {
			if after != "" && bytes.Equal(k, start) {
				continue
			}
			if !yield(k, v) {
				return
			}
		}
	}
}

// names lists what follows a prefix, at most n, and says whether there is
// more.
func (r *records) names(bucket []byte, after string, n int, parts ...string) (found []string, more bool, err error) {
	skip := 0
	if len(parts) > 0 {
		skip = len(key(parts...)) + 1
	}
	err = r.db.View(func(tx *bolt.Tx) error {
		for k := range below(tx, bucket, after, parts...) {
			if len(found) == n {
				more = true
				return nil
			}
			found = append(found, string(k[skip:]))
		}
		return nil
	})
	return found, more, err
}
