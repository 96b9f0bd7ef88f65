package peer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/uai"
	"github.com/isuncoin/isuncoin/worker/cloud"
)

func pushOf(content []byte) HoldRequest {
	return HoldRequest{Root: digestOf(content), Size: int64(len(content)), Purpose: PurposePush}
}

func TestANodePullsWhatItIsAskedToHold(t *testing.T) {
	held := content(8 * piece)
	node, tenant := newPeer(t, nil), newTenant(t, newShelf(held))
	pulled := make(chan []byte, 1)
	node.HandleHold(func(ctx context.Context, from From, r HoldRequest, progress func(Progress)) error {
		require.Equal(t, tenant.Address(), from.Address)
		require.Equal(t, pushOf(held), r)
		require.Equal(t, tenant.Address(), from.Source.Name())
		progress(Progress{Done: 1, Total: r.Size})
		got, err := readAll(ctx, from.Source, r.Root)
		pulled <- got
		progress(Progress{Done: r.Size, Total: r.Size})
		return err
	})
	for range 2 { // asking again is harmless
		var told []Progress
		require.NoError(t, tenant.Hold(t.Context(), contactOf(node), pushOf(held), func(p Progress) { told = append(told, p) }))
		require.True(t, bytes.Equal(held, <-pulled), "from a peer that listens nowhere")
		require.True(t, slices.IsSortedFunc(told, func(a, b Progress) int { return int(a.Done - b.Done) }))
	}
}

func TestProgressFlowsWhileTheNodeWorks(t *testing.T) {
	node, tenant := newPeer(t, nil), newTenant(t, newShelf())
	heard := make(chan Progress, 100)
	node.HandleHold(func(_ context.Context, _ From, _ HoldRequest, progress func(Progress)) error {
		progress(Progress{Done: 5, Total: 10})
		<-heard // the first word, and then one that says that it still works
		<-heard
		for i := range int64(100_000) { // more than anybody wants to hear
			progress(Progress{Done: i, Total: 100_000})
		}
		return nil
	})
	require.NoError(t, tenant.Hold(t.Context(), contactOf(node), pushOf(nil).sized(10), func(p Progress) { heard <- p }))
	require.Less(t, len(heard), 50)
}

func (r HoldRequest) sized(n int64) HoldRequest { r.Size = n; return r }

func TestANodeSaysWhyItDoesNotHold(t *testing.T) {
	for name, tc := range map[string]struct{ err, want error }{
		"refused": {fmt.Errorf("%w: over your quota of 10 GB", cloud.ErrRefused), cloud.ErrRefused},
		"full":    {fmt.Errorf("/secret/folder: %w", cloud.ErrFull), cloud.ErrFull},
		"broken":  {errors.New("open /secret/folder: permission denied"), errors.ErrUnsupported},
	} {
		t.Run(name, func(t *testing.T) {
			node, tenant := newPeer(t, nil), newTenant(t, newShelf())
			node.HandleHold(func(context.Context, From, HoldRequest, func(Progress)) error { return tc.err })
			err := tenant.Hold(t.Context(), contactOf(node), pushOf(nil).sized(1), nil)
			require.Error(t, err)
			require.NotContains(t, err.Error(), "secret", "what is wrong inside is nobody else's")
			if !errors.Is(tc.want, errors.ErrUnsupported) {
				require.ErrorIs(t, err, tc.want)
			}
		})
	}
}

func TestTheAuthorityDecidesWhoMayAsk(t *testing.T) {
	c := localConfig(nil)
	friend := newTenant(t, newShelf())
	c.Authority = func(_ context.Context, from From, _ HoldRequest) error {
		if from.Address != friend.Address() {
			return fmt.Errorf("%w: no such account on the chain", cloud.ErrRefused)
		}
		return nil
	}
	node := startHost(t, c, hurried())
	node.HandleHold(func(context.Context, From, HoldRequest, func(Progress)) error { return nil })
	require.NoError(t, friend.Hold(t.Context(), contactOf(node), pushOf(nil).sized(1), nil))
	err := newTenant(t, newShelf()).Hold(t.Context(), contactOf(node), pushOf(nil).sized(1), nil)
	require.ErrorIs(t, err, cloud.ErrRefused)
	require.ErrorContains(t, err, "no such account")
}

func TestAHoldEndsWhenTheAskerGoesAway(t *testing.T) {
	for name, leave := range map[string]func(*Host, context.CancelFunc){
		"by giving up": func(_ *Host, cancel context.CancelFunc) { cancel() },
		"by vanishing": func(h *Host, _ context.CancelFunc) { _ = h.host.Network().Close() },
	} {
		t.Run(name, func(t *testing.T) {
			node, tenant := newPeer(t, nil), newTenant(t, newShelf())
			began, ended := make(chan struct{}), make(chan error, 1)
			node.HandleHold(func(ctx context.Context, _ From, _ HoldRequest, _ func(Progress)) error {
				close(began)
				<-ctx.Done()
				ended <- ctx.Err()
				return ctx.Err()
			})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			asked := make(chan error, 1)
			go func() { asked <- tenant.Hold(ctx, contactOf(node), pushOf(nil).sized(1), nil) }()
			<-began
			leave(tenant, cancel)
			require.Error(t, <-asked)
			require.ErrorIs(t, <-ended, context.Canceled)
		})
	}
}

func TestAHoldFailsWhenTheNodeGoesAway(t *testing.T) {
	node, tenant := startHost(t, localConfig(nil), hurried()), newTenant(t, newShelf())
	began := make(chan struct{})
	node.HandleHold(func(ctx context.Context, _ From, _ HoldRequest, _ func(Progress)) error {
		close(began)
		<-ctx.Done()
		return ctx.Err()
	})
	asked := make(chan error, 1)
	go func() { asked <- tenant.Hold(t.Context(), contactOf(node), pushOf(nil).sized(1), nil) }()
	<-began
	require.NoError(t, node.Close())
	require.Error(t, <-asked)
}

func TestHostileHoldRequestsAreRefused(t *testing.T) {
	node, from := newPeer(t, nil), newTenant(t, newShelf())
	var calls atomic.Int32
	node.HandleHold(func(context.Context, From, HoldRequest, func(Progress)) error { calls.Add(1); return nil })
	d := string(digestOf(nil))
	for name, body := range map[string]string{
		"an oversized header": "\x7f\xff\xff\xff",
		"an unknown field":    message(`{"root":"` + d + `","size":1,"purpose":"push","priority":9}`),
		"no root":             message(`{"size":1,"purpose":"push"}`),
		"a path as root":      message(`{"root":"sha256:../../etc/passwd","size":1,"purpose":"push"}`),
		"a negative size":     message(`{"root":"` + d + `","size":-1,"purpose":"push"}`),
		"no size":             message(`{"root":"` + d + `","purpose":"push"}`),
		"an unknown purpose":  message(`{"root":"` + d + `","size":1,"purpose":"mine"}`),
	} {
		t.Run(name, func(t *testing.T) {
			s := rawStream(t, from, node, protocolHold)
			_, err := s.Write([]byte(body))
			require.NoError(t, err)
			var w word
			require.NoError(t, s.SetReadDeadline(time.Now().Add(waitLong)))
			if err := readMessage(s, &w); err == nil {
				require.NotEmpty(t, w.Error)
			}
			_ = s.Reset()
		})
	}
	require.Zero(t, calls.Load())
	require.Error(t, from.Hold(t.Context(), contactOf(node), HoldRequest{Root: "x"}, nil), "nor is one sent")
	require.ErrorContains(t, newTenant(t, nil).Hold(t.Context(), contactOf(node), pushOf(nil), nil), "serves nothing")
}

func TestAFloodOfHoldRequestsIsBounded(t *testing.T) {
	node, flooder, other := newPeer(t, nil), newTenant(t, newShelf()), newTenant(t, newShelf())
	var running, most atomic.Int32
	release := make(chan struct{})
	node.HandleHold(func(ctx context.Context, from From, _ HoldRequest, _ func(Progress)) error {
		if from.Address == other.Address() {
			return nil
		}
		most.Store(max(most.Load(), running.Add(1)))
		defer running.Add(-1)
		select {
		case <-release:
		case <-ctx.Done():
		}
		return nil
	})
	const asks = 8 * holdsEach
	results := make(chan error, asks)
	for range asks {
		go func() { results <- flooder.Hold(t.Context(), contactOf(node), pushOf(nil).sized(1), nil) }()
	}
	for range asks - holdsEach {
		require.ErrorIs(t, <-results, cloud.ErrRefused)
	}
	require.NoError(t, other.Hold(t.Context(), contactOf(node), pushOf(nil).sized(1), nil), "others are served")
	close(release)
	for range holdsEach {
		require.NoError(t, <-results)
	}
	require.LessOrEqual(t, most.Load(), int32(holdsEach))
}

func TestHostileWordsOfANodeAreNotBelieved(t *testing.T) {
	for name, tc := range map[string]struct {
		send func(network.Stream)
		want error
	}{
		"endless progress": {func(s network.Stream) { endless(s, message(`{"progress":{"done":1,"total":2}}`)) }, cloud.ErrLied},
		"empty words":      {func(s network.Stream) { endless(s, message(`{}`)) }, cloud.ErrLied},
		"negative progress": {func(s network.Stream) {
			_, _ = io.WriteString(s, message(`{"progress":{"done":-1,"total":2}}`))
		}, cloud.ErrLied},
		"an unknown field":    {func(s network.Stream) { _, _ = io.WriteString(s, message(`{"held":true,"fee":"1isun"}`)) }, errMalformed},
		"garbage at the end":  {func(s network.Stream) { endless(s, message(`{"held":true}`)) }, cloud.ErrLied},
		"an oversized header": {func(s network.Stream) { endless(s, "\xff") }, errMalformed},
		"nothing":             {func(network.Stream) {}, io.ErrUnexpectedEOF},
	} {
		t.Run(name, func(t *testing.T) {
			node := hostile(t, func(s network.Stream) { tc.send(s); _ = s.Close() })
			err := newTenant(t, newShelf()).Hold(t.Context(), contactOf(node), pushOf(nil).sized(1), nil)
			require.ErrorIs(t, err, tc.want)
		})
	}
	silent := hostile(t, func(s network.Stream) { _, _ = io.Copy(io.Discard, s) })
	began := time.Now()
	require.Error(t, newTenant(t, newShelf()).Hold(t.Context(), contactOf(silent), pushOf(nil).sized(1), nil))
	require.Less(t, time.Since(began), 5*time.Second, "a node that says nothing is given up")
}

func TestAShareGoesToWhoMayHaveIt(t *testing.T) {
	holder, placed, other := newPeer(t, nil), newTenant(t, nil), newTenant(t, nil)
	ask := KeyRequest{Subject: "lease/isun1tenant/7"}
	holder.HandleKey(func(_ context.Context, from From, r KeyRequest) ([]byte, error) {
		require.Equal(t, ask, r)
		if from.Address != placed.Address() {
			return nil, fmt.Errorf("%w: the lease is placed elsewhere", cloud.ErrRefused)
		}
		return []byte("share"), nil
	})
	share, err := placed.Key(t.Context(), contactOf(holder), ask)
	require.NoError(t, err)
	require.Equal(t, "share", string(share))
	_, err = other.Key(t.Context(), contactOf(holder), ask)
	require.ErrorIs(t, err, cloud.ErrRefused)
	require.ErrorContains(t, err, "placed elsewhere")
	for _, bad := range []KeyRequest{
		{}, {Subject: "lease/a/\x1b[2J"}, {Subject: strings.Repeat("x", 300)},
	} {
		_, err = placed.Key(t.Context(), contactOf(holder), bad)
		require.ErrorIs(t, err, errMalformed)
		s := rawStream(t, placed, holder, protocolKey)
		require.NoError(t, writeMessage(s, bad))
		var out release
		require.NoError(t, readMessage(s, &out))
		require.Equal(t, codeRefused, out.Error, "the holder does not rely on the asker for that")
		_ = s.Reset()
	}
}

func TestHostileSharesAreRefused(t *testing.T) {
	for name, send := range map[string]string{
		"too long": message(`{"share":"` + strings.Repeat("AAAA", maxShare/3+1) + `"}`), "none": message(`{}`),
		"no base64": message(`{"share":"!"}`), "garbage after it": message(`{"share":"AAAA"}`) + "x", "nothing": "",
	} {
		t.Run(name, func(t *testing.T) {
			h := hostile(t, func(s network.Stream) { _, _ = io.WriteString(s, send); _ = s.Close() })
			_, err := newTenant(t, nil).Key(t.Context(), contactOf(h), KeyRequest{Subject: "image/a/b:c"})
			require.Error(t, err)
		})
	}
}

func TestAHoldLeavesNothingBehind(t *testing.T) {
	held := content(4 * piece)
	node, tenant := newPeer(t, nil), newTenant(t, newShelf(held))
	node.HandleHold(func(ctx context.Context, from From, r HoldRequest, _ func(Progress)) error {
		_, err := from.Source.Stat(ctx, []uai.Digest{r.Root})
		return err
	})
	ask := func() { require.NoError(t, tenant.Hold(t.Context(), contactOf(node), pushOf(held), nil)) }
	ask() // the connection stays
	requireNoLeak(t, func() {
		for range 20 {
			ask()
		}
	})
}
