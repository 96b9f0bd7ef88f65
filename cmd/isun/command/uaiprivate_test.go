package command_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/worker/cloud/vault"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

func somebody(n byte) string { return sdk.AccAddress(bytes.Repeat([]byte{n}, 20)).String() }

func TestAccess(t *testing.T) {
	b := newBench(t)
	golden(t, "access.open.txt", b.run("uai", "access", "hello:1").ok().out)
	b.run("uai", "access", "hello:1", "--restrict").fails("say --yes")
	golden(t, "access.none.txt", b.run("uai", "access", "hello:1", "--restrict", "-y").ok().out)
	golden(t, "access.txt", b.run("uai", "access", "hello:1", "--grant", somebody(8)+","+somebody(9), "-y").ok().out)
	golden(t, "access.json", maskTx(b.run("uai", "access", "hello:1", "--revoke", somebody(9), "-y", "-o", "json").ok().out))
	require.Contains(t, b.run("uai", "show", "hello:1").ok().out, "its owner and whom")

	var access struct {
		Image, Owner string
		Restricted   bool
		Grantees     []string
	}
	b.run("uai", "access", "hello:1", "-o", "json").ok().json(&access)
	require.True(t, access.Restricted, "looking changes nothing")
	require.Equal(t, []string{somebody(8)}, access.Grantees)
	b.run("uai", "access", "hello:1", "--open", "--restrict").fails("open")
	b.run("uai", "access", "hello:2").fails("image not found")
	b.run("uai", "access", b.tenant.String()+"/hello:1").ok()
}

// keyNodes puts machines of different operators on the market that can hold shares.
func (b *bench) keyNodes(count int) (ids []sunstypes.NodeID, keys []*vault.NodeKey) {
	b.t.Helper()
	for i := range count {
		key, err := vault.NewNodeKey()
		require.NoError(b.t, err)
		id := sunstypes.NewNodeID(bytes.Repeat([]byte{byte(100 + i)}, 20), 1)
		b.market.AddNode(sunstypes.NodeInfo{Node: sunstypes.Node{ID: id, Status: sunstypes.NODE_STATUS_ACTIVE, Bond: math.ZeroInt()}})
		b.market.AddContact(sunstypes.Contact{Node: id, EncryptionKey: key.Public(), Addresses: []string{"/ip4/127.0.0.1/tcp/1"}})
		ids, keys = append(ids, id), append(keys, key)
	}
	return ids, keys
}

// lock has nodes hold the key to the market's image, of this home's keyring or of another.
func (b *bench) lock(home string, ids []sunstypes.NodeID, keys []*vault.NodeKey) vault.Subject {
	b.t.Helper()
	ring, _, err := vault.LoadOrCreateKeyring(filepath.Join(home, "keyring.json"))
	require.NoError(b.t, err)
	subject := vault.ImageSubject(b.tenant.String() + "/hello:1")
	identity, err := ring.Identity("isun-test", subject)
	require.NoError(b.t, err)
	var holders []vault.Holder
	for i, id := range ids {
		holders = append(holders, vault.Holder{Node: id.String(), Key: keys[i].Public()})
	}
	record, err := vault.Split(identity, subject, 2, holders)
	require.NoError(b.t, err)
	chain := uaitypes.KeyHolders{
		Subject: string(subject), Owner: b.tenant.String(), Recipient: record.Recipient, Threshold: 2, Commitments: record.Commitments, Revision: 1,
	}
	for i, share := range record.Shares {
		chain.Shares = append(chain.Shares, uaitypes.KeyShare{Node: ids[i], Index: share.Index, Sealed: share.Sealed})
	}
	b.market.SetKeyHolders(chain)
	return subject
}

var recipient = regexp.MustCompile(`age1[a-z0-9]+`)

func TestKeysAreShownAndRenewed(t *testing.T) {
	b := newBench(t)
	b.run("uai", "keys", "hello:1").fails("is not private")
	b.run("uai", "keys", "hello:2").fails("image not found")
	ids, keys := b.keyNodes(4)
	subject := b.lock(b.home, ids[:3], keys)
	golden(t, "keys.txt", b.run("uai", "keys", "hello:1").ok().out)
	b.market.SetStatus(ids[0], sunstypes.NODE_STATUS_UNRESPONSIVE)
	b.market.SetStatus(ids[1], sunstypes.NODE_STATUS_RETIRED)
	golden(t, "keys.dead.txt", b.run("uai", "keys", b.tenant.String()+"/hello:1").ok().out)
	golden(t, "keys.json", recipient.ReplaceAllString(b.run("uai", "keys", "hello:1", "-o", "json").ok().out, "age1..."))

	b.run("uai", "keys", "hello:1", "--threshold", "2").fails("--renew")
	b.run("uai", "keys", "hello:1", "--renew", "--holders", "3", "-y").fails("2 of 3")
	b.run("uai", "keys", "hello:1", "--renew").fails("say --yes")
	b.market.SetStatus(ids[0], sunstypes.NODE_STATUS_ACTIVE)
	before := b.market.KeyHolders(string(subject))
	var renewed struct {
		Subject, Owner, Recipient, Tx string
		Threshold, Alive              uint32
		Revision                      uint64
		Height                        int64
		Nodes                         []json.RawMessage
	}
	b.run("uai", "keys", "hello:1", "--renew", "-y", "-o", "json").ok().json(&renewed)
	require.EqualValues(t, 2, renewed.Threshold)
	require.EqualValues(t, 3, renewed.Alive)
	require.EqualValues(t, 2, renewed.Revision)
	require.Equal(t, before.Recipient, renewed.Recipient, "what is encrypted stays readable")
	require.NotEqual(t, before.Commitments, b.market.KeyHolders(string(subject)).Commitments)
}

func TestKeysOfAnotherKeyringAreNotRenewed(t *testing.T) {
	b := newBench(t)
	ids, keys := b.keyNodes(3)
	b.lock(t.TempDir(), ids, keys)
	b.run("uai", "keys", "hello:1", "--renew", "-y").fails("another keyring")
}

func TestPullSaysWhoGetsAKey(t *testing.T) {
	b := newBench(t)
	ids, keys := b.keyNodes(3)
	b.lock(t.TempDir(), ids, keys)
	b.run("uai", "pull", "hello:1").fails("is private", "nobody else", "--encrypted")
	_, err := os.Stat(filepath.Join(b.home, "keyring.json"))
	require.ErrorIs(t, err, os.ErrNotExist, "no keyring is made to pull")
	b.run("uai", "pull", "hello:1", "--encrypted").fails("no holder that is alive")
}

func TestPushRefusesWhatMakesNoSense(t *testing.T) {
	b := newBench(t)
	b.pack("--rootfs", site(t), "--name", b.tenant.String()+"/site:1")
	b.run("uai", "push", "site:1", "--threshold", "2", "-y").fails("--private")
	b.run("uai", "push", "site:1", "--private", "--reference", "docker.io/library/nginx", "-y").fails("--reference")
	b.pack("--rootfs", site(t), "--name", b.tenant.String()+"/hello:1")
	b.run("uai", "push", "hello:1", "--private", "-y").fails("published already", "Keep a copy of that file")
	first := b.run("uai", "push", "site:1", "--private", "-y").fails("encrypting").err
	require.NotContains(t, first, "Keep a copy", "it says so once")
	require.NotContains(t, b.run("uai", "push", "site:1", "--private", "-y").fails().err, "encrypting", "the copy is kept")

	// That copy by itself is of no use to anybody.
	made, err := filepath.Glob(filepath.Join(b.home, "private", "*", "index.json"))
	require.NoError(t, err)
	require.Len(t, made, 1)
	copied := filepath.Dir(made[0])
	b.run("uai", "push", "site:2", "--layout", copied, "--verify=false", "-y").fails("layers are encrypted")
	b.run("uai", "push", "site:2", "--layout", copied, "--private", "-y").fails("private already")
	left, err := os.ReadDir(filepath.Join(b.home, "private"))
	require.NoError(t, err)
	require.Len(t, left, 2, "the copy and the lock: nothing unfinished is left")

	lock, err := os.Open(filepath.Join(b.home, "private", "lock"))
	require.NoError(t, err)
	defer lock.Close()
	require.NoError(t, syscall.Flock(int(lock.Fd()), syscall.LOCK_EX))
	b.run("uai", "push", "site:1", "--private", "-y").fails("another push")
}
