package sender

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/stretchr/testify/require"

	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// chain records transactions; its gate holds each until it is opened.
type chain struct {
	mu   sync.Mutex
	txs  [][]string
	bad  string
	err  error
	gate chan struct{}
	// entered tells that a transaction has begun.
	entered chan struct{}
}

func gated(bad string) *chain {
	return &chain{gate: make(chan struct{}), entered: make(chan struct{}, 16), bad: bad}
}

func (c *chain) Broadcast(_ context.Context, msgs []sdk.Msg) error {
	if c.gate != nil {
		c.entered <- struct{}{}
		<-c.gate
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []string
	var err error
	for _, m := range msgs {
		name := m.(*sunstypes.MsgCheckIn).Agent
		names = append(names, name)
		if name == c.bad {
			err = fmt.Errorf("%w: %s", ErrRefused, name)
		}
	}
	c.txs = append(c.txs, names)
	return errors.Join(err, c.err)
}

const (
	patience = 10 * time.Second
	tick     = time.Millisecond
)

func msg(name string) sdk.Msg { return &sunstypes.MsgCheckIn{Agent: name} }

func started(t *testing.T, c *chain) *Sender {
	t.Helper()
	s := New(c, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = s.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	return s
}

// sendAll queues names while the first transaction is held, and returns each
// one's error.
func sendAll(t *testing.T, s *Sender, c *chain, names ...string) map[string]error {
	t.Helper()
	var mu sync.Mutex
	var wait sync.WaitGroup
	errs := map[string]error{}
	for _, name := range names {
		queued := len(s.queue)
		wait.Add(1)
		go func() {
			defer wait.Done()
			err := s.Send(context.Background(), msg(name))
			mu.Lock()
			defer mu.Unlock()
			errs[name] = err
		}()
		if name == names[0] {
			<-c.entered
			continue
		}
		require.Eventually(t, func() bool { return len(s.queue) > queued }, patience, tick)
	}
	close(c.gate)
	wait.Wait()
	return errs
}

func TestWhatGathersGoesTogether(t *testing.T) {
	c := gated("")
	s := started(t, c)
	errs := sendAll(t, s, c, "a", "b", "c", "d")
	for name, err := range errs {
		require.NoError(t, err, name)
	}
	require.Equal(t, [][]string{{"a"}, {"b", "c", "d"}}, c.txs, "b, c and d gathered while a waited")
}

func TestOneAtFaultFailsAlone(t *testing.T) {
	c := gated("c")
	s := started(t, c)
	errs := sendAll(t, s, c, "a", "b", "c", "d")
	require.NoError(t, errs["a"])
	require.NoError(t, errs["b"])
	require.ErrorIs(t, errs["c"], ErrRefused)
	require.NoError(t, errs["d"])
}

func TestUnreachableFailsAllOnce(t *testing.T) {
	lost := errors.New("no node answers")
	c := &chain{err: lost}
	s := started(t, c)
	require.ErrorIs(t, s.Send(context.Background(), msg("a")), lost)
	require.Len(t, c.txs, 1, "whether to try again is the caller's to say")
}

func TestSendEndsWithItsContext(t *testing.T) {
	c := &chain{}
	s := New(c, slog.New(slog.DiscardHandler)) // not running
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, s.Send(ctx, msg("a")), context.Canceled)
	require.Error(t, s.Send(ctx))
	g := group{ctx: ctx, msgs: []sdk.Msg{msg("a")}, done: make(chan error, 1)}
	s.send(context.Background(), []group{g})
	require.ErrorIs(t, <-g.done, context.Canceled)
	require.Empty(t, c.txs, "nobody waits for it any more")
}
