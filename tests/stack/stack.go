package stack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Stack is a chain with its workers in one folder.
type Stack struct {
	// Dir holds all homes and logs.
	Dir string
	// Bin holds isunchaind, isun-worker and isun.
	Bin   string
	Chain Chain
	// FirstPort is where the ports begin at which workers publish what tenants run.
	FirstPort int
	// DockerHost is the engine that workers use; empty is the machine's.
	DockerHost string

	// chain is one of processes, the first.
	chain     *Process
	processes []*Process
	// logs are the files all processes wrote to, those of ended ones too.
	logs    []string
	workers int
}

// Chain says where a local chain is reached, as `isunchaind localnet --output json` prints it.
type Chain struct {
	Home           string            `json:"home"`
	ChainID        string            `json:"chain_id"`
	RPC            string            `json:"rpc"`
	GRPC           string            `json:"grpc"`
	API            string            `json:"api"`
	KeyringBackend string            `json:"keyring_backend"`
	Accounts       map[string]string `json:"accounts"`
}

// Start sets up a new chain in dir and runs it. More flags of `isunchaind localnet` may be given.
func Start(dir, bin string, more ...string) (*Stack, error) {
	s := &Stack{Dir: dir, Bin: bin, FirstPort: 30_000}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	args := append([]string{"localnet", "--home", filepath.Join(dir, "chain"), "--reset", "--free-ports", "--output", "json"}, more...)
	return s, s.startChain(args)
}

func (s *Stack) startChain(args []string) error {
	var first string
	process, err := start("isunchaind localnet", filepath.Join(s.Dir, "chain.log"), s.Program("isunchaind"), args, &first)
	if process != nil {
		s.setChain(process)
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(first), &s.Chain); err != nil {
		return fmt.Errorf("read what localnet printed (%q): %w", first, err)
	}
	return nil
}

// StopChain stops the chain and leaves its data; workers run on.
func (s *Stack) StopChain() error {
	err := s.chain.Stop()
	s.processes = slices.DeleteFunc(s.processes, func(p *Process) bool { return p == s.chain })
	return err
}

// StartChain runs a chain again that was stopped, from its data and on the same ports.
func (s *Stack) StartChain() error {
	return s.startChain([]string{"localnet", "--home", filepath.Join(s.Dir, "chain"), "--output", "json"})
}

// StartNode runs a validator from another home in place of the chain. It has to answer at the same address.
func (s *Stack) StartNode(home string) error {
	process, err := start("isunchaind start", s.chain.Log, s.Program("isunchaind"), []string{"start", "--home", home, "--log_no_color"}, nil)
	if err != nil {
		return err
	}
	s.setChain(process)
	return nil
}

// setChain puts the chain's process first, so that it is stopped last.
func (s *Stack) setChain(process *Process) {
	s.chain = process
	s.logged(process)
	s.processes = append([]*Process{process}, s.processes...)
}

// logged remembers where a process writes to.
func (s *Stack) logged(process *Process) {
	if !slices.Contains(s.logs, process.Log) {
		s.logs = append(s.logs, process.Log)
	}
}

// Stop ends everything that was started, the chain last.
func (s *Stack) Stop() error {
	var errs []error
	for _, process := range slices.Backward(s.processes) {
		errs = append(errs, process.Stop())
	}
	s.processes = nil
	return errors.Join(errs...)
}

// Program is the path of one of our programs.
func (s *Stack) Program(name string) string { return filepath.Join(s.Bin, name) }

// Run runs one of our programs to its end.
func (s *Stack) Run(ctx context.Context, program string, args ...string) ([]byte, error) {
	return run(ctx, s.Program(program), args...)
}

// JSON runs one of our programs with --output json and decodes what it prints.
func (s *Stack) JSON(ctx context.Context, into any, program string, args ...string) error {
	args = append(args, "--output", "json")
	out, err := s.Run(ctx, program, args...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(out, into); err != nil {
		return fmt.Errorf("%s %v printed what is not JSON: %w\n%s", program, args, err, out)
	}
	return nil
}

// Isun runs a command of the tenants' client as the account from, and decodes its JSON into a value unless that is nil.
func (s *Stack) Isun(ctx context.Context, from string, into any, args ...string) error {
	args = append(args, s.IsunFlags(from)...)
	if into == nil {
		_, err := s.Run(ctx, "isun", args...)
		return err
	}
	return s.JSON(ctx, into, "isun", args...)
}

// IsunText runs a command of the tenants' client as the account from, and gives what it prints for people.
func (s *Stack) IsunText(ctx context.Context, from string, args ...string) (string, error) {
	out, err := s.Run(ctx, "isun", append(args, s.IsunFlags(from)...)...)
	return string(out), err
}

// IsunFlags are the flags with which isun reaches the chain and signs as the account from; the last is --yes.
func (s *Stack) IsunFlags(from string) []string {
	return []string{
		"--node", s.Chain.RPC, "--home", s.Chain.Home, "--keyring-backend", s.Chain.KeyringBackend, "--from", from, "--yes",
	}
}

// Query runs a query of isunchaind and decodes its JSON.
func (s *Stack) Query(ctx context.Context, into any, args ...string) error {
	args = append([]string{"query"}, args...)
	return s.JSON(ctx, into, "isunchaind", append(args, "--home", s.Chain.Home, "--node", s.Chain.RPC)...)
}

// Eventually tries until done says so, and gives the last error when the time is over.
func Eventually(ctx context.Context, limit time.Duration, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		ok, err := done()
		if ok && err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("not within %s", limit), err)
		case <-ticker.C:
		}
	}
}

// pollInterval is well below a block, so that what is timed is the chain and not the poll.
const pollInterval = 100 * time.Millisecond
