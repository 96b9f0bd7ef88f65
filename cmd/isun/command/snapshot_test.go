package command_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/client/tenant/tenanttest"
	"github.com/isuncoin/isuncoin/worker/cloud/snapshot"
	"github.com/isuncoin/isuncoin/worker/cloud/vault"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

// database publishes an image with a volume that lasts.
func (b *bench) database() {
	b.market.Publish(uaitypes.Image{
		Publisher: b.tenant.String(), Name: "db", Tag: "1", Owner: b.tenant.String(), Digest: "sha256:" + strings.Repeat("ab", 32),
		SizeBytes: 2 << 20, Platforms: []string{"linux/amd64"}, Demand: sunstypes.Demand{GeneralMilliSuns: 500},
		Ports:   []uaitypes.Port{{Name: "web", Protocol: "http", ContainerPort: 8080}},
		Volumes: []uaitypes.Volume{{Name: "data", Path: "/data", SizeMiB: 64}},
		Health:  &uaitypes.HealthCheck{Kind: "http", Port: "web", Path: "/healthz", IntervalSeconds: 10, TimeoutSeconds: 5, Retries: 3},
		Status:  uaitypes.IMAGE_STATUS_PUBLISHED, PublishedHeight: 1,
	})
}

func (b *bench) leaseSubject() string { return string(vault.LeaseSubject(b.tenant.String(), 1)) }

// save has a node take a real snapshot of a volume with one file, encrypted to the recipient on the chain.
func (b *bench) save(h *holder, lease string, sequence uint64, content string) {
	b.t.Helper()
	volume := b.t.TempDir()
	require.NoError(b.t, os.WriteFile(filepath.Join(volume, "rows"), []byte(content), 0o600))
	taker := &snapshot.Taker{Store: snapshot.Blobs(h.store), Dir: b.t.TempDir()}
	taken, err := taker.Take(b.t.Context(), snapshot.Request{
		Key: "placement", Lease: lease, Generation: 1, Recipient: b.market.KeyHolders(b.leaseSubject()).Recipient,
		Volumes: map[string]string{"data": volume}, Clock: func() uint64 { return tenanttest.NowMs },
	})
	require.NoError(b.t, err)
	b.market.Hold(string(taken.Root.Digest), h.as)
	b.market.AddSnapshot(leasetypes.Snapshot{
		Lease: leasetypes.LeaseID{Tenant: b.tenant.String(), Number: 1}, Sequence: sequence, Generation: 1, Node: h.as.Node,
		Digest: string(taken.Root.Digest), SizeBytes: taken.SizeBytes, TakenMs: tenanttest.NowMs - 720_000/sequence,
	})
}

func TestVolumesAreSavedAsDeployWasTold(t *testing.T) {
	b := newBench(t)
	b.database()
	ids, _ := b.keyNodes(3)
	said := b.run("deploy", "db:1", "--yes", "--snapshot-every", "1h", "--snapshot-keep", "5", "--key-holders", "2-of-3").ok()
	require.Contains(t, said.err, "shared among nodes")
	created := b.market.Created()[0]
	require.EqualValues(t, 3600, created.SnapshotEverySeconds)
	require.EqualValues(t, 5, created.SnapshotKeep)
	holders := b.market.KeyHolders(b.leaseSubject())
	require.EqualValues(t, 2, holders.Threshold)
	require.Len(t, holders.Shares, len(ids))
	require.Contains(t, b.run("ps").ok().out, "lease 1: no snapshot yet")
	require.Contains(t, b.run("inspect", "1").ok().out, "no snapshot yet")

	b.run("scale", "1", "--snapshot-every", "30m", "--yes").ok()
	b.run("update", "1", "--snapshot-every", "0", "--yes").ok()

	kept := b.run("snapshot", "key", "1", "--alone", "--yes").ok()
	require.Contains(t, kept.out, "yours alone")
	alone := b.market.KeyHolders(b.leaseSubject())
	require.Zero(t, alone.Threshold)
	require.Equal(t, holders.Recipient, alone.Recipient, "the key stays, so older snapshots open")
	require.Contains(t, b.run("snapshot", "key", "1", "--holders", "1-of-2", "--yes").ok().out, "1 of 2 nodes")
}

func TestDeployRefusesWhatCannotBeSaved(t *testing.T) {
	b := newBench(t)
	b.database()
	b.run("deploy", "hello:1", "--yes", "--snapshot-every", "1h").fails("no volumes that last")
	b.run("deploy", "db:1", "--yes", "--snapshot-every", "1s").fails("snapshot_every_seconds 1")
	b.run("deploy", "db:1", "--yes", "--snapshot-every", "1500ms").fails("whole seconds")
	b.run("deploy", "db:1", "--yes", "--snapshot-every", "1h", "--key-holders", "4-of-3").fails("1 to all of them")
	b.run("deploy", "db:1", "--yes", "--snapshot-every", "1h", "--key-holders", "many").fails("such as 2-of-3")
	b.run("deploy", "db:1", "--yes", "--snapshot-keep", "17").fails("snapshot_keep 17")
	b.run("deploy", "db:1", "--yes", "--snapshot-every", "1h").fails("too few nodes", "--keep-key")
	require.Empty(t, b.market.Created())

	require.Contains(t, b.run("deploy", "db:1", "--yes").ok().err, "are not saved: `isun snapshot key 1`")
	require.Contains(t, b.run("ps").ok().out, "lease 1: no snapshot: no key; run `isun snapshot key 1`")
	b.run("snapshot", "create", "1").fails("no key")
	b.run("snapshot", "key", "9", "--alone", "--yes").fails("not found")
}

func TestSnapshotsAreListedFetchedAndRestored(t *testing.T) {
	b := newBench(t)
	b.database()
	b.run("deploy", "db:1", "--yes", "--snapshot-every", "1h", "--keep-key").ok()
	h := addHolder(t, b.market, 8)
	lease := b.tenant.String() + "/1"
	b.save(h, lease, 1, "old rows")
	b.save(h, lease, 2, "new rows")
	h.requireNowhere(t, "rows")

	require.Contains(t, b.run("ps").ok().out, "lease 1: snapshot 6m ago")
	list := b.run("snapshot", "ls", "1").ok().out
	require.Regexp(t, `0 +1 +12m .*/1  -\n`, list)
	require.Regexp(t, `0 +2 +6m .*/1 +yes\n`, list)

	place := t.TempDir()
	b.run("snapshot", "get", "1", filepath.Join(place, "new")).ok()
	requireFile(t, filepath.Join(place, "new", "data", "rows"), "new rows")
	b.run("snapshot", "get", "1", filepath.Join(place, "old"), "--sequence", "1").ok()
	requireFile(t, filepath.Join(place, "old", "data", "rows"), "old rows")
	b.run("snapshot", "get", "1", filepath.Join(place, "old")).fails("not empty")
	b.run("snapshot", "get", "1", filepath.Join(place, "x"), "--sequence", "7").fails("has no snapshot 7")
	b.run("snapshot", "get", "1", filepath.Join(place, "x"), "--replica", "3").fails("no snapshot of replica 3")
	b.somebodyElse().run("snapshot", "get", lease, filepath.Join(place, "x")).fails("keyring of its tenant")

	b.run("snapshot", "restore", "1", "--sequence", "1").fails("say --yes")
	b.run("snapshot", "restore", "1", "--sequence", "1", "--yes").ok()
	require.Equal(t, &leasetypes.MsgRestoreSnapshot{Tenant: b.tenant.String(), Number: 1, Sequence: 1}, b.market.SnapshotMessages()[0])
	require.Regexp(t, `0 +1 +12m .*/1 +yes\n`, b.run("snapshot", "ls", "1").ok().out, "what was chosen")
	b.run("snapshot", "rm", "1").fails("--sequence")
	b.run("snapshot", "rm", "1", "--sequence", "1", "--yes").ok()
	require.NotRegexp(t, `0 +1 +12m`, b.run("snapshot", "ls", "1").ok().out)
}

func TestASnapshotOfAnotherLeaseIsNotWritten(t *testing.T) {
	b := newBench(t)
	b.database()
	b.run("deploy", "db:1", "--yes", "--keep-key").ok()
	h := addHolder(t, b.market, 8)
	b.save(h, b.tenant.String()+"/2", 1, "rows")
	place := t.TempDir()
	b.run("snapshot", "get", "1", filepath.Join(place, "out")).fails("not of replica 0 of " + b.tenant.String() + "/1")
	require.Empty(t, entries(t, place))
}

func TestCreateWaitsForASnapshotOfEachReplica(t *testing.T) {
	b := newBench(t)
	b.database()
	b.run("deploy", "db:1", "--yes", "--keep-key").ok()
	h := addHolder(t, b.market, 8)
	b.save(h, b.tenant.String()+"/1", 1, "before")
	require.Contains(t, b.run("snapshot", "create", "1").ok().out, "were asked")
	b.run("snapshot", "create", "1", "--wait", "--wait-timeout", "50ms").fails("waited 50ms")
	done := make(chan ran, 1)
	go func() { done <- b.run("snapshot", "create", "1", "--wait", "--output", "json") }()
	require.Eventually(t, func() bool { return len(b.market.SnapshotMessages()) == 3 }, waitLong, pollShort)
	b.save(h, b.tenant.String()+"/1", 2, "after")
	got := <-done
	require.Contains(t, got.ok().out, `"sequence": 2`)
	require.NotContains(t, got.out, `"sequence": 1`)
}

const (
	waitLong  = 20 * time.Second
	pollShort = 5 * time.Millisecond
)
