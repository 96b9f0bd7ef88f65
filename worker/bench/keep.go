package bench

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/isuncoin/isuncoin/worker/config"
	"github.com/isuncoin/isuncoin/worker/probe"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// pending is where a report waits whose digest is on its way to the chain.
func pending(path string) string { return path + ".sent" }

// Save keeps the report, exactly the bytes whose digest is on the chain.
func (r Report) Save(path string) error { return r.write(path) }

// SaveSent keeps a report beside the one on the chain, before the transaction
// that replaces it is sent: whatever happens then, the report whose digest the
// chain has is there. Settle says which of the two that is.
func (r Report) SaveSent(path string) error { return r.write(pending(path)) }

func (r Report) write(path string) error {
	raw, err := r.Canonical()
	if err != nil {
		return err
	}
	tmp := path + ".new"
	if err := writeSafely(tmp, raw); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("write report %s: %w", filepath.Base(path), err)
	}
	return syncDir(filepath.Dir(path))
}

// writeSafely has the bytes on the disk before the name is: a loss of power
// must not leave an empty report.
func writeSafely(path string, raw []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.Write(raw); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Sync(); err != nil {
		return errors.Join(err, f.Close())
	}
	return f.Close()
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Unsettled says whether a report was sent of which nobody has asked the chain
// yet.
func Unsettled(path string) bool {
	_, err := os.Stat(pending(path))
	return err == nil
}

// Settle makes the report that the chain has the digest of the kept one, if it
// is the one that was sent last, and forgets a sent one that the chain never
// took. It changes nothing when there is none.
func Settle(path string, onChain []byte) error {
	raw, err := os.ReadFile(pending(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the report that was sent: %w", err)
	}
	if digest := sha256.Sum256(raw); !bytes.Equal(digest[:], onChain) {
		kept, err := os.ReadFile(path)
		if digest := sha256.Sum256(kept); err == nil && bytes.Equal(digest[:], onChain) {
			return os.Remove(pending(path))
		}
		return nil // neither: nothing can be said of the one that was sent
	}
	if err := os.Rename(pending(path), path); err != nil {
		return fmt.Errorf("keep the report that was sent: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

// Load reads a report that Save wrote, of this version of the benchmark or an
// earlier one; fs.ErrNotExist if there is none.
func Load(path string) (Report, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Report{}, fmt.Errorf("benchmark report: %w", err)
	}
	if err != nil {
		return Report{}, fmt.Errorf("read report: %w", err)
	}
	var r Report
	var head struct {
		Version uint32 `json:"version"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return Report{}, fmt.Errorf("report %s: %w", path, err)
	}
	switch {
	case head.Version == 1:
		r, err = loadFirst(raw)
	case head.Version > Version || head.Version == 0:
		err = fmt.Errorf("it is of version %d of the benchmark, this worker knows %d: use the newer worker, or measure again",
			head.Version, Version)
	default:
		err = json.Unmarshal(raw, &r)
	}
	if err != nil {
		return Report{}, fmt.Errorf("report %s: %w", path, err)
	}
	return r, nil
}

// loadFirst reads a report of the first benchmark. What was rented by its
// points goes on being sized by them.
func loadFirst(raw []byte) (Report, error) {
	var first struct {
		Facts probe.Facts `json:"facts"`
		CPU   struct {
			Points  uint64            `json:"points"`
			Threads []json.RawMessage `json:"threads"`
		} `json:"cpu"`
		Offer    config.Offer       `json:"offer"`
		Capacity sunstypes.Capacity `json:"capacity"`
	}
	if err := json.Unmarshal(raw, &first); err != nil {
		return Report{}, err
	}
	return Report{
		Version: 1, Host: first.Facts, Capacity: first.Capacity, Offer: first.Offer,
		CPU: CPUResult{Threads: len(first.CPU.Threads), Points: first.CPU.Points},
	}, nil
}
