package agent

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/isuncoin/isuncoin/worker/runtime"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
)

func TestABlockHasTheChainLookedAtAtOnce(t *testing.T) {
	m := newMachine(t)
	blocks := make(chan int64)
	m.change = func(o *Options) {
		o.PollEvery = time.Hour
		o.Blocks = func(ctx context.Context) (<-chan int64, error) { return blocks, nil }
	}
	t.Cleanup(func() { close(blocks) })
	m.start()
	m.chain.place(one)
	block := func() {
		select {
		case blocks <- 7:
		default: // the last one is being heeded
		}
	}
	m.eventually("runs", func() bool {
		block()
		return m.container(one) == runtime.StatusRunning
	})
	m.eventually("is reported", func() bool {
		block()
		return m.chain.status(one) == leasetypes.PLACEMENT_STATUS_RUNNING
	})
}

func TestWithoutNewsOfBlocksTheChainIsAskedAllTheSame(t *testing.T) {
	m := newMachine(t)
	m.change = func(o *Options) {
		o.Blocks = func(context.Context) (<-chan int64, error) { return nil, errors.New("no websocket") }
	}
	m.start()
	m.chain.place(one)
	m.eventually("runs", func() bool { return m.container(one) == runtime.StatusRunning })
}
