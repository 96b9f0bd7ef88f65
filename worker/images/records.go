package images

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"sync"

	"github.com/isuncoin/isuncoin/uai"
)

// records remembers which of the engine's images is the verified content of a
// digest. Losing the file costs a second verification, nothing more.
type records struct {
	path string
	mu   sync.Mutex
	byID map[uai.Digest]Image
}

// openRecords reads the file. An empty path keeps records in memory only.
func openRecords(path string) (*records, error) {
	r := &records{path: path, byID: map[uai.Digest]Image{}}
	if path == "" {
		return r, nil
	}
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read image records: %w", err)
	}
	if err := json.Unmarshal(raw, &r.byID); err != nil {
		r.byID = map[uai.Digest]Image{} // damaged: verify again
	}
	return r, nil
}

func (r *records) get(d uai.Digest) (Image, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	image, ok := r.byID[d]
	return image, ok
}

func (r *records) all() map[uai.Digest]Image {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.byID)
}

func (r *records) put(d uai.Digest, image Image) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.byID[d] = image
	return r.save()
}

func (r *records) drop(d uai.Digest) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.byID, d)
	return r.save()
}

// save replaces the file in one step.
func (r *records) save() error {
	if r.path == "" {
		return nil
	}
	raw, err := json.MarshalIndent(r.byID, "", "  ")
	if err != nil {
		return fmt.Errorf("encode image records: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(r.path), 0o700); err != nil {
		return fmt.Errorf("write image records: %w", err)
	}
	fresh := r.path + ".new"
	if err := os.WriteFile(fresh, raw, 0o600); err != nil {
		return fmt.Errorf("write image records: %w", err)
	}
	if err := os.Rename(fresh, r.path); err != nil {
		return fmt.Errorf("write image records: %w", err)
	}
	return nil
}
