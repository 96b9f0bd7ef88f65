package stack

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"
)

// Worker is a hardware owner's isun-worker, with a home of its own.
type Worker struct {
	Name     string
	Operator string
	Home     string
	// Node is the node's id, operator/number.
	Node      string
	MilliSuns uint64

	stack   *Stack
	process *Process
}

// portRange divides the ports between the workers of a stack.
const portRange = 200

// cloudLimit is ample for what tests push, and leaves a small disk its room.
const cloudLimit = "2GiB"

// reserveDiskMiB is what a worker leaves of the disk. What runs in tests
// writes next to nothing, so a nearly full disk has to do.
const reserveDiskMiB = "2048"

// JoinOptions say how a worker joins.
type JoinOptions struct {
	Name string
	// Operator is the name of the account that registers the node.
	Operator string
	// Offer is the share of the machine, such as "50%".
	Offer string
	// AskPrice is in uisc per SUNS-hour.
	AskPrice string
	// Layouts are the folders the worker takes images from.
	Layouts []string
	// Plugins are executables that know the machine's accelerators.
	Plugins []string
	// Measuring is the address at which others may measure their line; empty is none.
	Measuring string
}

// joined is what `isun-worker join --output json` prints.
type joined struct {
	Node      string `json:"node"`
	MilliSuns uint64 `json:"milli_suns"`
}

// Join makes a worker's home and registers this machine with it.
func (s *Stack) Join(ctx context.Context, o JoinOptions) (*Worker, error) {
	w := &Worker{Name: o.Name, Operator: o.Operator, Home: filepath.Join(s.Dir, o.Name), stack: s}
	init := []string{"init", "--home", w.Home, "--chain-id", s.Chain.ChainID, "--endpoint", s.Chain.RPC}
	// Workers of one machine publish at ports of their own.
	first := s.FirstPort + portRange*s.workers
	s.workers++
	init = append(init, "--cloud-listen", "/ip4/127.0.0.1/tcp/0", "--cloud-limit", cloudLimit)
	init = append(init, "--reserve-disk", reserveDiskMiB)
	init = append(init, "--port-first", fmt.Sprint(first), "--port-last", fmt.Sprint(first+portRange-1))
	if s.DockerHost != "" {
		init = append(init, "--docker-host", s.DockerHost)
	}
	for _, layout := range o.Layouts {
		init = append(init, "--layout", layout)
	}
	if o.Measuring != "" {
		init = append(init, "--measuring", o.Measuring)
	}
	for _, plugin := range o.Plugins {
		init = append(init, "--plugin", plugin)
	}
	if _, err := s.Run(ctx, "isun-worker", init...); err != nil {
		return nil, err
	}
	join := []string{
		"join", "--home", w.Home, "--operator-key", o.Operator, "--operator-home", s.Chain.Home,
		"--keyring-backend", s.Chain.KeyringBackend, "--offer", o.Offer, "--price", o.AskPrice + "uisc", "--country", "TW",
		"--moniker", o.Name, "--yes", "--quick",
	}
	var answer joined
	if err := s.JSON(ctx, &answer, "isun-worker", join...); err != nil {
		return nil, err
	}
	w.Node, w.MilliSuns = answer.Node, answer.MilliSuns
	return w, nil
}

// Start runs the worker in the background.
func (w *Worker) Start() error {
	process, err := start(w.Name, w.log(), w.stack.Program("isun-worker"), []string{"start", "--home", w.Home}, nil)
	if err != nil {
		return err
	}
	w.process = process
	w.stack.logged(process)
	w.stack.processes = append(w.stack.processes, process)
	return nil
}

func (w *Worker) log() string { return filepath.Join(w.stack.Dir, w.Name+".log") }

// Kill ends the worker with SIGKILL.
func (w *Worker) Kill() error {
	if w.process == nil {
		return errors.New(w.Name + " was not started")
	}
	return w.process.Kill()
}

// Stop ends the worker cleanly.
func (w *Worker) Stop() error {
	if w.process == nil {
		return errors.New(w.Name + " was not started")
	}
	return w.process.Stop()
}

// Wait waits until the worker has ended by itself, and gives its exit code.
func (w *Worker) Wait(limit time.Duration) (int, error) {
	if w.process == nil {
		return 0, errors.New(w.Name + " was not started")
	}
	return w.process.Wait(limit)
}

// Run runs a command of the worker's program in its home.
func (w *Worker) Run(ctx context.Context, args ...string) ([]byte, error) {
	return w.stack.Run(ctx, "isun-worker", append(args, "--home", w.Home)...)
}

// JSON runs a command of the worker's program in its home and decodes what it prints.
func (w *Worker) JSON(ctx context.Context, into any, args ...string) error {
	return w.stack.JSON(ctx, into, "isun-worker", append(args, "--home", w.Home)...)
}

// Log is the end of the worker's log.
func (w *Worker) Log() string { return Tail(w.log()) }

// KeyFlags name the operator's key to worker commands that it signs.
func (w *Worker) KeyFlags() []string {
	return []string{
		"--operator-key", w.Operator, "--operator-home", w.stack.Chain.Home, "--keyring-backend", w.stack.Chain.KeyringBackend,
	}
}

// OperatorFlags are KeyFlags for a command that is not to ask.
func (w *Worker) OperatorFlags() []string { return append(w.KeyFlags(), "--yes") }

// PIDs are the processes of the stack that run, the chain last: the order to end them in.
func (s *Stack) PIDs() []int {
	var pids []int
	for _, process := range slices.Backward(s.processes) {
		if process.Running() {
			pids = append(pids, process.PID())
		}
	}
	return pids
}

// Logs are the log files of all processes that were started.
func (s *Stack) Logs() []string { return s.logs }
