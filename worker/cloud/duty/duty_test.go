package duty

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
	"github.com/isuncoin/isuncoin/worker/cloud/peer"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

func TestAPushIsHeldAndKeptOnceItIsPublished(t *testing.T) {
	w := newWorld(t, 3, 3)
	tenant := newAddress()
	for _, m := range w.members {
		require.NoError(t, m.push(tenant, rootOne, treeSize))
		require.NoError(t, m.push(tenant, rootOne, treeSize), "asking again is harmless")
	}
	require.Len(t, w.holders(rootOne), 3, "before anything refers to it")
	w.refs[rootOne]++
	w.pass(24 * time.Hour)
	require.Len(t, w.holders(rootOne), 3)
}

func TestWhatNobodyPublishesIsDropped(t *testing.T) {
	w := newWorld(t, 1, 1)
	m := w.members[0]
	require.NoError(t, m.push(newAddress(), rootOne, treeSize))
	w.pass(59 * time.Minute)
	require.Len(t, w.holders(rootOne), 1)
	w.pass(2 * time.Minute)
	require.Empty(t, w.holders(rootOne))
	require.Empty(t, m.store.Roots())

	w.give(rootTwo, m)
	w.pass(3 * time.Hour)
	delete(w.refs, rootTwo) // its last object was removed
	m.restart()
	w.pass(30 * time.Minute)
	m.restart() // which begins the wait anew
	w.pass(59 * time.Minute)
	require.Len(t, w.holders(rootTwo), 1)
	w.pass(2 * time.Minute)
	require.Empty(t, m.store.Roots())
}

func TestAPushAnewBeginsTheHourAnew(t *testing.T) {
	w := newWorld(t, 1, 1)
	tenant := newAddress()
	require.NoError(t, w.members[0].push(tenant, rootOne, treeSize))
	w.pass(55 * time.Minute)
	require.NoError(t, w.members[0].push(tenant, rootOne, treeSize))
	w.pass(55 * time.Minute)
	require.Len(t, w.holders(rootOne), 1)
}

func TestLimitsOfWhatOthersMayStage(t *testing.T) {
	w := newWorld(t, 1, 1)
	m, tenant, other := w.members[0], newAddress(), newAddress()
	m.duty.Limits = Limits{Tree: 2 * treeSize, Staged: 3 * treeSize, StagedAll: 4 * treeSize, Transfers: 2}
	require.ErrorIs(t, m.push(tenant, digestNumber(9), 2*treeSize+1), cloud.ErrRefused, "too large")
	require.ErrorIs(t, m.push(tenant, digestNumber(9), treeSize-1), cloud.ErrRefused, "larger than announced")
	for n := range 3 {
		require.NoError(t, m.push(tenant, digestNumber(10+n), treeSize))
	}
	err := m.push(tenant, digestNumber(20), treeSize)
	require.ErrorIs(t, err, cloud.ErrRefused)
	require.ErrorContains(t, err, "wait to be published")
	require.NoError(t, m.push(tenant, digestNumber(10), treeSize), "again is not one more")
	require.NoError(t, m.push(other, digestNumber(21), treeSize), "another account has its own share")
	require.ErrorIs(t, m.push(other, digestNumber(22), treeSize), cloud.ErrFull, "but all together have one too")

	w.refs[digestNumber(10)]++
	w.pass(time.Minute)
	require.NoError(t, m.push(tenant, digestNumber(20), treeSize), "what is published is not staged any more")
	w.pass(2 * time.Hour)
	require.NoError(t, m.push(tenant, digestNumber(23), treeSize), "nor what was dropped")

	m.store.limit = 2 * treeSize
	require.ErrorIs(t, m.push(tenant, digestNumber(24), treeSize), cloud.ErrFull)
	require.NoError(t, m.push(tenant, digestNumber(23), treeSize), "what is here takes no room")
}

func TestTransfersAtOnceAreBounded(t *testing.T) {
	w := newWorld(t, 1, 1)
	m := w.members[0]
	m.duty.Limits.Transfers = 1
	inside, release := make(chan struct{}), make(chan struct{})
	m.duty.Fetch = func(context.Context, uai.Digest, []cloud.Source, func(done, total int64)) ([]cloud.Blob, error) {
		close(inside)
		<-release
		return nil, errGone
	}
	first := make(chan error, 1)
	go func() { first <- m.push(newAddress(), rootOne, treeSize) }()
	<-inside
	require.ErrorContains(t, m.push(newAddress(), rootTwo, treeSize), "try again later")
	close(release)
	require.ErrorIs(t, <-first, errGone)
	m.duty.Fetch = m.fetch
	require.NoError(t, m.push(newAddress(), rootTwo, treeSize), "a failed one frees its place")
}

func TestAHolderThatDisappearsIsReplaced(t *testing.T) {
	w := newWorld(t, 6, 3)
	w.give(rootOne, w.members[0], w.members[1], w.members[2])
	w.members[1].status(sunstypes.NODE_STATUS_UNRESPONSIVE)
	w.pass(5 * time.Minute)
	require.Len(t, w.holders(rootOne), 2, "it may come back")
	require.Zero(t, w.asked)
	w.pass(2 * time.Minute)
	require.Len(t, w.holders(rootOne), 3)
	require.Equal(t, 1, w.asked, "one holder asked one node")
	w.pass(24 * time.Hour)
	require.Equal(t, 1, w.asked)
}

func TestTheSecondHolderTakesOver(t *testing.T) {
	w := newWorld(t, 6, 3)
	w.give(rootOne, w.members[0], w.members[1], w.members[2])
	w.members[2].status(sunstypes.NODE_STATUS_UNRESPONSIVE)
	first := inOrder(rootOne, w.holders(rootOne))[0]
	first.duty.Chain = failing{first} // it runs, and does nothing
	w.pass(19 * time.Minute)
	require.Len(t, w.holders(rootOne), 2)
	w.pass(3 * time.Minute)
	require.Len(t, w.holders(rootOne), 3)
}

// failing is a chain that a node does not reach.
type failing struct{ Chain }

func (failing) References(context.Context, uai.Digest) (uint64, error) { return 0, errGone }

func TestFlappingNodesCostNothing(t *testing.T) {
	w := newWorld(t, 6, 3)
	w.give(rootOne, w.members[0], w.members[1], w.members[2])
	for range 100 {
		w.members[1].status(sunstypes.NODE_STATUS_UNRESPONSIVE)
		w.pass(4 * time.Minute)
		w.members[1].status(sunstypes.NODE_STATUS_ACTIVE)
		w.pass(2 * time.Minute)
	}
	require.Zero(t, w.asked)
	require.Len(t, w.holders(rootOne), 3)
}

func TestOtherOperatorsAreAskedFirst(t *testing.T) {
	for range 10 {
		w := newWorld(t, 0, 2)
		a := w.add(operator[0], 1)
		for n := range uint64(5) {
			w.add(operator[0], n+2)
		}
		b := w.add(newAddress(), 1)
		w.give(rootOne, a)
		w.pass(7 * time.Minute)
		require.Contains(t, w.holders(rootOne), b)
		require.Len(t, w.holders(rootOne), 2)
	}
}

func TestNobodyToAskIsNoHarm(t *testing.T) {
	w := newWorld(t, 2, 3)
	w.give(rootOne, w.members...)
	w.pass(2 * time.Hour)
	require.Zero(t, w.asked)
	require.Len(t, w.holders(rootOne), 2)
	w.add(newAddress(), 1).node.Addresses = nil
	w.add(newAddress(), 1).status(sunstypes.NODE_STATUS_DRAINING)
	w.pass(2 * time.Hour)
	require.Zero(t, w.asked, "neither serves others")
	w.add(newAddress(), 1)
	w.pass(2 * time.Hour)
	require.Len(t, w.holders(rootOne), 3, "one that comes later is found")
}

func TestNodesWithoutRoomAreLeftAlone(t *testing.T) {
	w := newWorld(t, 6, 3)
	w.give(rootOne, w.members[0], w.members[1])
	for _, m := range w.members[2:] {
		m.store.limit = treeSize - 1
	}
	w.pass(2 * time.Hour)
	require.Len(t, w.holders(rootOne), 2)
	require.LessOrEqual(t, w.asked, 2*4*5, "two holders, four nodes, half an hour between")
	w.members[4].store.limit = 0
	w.pass(time.Hour)
	require.Len(t, w.holders(rootOne), 3)
}

func TestTwoInvitationsAtOnce(t *testing.T) {
	w := newWorld(t, 6, 3)
	w.give(rootOne, w.members[0], w.members[1])
	var invites []Invite
	w.now = w.now.Add(time.Minute)
	for range 2 { // the first look sees that there are too few
		for _, m := range w.members[:2] {
			root, err := m.store.Root(rootOne)
			require.NoError(t, err)
			invite, err := m.duty.Check(t.Context(), root)
			require.NoError(t, err)
			if invite != nil {
				invites = append(invites, invite)
			}
		}
		w.now = w.now.Add(time.Hour)
	}
	require.Len(t, invites, 2, "both waited long enough")
	var both sync.WaitGroup
	for _, invite := range invites {
		both.Go(func() {
			if err := invite(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	n := len(w.holders(rootOne))
	require.True(t, n == 3 || n == 4, "%d holders", n)
	w.pass(8 * time.Hour)
	require.Len(t, w.holders(rootOne), 3)
}

func TestTooManyHoldersGoOneByOneAndNeverBelowR(t *testing.T) {
	w := newWorld(t, 6, 2)
	w.give(rootOne, w.members...)
	w.pass(6 * time.Hour)
	require.Len(t, w.holders(rootOne), 6, "in no hurry")
	before := 6
	for range 40 {
		w.pass(time.Hour)
		now := len(w.holders(rootOne))
		require.LessOrEqual(t, before-now, 1)
		require.GreaterOrEqual(t, now, 2)
		before = now
	}
	require.Equal(t, 2, before)
}

func TestADrainingHolderIsNotCountedOn(t *testing.T) {
	w := newWorld(t, 3, 2)
	w.give(rootOne, w.members...)
	w.members[0].status(sunstypes.NODE_STATUS_DRAINING)
	w.pass(24 * time.Hour)
	require.Len(t, w.holders(rootOne), 3, "two others stay when it leaves")
}

func TestARetiringNodeHandsOverFirst(t *testing.T) {
	w := newWorld(t, 5, 2)
	leaver := w.members[0]
	w.give(rootOne, leaver, w.members[1])
	w.give(rootTwo, leaver)
	var told []int
	require.NoError(t, leaver.duty.HandOver(t.Context(), func(done, _ int) { told = append(told, done) }))
	require.Equal(t, []int{1, 2}, told)
	require.ErrorContains(t, leaver.push(newAddress(), digestNumber(9), treeSize), "retires")
	leaver.status(sunstypes.NODE_STATUS_RETIRED)
	require.Len(t, w.holders(rootOne), 2)
	require.Len(t, w.holders(rootTwo), 2)
	w.pass(24 * time.Hour)
	require.Len(t, w.holders(rootOne), 2)
}

func TestARetiringNodeSaysWhatHasNoOtherHome(t *testing.T) {
	w := newWorld(t, 2, 2)
	w.give(rootOne, w.members[0])
	err := w.members[0].duty.HandOver(t.Context(), nil)
	require.ErrorIs(t, err, ErrNoCandidate)
	require.ErrorContains(t, err, "1 of 1 roots")
	w.add(newAddress(), 1)
	w.now = w.now.Add(2 * time.Hour)
	require.NoError(t, w.members[0].duty.HandOver(t.Context(), nil))
	require.Len(t, w.holders(rootOne), 3)
}

func TestAReplicaIsTakenOnlyWhereItIsNeeded(t *testing.T) {
	w := newWorld(t, 3, 1)
	asker, node := w.members[0], w.members[1]
	hold := func(root uai.Digest) error {
		return asker.Hold(t.Context(), node.node.contact(), peer.HoldRequest{Root: root, Size: treeSize, Purpose: peer.PurposeReplica}, nil)
	}
	require.ErrorContains(t, hold(rootOne), "does not refer to it")
	w.give(rootOne, asker, w.members[2])
	require.ErrorContains(t, hold(rootOne), "enough nodes hold it")
	w.give(rootTwo, asker)
	require.NoError(t, hold(rootTwo), "the asker may be about to leave")
}

func TestWhatIsAnnouncedIsPinnedWhateverFails(t *testing.T) {
	w := newWorld(t, 1, 1)
	m := w.members[0]
	w.broken = errors.New("chain is down")
	require.ErrorIs(t, m.push(newAddress(), rootOne, treeSize), w.broken)
	m.store.evict()
	require.Len(t, m.store.Roots(), 1, "the message may have been taken")
	w.broken = nil
	w.refs[rootOne]++
	w.pass(2 * time.Minute)
	require.Len(t, w.holders(rootOne), 1, "announced when its turn comes")

	delete(w.refs, rootOne)
	w.pass(time.Minute)
	w.broken = errors.New("chain is down")
	w.pass(3 * time.Hour)
	require.Len(t, m.store.Roots(), 1, "kept while it cannot be dropped on chain")
	w.broken = nil
	w.pass(time.Minute)
	require.Empty(t, m.store.Roots())
}

func TestAPullAlsoTakesFromHolders(t *testing.T) {
	w := newWorld(t, 3, 3)
	w.give(rootOne, w.members[0])
	var names []string
	m := w.members[1]
	m.duty.Fetch = func(ctx context.Context, root uai.Digest, sources []cloud.Source, progress func(done, total int64)) ([]cloud.Blob, error) {
		for _, s := range sources {
			names = append(names, s.Name())
		}
		return m.fetch(ctx, root, sources, progress)
	}
	tenant := newAddress()
	require.NoError(t, m.push(tenant, rootOne, treeSize))
	require.Equal(t, []string{tenant, w.members[0].node.Agent}, names)
}

func TestManyNodesSettle(t *testing.T) {
	w := newWorld(t, 40, 3)
	w.step = 5 * time.Minute
	const roots = 60
	for i := range roots {
		w.give(digestNumber(100+i), w.members[i%40])
	}
	settled := func() {
		for i := range roots {
			require.GreaterOrEqual(t, len(w.holders(digestNumber(100+i))), 3)
		}
	}
	w.pass(30 * time.Minute)
	settled()
	for i := range 10 { // every fourth node goes away; all at once they could take all three holders of a root along
		w.members[4*i].status(sunstypes.NODE_STATUS_UNRESPONSIVE)
		w.pass(time.Hour)
		settled()
	}
	for i := range 10 { // and comes back
		w.members[4*i].status(sunstypes.NODE_STATUS_ACTIVE)
	}
	w.pass(48 * time.Hour)
	for i := range roots {
		require.Len(t, w.holders(digestNumber(100+i)), 3)
	}
	most := 0
	for _, m := range w.members {
		most = max(most, len(m.store.Roots()))
	}
	// Rendezvous hashing throws dice: of 40 nodes with 4.5 places in the mean, one has 12 every tenth time, and 20 once in 10^5.
	require.Less(t, most, 20, "180 places on 40 nodes are spread")
}

func TestRunLooksAtOneRootAfterTheOtherAndEnds(t *testing.T) {
	w := newWorld(t, 4, 3)
	w.give(rootOne, w.members[0])
	w.give(rootTwo, w.members[0])
	m := w.members[0]
	m.duty.Pace.Gap, m.duty.Pace.Cycle, m.duty.Pace.Short = time.Millisecond, time.Millisecond, 0
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.duty.Run(ctx) }()
	require.Eventually(t, func() bool { return len(w.holders(rootOne)) == 3 && len(w.holders(rootTwo)) == 3 }, 10*time.Second, time.Millisecond)
	cancel()
	require.NoError(t, <-ended)
	m.duty.Pace = DefaultPace()
	require.Equal(t, 150*time.Second, m.duty.gap(), "two roots in five minutes")
}
