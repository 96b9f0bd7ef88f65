package localnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/cosmos/cosmos-sdk/client"
)

const (
	// stopTime is what a node gets to write its state down before it is killed.
	stopTime = 20 * time.Second
	// startTime is for a machine busy with other things; an idle one takes two seconds.
	startTime = 2 * time.Minute
	pollPause = 50 * time.Millisecond
	logTail   = 2 << 10
)

// process is a running node.
type process struct {
	node Node
	cmd  *exec.Cmd
	// ended is closed when the process is gone; exit then says how.
	ended chan struct{}
	exit  error
}

// launch starts a node as a child of this program, writing its log to a file.
func launch(program string, node Node) (*process, error) {
	log, err := os.OpenFile(node.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(program, "start", "--home", node.Home, "--log_no_color")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = childAttributes()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", node.Name, err)
	}
	p := &process{node: node, cmd: cmd, ended: make(chan struct{})}
	p.node.PID = cmd.Process.Pid
	go func() {
		p.exit = cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// stop asks the node to end, and kills it if it does not.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(stopTime):
	}
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-p.ended
	return fmt.Errorf("%s did not end within %s and was killed", p.node.Name, stopTime)
}

// failure explains why a node ended by itself, once it has.
func (p *process) failure() error {
	return fmt.Errorf("%s ended by itself (%v); the end of %s:\n%s", p.node.Name, p.exit, p.node.Log, tail(p.node.Log))
}

// await waits until the node has made a block since it was started and answers on every endpoint, or ends. Before that block
// a node that was restarted checks transactions as if they were of the genesis, with account number 0, and refuses them.
func (p *process) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	rpc, err := client.NewClientFromNode(p.node.RPC)
	if err != nil {
		return err
	}
	var first int64 // the height at which it was first seen
	ready := func() bool {
		status, err := rpc.Status(ctx)
		if err != nil || status.SyncInfo.LatestBlockHeight == 0 {
			return false
		}
		height := status.SyncInfo.LatestBlockHeight
		if first == 0 {
			first = height
		}
		return (height > first || height == 1) &&
			answers(ctx, p.node.GRPC) && answers(ctx, strings.TrimPrefix(p.node.API, "http://"))
	}
	ticker := time.NewTicker(pollPause)
	defer ticker.Stop()
	for !ready() {
		select {
		case <-ticker.C:
		case <-p.ended:
			return p.failure()
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return ctx.Err()
			}
			return fmt.Errorf("%s made no block within %s; the end of %s:\n%s", p.node.Name, startTime, p.node.Log, tail(p.node.Log))
		}
	}
	return nil
}

func answers(ctx context.Context, address string) bool {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	return conn.Close() == nil
}

// tail is the end of a file, as far as it can be read.
func tail(file string) string {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	if len(raw) > logTail {
		raw = raw[len(raw)-logTail:]
	}
	return string(raw)
}
