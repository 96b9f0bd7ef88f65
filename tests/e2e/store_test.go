package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/tests/stack"
)

// What a tenant stores is held by a node that cannot read it, and read by whom its key was given.
func TestStoredObjectIsSharedByItsKey(t *testing.T) {
	f := newFixture(t)
	holder := f.joinBare("holder", "operator", "3000000")
	content := strings.Repeat("rows of a table\n", 200_000)
	path := filepath.Join(t.TempDir(), "results.csv")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	f.awaitContacts(1)

	var put struct {
		Object, Digest string
		Holders        []string
		Unchanged      bool
	}
	require.NoError(t, f.Isun(f.ctx, "tenant", &put, "store", "put", path, "runs/7"))
	require.Equal(t, []string{holder.Node}, put.Holders)
	require.NoError(t, f.Isun(f.ctx, "tenant", &put, "store", "put", path, "runs/7"))
	require.True(t, put.Unchanged, "it is there already")

	var list struct {
		Objects []struct{ Name, Digest string }
	}
	require.NoError(t, f.Isun(f.ctx, "tenant", &list, "store", "ls"))
	require.Len(t, list.Objects, 1)
	require.Equal(t, put.Digest, list.Objects[0].Digest)
	var shared struct{ Key string }
	require.NoError(t, f.Isun(f.ctx, "tenant", &shared, "store", "share", "runs/7"))

	out := filepath.Join(t.TempDir(), "out.csv")
	get := func(args ...string) error { // somebody else, without an account
		_, err := f.Run(f.ctx, "isun", append([]string{"store", "get", put.Object, out, "--node", f.Chain.RPC, "--home", t.TempDir()}, args...)...)
		return err
	}
	require.ErrorContains(t, get(), "is private")
	require.NoError(t, get("--key", shared.Key))
	got, err := os.ReadFile(out)
	require.NoError(t, err)
	require.Equal(t, content, string(got))
	requireNowhere(t, [][]byte{[]byte("rows of a table")}, []*stack.Worker{holder})

	require.NoError(t, f.Isun(f.ctx, "tenant", nil, "store", "rm", "runs/7"))
	require.NoError(t, f.Isun(f.ctx, "tenant", &list, "store", "ls"))
	require.Empty(t, list.Objects)
}
