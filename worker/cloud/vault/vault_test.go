package vault

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/stretchr/testify/require"
)

const testLease = Subject("lease/isun1tenant/7")

// town is a number of nodes with keys, and an identity that they share.
type town struct {
	identity *Identity
	record   Record
	keys     map[string]*NodeKey
	holders  []Holder
}

func newTown(t testing.TB, nodes, threshold int) *town {
	identity, err := NewIdentity()
	require.NoError(t, err)
	w := &town{identity: identity, keys: map[string]*NodeKey{}}
	for i := range nodes {
		key, err := NewNodeKey()
		require.NoError(t, err)
		node := fmt.Sprintf("isun1op/%d", i+1)
		w.keys[node] = key
		w.holders = append(w.holders, Holder{Node: node, Key: key.Public()})
	}
	w.record, err = Split(identity, testLease, threshold, w.holders)
	require.NoError(t, err)
	return w
}

func (w *town) shares(t testing.TB, nodes ...string) map[string]Share {
	out := map[string]Share{}
	for _, node := range nodes {
		share, err := w.record.Open(node, w.keys[node])
		require.NoError(t, err)
		out[node] = share
	}
	return out
}

func TestAnyThresholdOfHoldersGiveTheIdentityBack(t *testing.T) {
	for _, c := range []struct{ n, t int }{{1, 1}, {3, 1}, {3, 2}, {3, 3}, {5, 3}, {16, 16}} {
		w := newTown(t, c.n, c.t)
		require.Len(t, w.record.Commitments, c.t)
		nodes := make([]string, 0, c.n)
		for _, h := range w.holders {
			nodes = append(nodes, h.Node)
		}
		for _, some := range [][]string{nodes[:c.t], nodes[c.n-c.t:]} {
			got, liars, err := w.record.Combine(w.shares(t, some...))
			require.NoError(t, err)
			require.Empty(t, liars)
			require.Equal(t, w.identity.Text(), got.Text())
		}
		_, _, err := w.record.Combine(w.shares(t, nodes[:c.t-1]...))
		require.ErrorIs(t, err, ErrTooFew)
	}
}

func TestWhatIsEncryptedToTheRecipientOpensWithTheCombinedIdentity(t *testing.T) {
	w := newTown(t, 3, 2)
	recipient, err := ParseRecipient(w.record.Recipient)
	require.NoError(t, err)
	var sealed bytes.Buffer
	out, err := age.Encrypt(&sealed, recipient)
	require.NoError(t, err)
	_, err = io.WriteString(out, "state")
	require.NoError(t, err)
	require.NoError(t, out.Close())

	identity, _, err := w.record.Combine(w.shares(t, "isun1op/1", "isun1op/3"))
	require.NoError(t, err)
	plain, err := age.Decrypt(&sealed, identity.Age())
	require.NoError(t, err)
	text, err := io.ReadAll(plain)
	require.NoError(t, err)
	require.Equal(t, "state", string(text))
}

func TestFalseSharesAreNamedAndLeftOut(t *testing.T) {
	w := newTown(t, 4, 2)
	shares := w.shares(t, "isun1op/1", "isun1op/2", "isun1op/3", "isun1op/4")
	bent := shares["isun1op/2"]
	bent.Value[0] ^= 1
	shares["isun1op/2"] = bent
	shares["isun1op/3"] = shares["isun1op/1"] // somebody else's
	got, liars, err := w.record.Combine(shares)
	require.NoError(t, err)
	require.Equal(t, []string{"isun1op/2", "isun1op/3"}, liars)
	require.Equal(t, w.record.Recipient, got.Recipient())

	delete(shares, "isun1op/4")
	_, liars, err = w.record.Combine(shares)
	require.ErrorIs(t, err, ErrTooFew)
	require.Len(t, liars, 2)
}

func TestSharesThatAreNoSharesAreRefused(t *testing.T) {
	w := newTown(t, 2, 1)
	raw := w.shares(t, "isun1op/1")["isun1op/1"].Bytes()
	for name, bad := range map[string][]byte{
		"empty":           nil,
		"short":           raw[:len(raw)-1],
		"long":            append(slices.Clone(raw), 0),
		"another version": append([]byte{2}, raw[1:]...),
		"index zero":      append([]byte{1, 0, 0, 0, 0}, raw[5:]...),
		"not reduced":     append(slices.Clone(raw[:5]), bytes.Repeat([]byte{0xff}, 32)...),
	} {
		_, err := ParseShare(bad)
		require.ErrorIs(t, err, ErrFalseShare, name)
	}
	zero, err := ParseShare(append(slices.Clone(raw[:5]), make([]byte, 32)...))
	require.NoError(t, err, "zero is a scalar")
	require.ErrorIs(t, w.record.Check("isun1op/1", zero), ErrFalseShare)
}

func TestASealedShareOpensInItsOwnPlaceOnly(t *testing.T) {
	w := newTown(t, 3, 2)
	other := newTown(t, 3, 2)
	key := w.keys["isun1op/1"]
	for name, change := range map[string]func(*Record){
		"another subject": func(r *Record) { r.Subject = "lease/isun1mallory/1" },
		"another image":   func(r *Record) { r.Subject = "image/isun1mallory/web:1" },
		"another index":   func(r *Record) { r.Shares[0].Index = 9 },
		"another node's":  func(r *Record) { r.Shares[0].Sealed = r.Shares[1].Sealed },
		"another record": func(r *Record) {
			r.Recipient, r.Commitments = other.record.Recipient, other.record.Commitments
		},
		"damaged": func(r *Record) {
			r.Shares[0].Sealed = slices.Clone(r.Shares[0].Sealed)
			r.Shares[0].Sealed[40] ^= 1
		},
		"cut off": func(r *Record) { r.Shares[0].Sealed = r.Shares[0].Sealed[:20] },
	} {
		r := w.record
		r.Shares = slices.Clone(r.Shares)
		change(&r)
		_, err := r.Open("isun1op/1", key)
		require.ErrorIs(t, err, ErrSealed, name)
	}
	_, err := w.record.Open("isun1op/9", key)
	require.ErrorIs(t, err, ErrSealed, "a node that holds none")
	_, err = w.record.Open("isun1op/2", key)
	require.ErrorIs(t, err, ErrSealed, "the wrong key")
}

func TestRecordsThatContradictThemselvesAreRefused(t *testing.T) {
	identity := bytes.Repeat([]byte{0}, 32) // Ristretto's neutral point
	for name, change := range map[string]func(*Record){
		"no subject":            func(r *Record) { r.Subject = "" },
		"subject of a kind":     func(r *Record) { r.Subject = "node/isun1a/1" },
		"number with a zero":    func(r *Record) { r.Subject = "lease/isun1tenant/07" },
		"no recipient":          func(r *Record) { r.Recipient = "" },
		"recipient of a kind":   func(r *Record) { r.Recipient = "age1tag1" + r.Recipient[4:] },
		"threshold zero":        func(r *Record) { r.Threshold, r.Commitments = 0, nil },
		"threshold too high":    func(r *Record) { r.Threshold = 4 },
		"commitments missing":   func(r *Record) { r.Commitments = r.Commitments[:1] },
		"commitment no point":   func(r *Record) { r.Commitments[1] = bytes.Repeat([]byte{0xff}, 32) },
		"commitment short":      func(r *Record) { r.Commitments[1] = []byte{1} },
		"secret zero":           func(r *Record) { r.Commitments[0] = identity },
		"one node twice":        func(r *Record) { r.Shares[1].Node = r.Shares[0].Node },
		"one index twice":       func(r *Record) { r.Shares[1].Index = r.Shares[0].Index },
		"index zero":            func(r *Record) { r.Shares[1].Index = 0 },
		"sealed share absent":   func(r *Record) { r.Shares[1].Sealed = nil },
		"sealed share too long": func(r *Record) { r.Shares[1].Sealed = make([]byte, MaxSealedBytes+1) },
		"too many shares":       func(r *Record) { r.Shares = make([]SealedShare, MaxShares+1) },
	} {
		w := newTown(t, 3, 2)
		change(&w.record)
		require.ErrorIs(t, w.record.Validate(), ErrRecord, name)
		_, _, err := w.record.Combine(nil)
		require.ErrorIs(t, err, ErrRecord, name)
	}
}

func TestSplittingForNobodyOrTooManyIsRefused(t *testing.T) {
	w := newTown(t, 3, 2)
	for name, c := range map[string]struct {
		threshold int
		holders   []Holder
	}{
		"nobody":         {1, nil},
		"none needed":    {0, w.holders},
		"more than are":  {4, w.holders},
		"one node twice": {1, []Holder{w.holders[0], w.holders[0]}},
		"a short key":    {1, []Holder{{Node: "isun1op/1", Key: []byte{1}}}},
		"a key of zero":  {1, []Holder{{Node: "isun1op/1", Key: make([]byte, 32)}}},
		"too many":       {1, make([]Holder, MaxShares+1)},
	} {
		_, err := Split(w.identity, testLease, c.threshold, c.holders)
		require.ErrorIs(t, err, ErrRecord, name)
	}
}

func TestARecordOfAnotherIdentityIsNoticedWhenCombined(t *testing.T) {
	w := newTown(t, 2, 1)
	shares := w.shares(t, "isun1op/1")
	w.record.Recipient = newTown(t, 1, 1).record.Recipient
	_, _, err := w.record.Combine(shares)
	require.ErrorIs(t, err, ErrRecord)
}

func TestCollectStopsAtTheThresholdDespiteTheDeadAndTheLying(t *testing.T) {
	w := newTown(t, 5, 2)
	ended := make(chan error, 1)
	ask := func(ctx context.Context, node string) ([]byte, error) {
		switch node {
		case "isun1op/1":
			<-ctx.Done() // dead until it is given up
			ended <- ctx.Err()
			return nil, ctx.Err()
		case "isun1op/2":
			return w.shares(t, "isun1op/3")["isun1op/3"].Bytes(), nil
		case "isun1op/3":
			return nil, errors.New("refused")
		}
		return w.shares(t, node)[node].Bytes(), nil
	}
	got, _, err := Collect(t.Context(), w.record, ask)
	require.NoError(t, err)
	require.Equal(t, w.identity.Text(), got.Text())
	require.ErrorIs(t, <-ended, context.Canceled)

	w.record.Threshold = 2
	_, collected, err := Collect(t.Context(), w.record, func(ctx context.Context, node string) ([]byte, error) {
		if node > "isun1op/3" {
			return []byte("nonsense"), nil
		}
		if node == "isun1op/1" {
			return w.shares(t, node)[node].Bytes(), nil
		}
		return nil, errors.New("refused")
	})
	require.ErrorIs(t, err, ErrTooFew)
	require.ErrorContains(t, err, "1 of 2")
	require.ElementsMatch(t, []string{"isun1op/4", "isun1op/5"}, collected.Liars)
	require.Len(t, collected.Failed, 2)
}

func TestANodesKeyIsMadeOnceAndGuarded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "encryption_key.json")
	first, err := LoadOrCreateNodeKey(path)
	require.NoError(t, err)
	again, err := LoadOrCreateNodeKey(path)
	require.NoError(t, err)
	require.Equal(t, first.Public(), again.Public())

	require.NoError(t, os.Chmod(path, 0o640))
	_, err = LoadOrCreateNodeKey(path)
	require.ErrorContains(t, err, "chmod 600")
	require.NoError(t, os.Chmod(path, 0o600))

	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, bytes.Replace(raw, []byte(`"public": "`), []byte(`"public": "0`), 1), 0o600))
	_, err = LoadOrCreateNodeKey(path)
	require.ErrorIs(t, err, ErrKeyFile)
	require.NoError(t, os.WriteFile(path, []byte("{}"), 0o600))
	_, err = LoadOrCreateNodeKey(path)
	require.ErrorIs(t, err, ErrKeyFile)
}

func TestAKeyringDerivesEveryIdentityAndComesBackFromABackup(t *testing.T) {
	dir := t.TempDir()
	ring, created, err := LoadOrCreateKeyring(filepath.Join(dir, "keys", "ring.json"))
	require.NoError(t, err)
	require.True(t, created)
	text, err := ring.export("correct horse", 10)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(text, "-----BEGIN AGE"))

	_, err = ImportKeyring(text, "wrong horse", filepath.Join(dir, "b.json"))
	require.ErrorIs(t, err, ErrKeyFile)
	back, err := ImportKeyring(text, "correct horse", filepath.Join(dir, "b.json"))
	require.NoError(t, err)
	_, err = ImportKeyring(text, "correct horse", filepath.Join(dir, "b.json"))
	require.NoError(t, err, "the same again")
	loaded, created, err := LoadOrCreateKeyring(filepath.Join(dir, "b.json"))
	require.NoError(t, err)
	require.False(t, created)

	seen := map[string]bool{}
	for _, chain := range []string{"isun-1", "isun-2"} {
		for _, s := range []Subject{testLease, "lease/isun1tenant/8", "image/isun1tenant/web:1", "object/isun1tenant/a/b.bin"} {
			var texts []string
			for _, k := range []*Keyring{ring, back, loaded} {
				identity, err := k.Identity(chain, s)
				require.NoError(t, err)
				texts = append(texts, identity.Text())
			}
			require.Equal(t, []string{texts[0], texts[0], texts[0]}, texts)
			require.False(t, seen[texts[0]], "each subject has its own")
			seen[texts[0]] = true
		}
	}
	_, err = ring.Identity("isun-1", "lease/x")
	require.ErrorIs(t, err, ErrRecord)
	_, err = ring.Export("short")
	require.ErrorIs(t, err, ErrKeyFile)
}

func TestAnotherSeedIsNeverOverwritten(t *testing.T) {
	dir := t.TempDir()
	mine, other := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	ring, _, err := LoadOrCreateKeyring(mine)
	require.NoError(t, err)
	_, _, err = LoadOrCreateKeyring(other)
	require.NoError(t, err)
	text, err := ring.export("correct horse", 10)
	require.NoError(t, err)
	_, err = ImportKeyring(text, "correct horse", other)
	require.ErrorContains(t, err, "exists")
}

func TestAWipedIdentityHoldsNoSecret(t *testing.T) {
	identity, err := NewIdentity()
	require.NoError(t, err)
	identity.Wipe()
	require.True(t, identity.secret.IsZero())
	var none *Identity
	none.Wipe()
}

func FuzzParseShare(f *testing.F) {
	share := Share{Index: 1}
	_, err := rand.Read(share.Value[:31])
	require.NoError(f, err)
	f.Add(share.Bytes())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := ParseShare(raw)
		if err != nil {
			require.ErrorIs(t, err, ErrFalseShare)
			return
		}
		require.Equal(t, raw, s.Bytes(), "one share has one form")
	})
}

func FuzzRecord(f *testing.F) {
	w := newTown(f, 2, 2)
	r := w.record
	f.Add(string(r.Subject), r.Recipient, r.Threshold, r.Shares[0].Node, r.Shares[0].Index, r.Shares[0].Sealed, r.Commitments[0], r.Commitments[1])
	f.Fuzz(func(t *testing.T, subject, recipient string, threshold uint32, node string, index uint32, sealed, c0, c1 []byte) {
		r := Record{
			Subject: Subject(subject), Recipient: recipient, Threshold: threshold, Commitments: [][]byte{c0, c1},
			Shares: []SealedShare{{Node: node, Index: index, Sealed: sealed}, w.record.Shares[1]},
		}
		if _, err := r.Open(node, w.keys["isun1op/1"]); err == nil {
			require.Equal(t, testLease, r.Subject)
		}
		_, _, _ = r.Combine(map[string]Share{node: {Index: index}})
	})
}
