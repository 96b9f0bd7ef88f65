package identity

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestKeyIsMadeOnceAndKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent_key.json")
	_, err := LoadKey(path)
	require.ErrorIs(t, err, ErrNoKey)

	first, err := LoadOrCreateKey(path)
	require.NoError(t, err)
	second, err := LoadOrCreateKey(path)
	require.NoError(t, err)
	require.Equal(t, first.Address(), second.Address())
	require.Len(t, first.PubKey(), 33)

	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	sig, err := second.Sign([]byte("hello"))
	require.NoError(t, err)
	require.Len(t, sig, 64)
	require.True(t, first.Private().PubKey().VerifySignature([]byte("hello"), sig))
}

func TestKeyFileAtFault(t *testing.T) {
	for name, tc := range map[string]struct {
		edit func(t *testing.T, path string)
		want string
	}{
		"readable by others": {func(t *testing.T, path string) { require.NoError(t, os.Chmod(path, 0o644)) }, "chmod 600"},
		"torn": {func(t *testing.T, path string) {
			require.NoError(t, os.Truncate(path, 40))
		}, "agent_key.json"},
		"another address": {func(t *testing.T, path string) {
			other := NewKey()
			require.NoError(t, WritePrivate(path, keyFile{
				Type: keyType, Address: other.Address().String(),
				Private: "0101010101010101010101010101010101010101010101010101010101010101",
			}))
		}, "damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "agent_key.json")
			_, err := LoadOrCreateKey(path)
			require.NoError(t, err)
			tc.edit(t, path)
			_, err = LoadOrCreateKey(path)
			require.ErrorContains(t, err, tc.want, "a key at fault is never replaced by a new one")
		})
	}
}

func TestNodeFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.json")
	_, err := LoadNode(path)
	require.ErrorIs(t, err, ErrNotJoined)

	want := Node{ChainID: "isun-1", Operator: NewKey().Address().String(), Number: 3, Agent: NewKey().Address().String()}
	require.NoError(t, SaveNode(path, want))
	got, err := LoadNode(path)
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.Equal(t, want.Operator+"/3", got.ID().String())

	require.NoError(t, os.WriteFile(path, []byte("{}"), 0o600))
	_, err = LoadNode(path)
	require.ErrorContains(t, err, "isun-worker join")
}
