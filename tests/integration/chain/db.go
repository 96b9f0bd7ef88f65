package chain

import (
	"testing"

	dbm "github.com/cosmos/cosmos-db"
	"github.com/stretchr/testify/require"
)

// reopenableDB is a database on disk that a restart closes and opens again.
type reopenableDB struct {
	dbm.DB
	dir string
}

// WithDisk keeps state in files under a folder, and lets Restart read it back from there.
func WithDisk(t testing.TB, dir string) Option {
	t.Helper()
	db := &reopenableDB{dir: dir}
	db.reopen(t)
	return WithDB(db)
}

func (d *reopenableDB) reopen(t testing.TB) {
	t.Helper()
	db, err := dbm.NewDB("application", dbm.GoLevelDBBackend, d.dir)
	require.NoError(t, err)
	d.DB = db
}
