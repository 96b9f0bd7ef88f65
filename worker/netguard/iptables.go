package netguard

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"slices"
	"strings"
)

// Runner executes one command of the packet filter.
type Runner interface {
	// Run returns what the command printed. A command that ran and said no
	// gives an *ExitError; one that could not run gives another error.
	Run(ctx context.Context, stdin, name string, args ...string) (string, error)
}

// ExitError is a command's refusal.
type ExitError struct {
	Command string
	Code    int
	Output  string
}

// Error implements error.
func (e *ExitError) Error() string {
	return fmt.Sprintf("%s: exit code %d: %s", e.Command, e.Code, strings.TrimSpace(e.Output))
}

type systemRunner struct{}

// Run implements Runner.
func (systemRunner) Run(ctx context.Context, stdin, name string, args ...string) (string, error) {
	var output bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &output, &output
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		return output.String(), &ExitError{Command: name + " " + strings.Join(args, " "), Code: exit.ExitCode(), Output: output.String()}
	}
	return output.String(), err
}

// Exit codes of iptables: 1 for "no such rule or chain", others for trouble of
// its own, such as missing rights.
const exitNoMatch = 1

// lockWait bounds how long a command waits for another one that is changing
// the rules, in seconds.
const lockWait = "10"

// family is the packet filter of one IP version.
type family struct {
	tool   string
	chains []chain
	// without is the same less what some kernels lack; nil if there is nothing
	// of the kind.
	without func() family
}

// chain is one of ours, entered from a hook for packets from lease bridges.
type chain struct {
	name  string
	hook  string
	in    string
	rules [][]string
}

func (c chain) jump() []string { return []string{"-i", c.in, "-j", c.name} }

func (f family) install(ctx context.Context, r Runner) error {
	if err := f.requireHooks(ctx, r); err != nil {
		return err
	}
	// Without flushing, a chain that is declared is emptied and filled in the
	// same step, and all others stay.
	if _, err := r.Run(ctx, f.restoreInput(), f.tool+"-restore", "--noflush", "--wait", lockWait); err != nil {
		return f.unavailable(err)
	}
	for _, c := range f.chains {
		present, err := f.has(ctx, r, c.hook, c.jump())
		if err != nil {
			return err
		}
		if present {
			continue
		}
		// First, so that no earlier rule lets a packet through.
		if _, err := f.run(ctx, r, append([]string{"-I", c.hook, "1"}, c.jump()...)...); err != nil {
			return f.unavailable(err)
		}
	}
	return nil
}

func (f family) restoreInput() string {
	var b strings.Builder
	b.WriteString("*filter\n")
	for _, c := range f.chains {
		fmt.Fprintf(&b, ":%s - [0:0]\n", c.name)
	}
	for _, c := range f.chains {
		for _, rule := range c.rules {
			fmt.Fprintf(&b, "-A %s %s\n", c.name, strings.Join(rule, " "))
		}
	}
	b.WriteString("COMMIT\n")
	return b.String()
}

// requireHooks makes sure that the chains we hook into exist: all but Docker's
// always do.
func (f family) requireHooks(ctx context.Context, r Runner) error {
	for _, c := range f.chains {
		exists, err := f.exists(ctx, r, c.hook)
		if err != nil {
			return err
		}
		if !exists {
			return fmt.Errorf("%w (%s)", ErrNoDockerChain, f.tool)
		}
	}
	return nil
}

func (f family) check(ctx context.Context, r Runner) ([]string, error) {
	var problems []string
	for _, c := range f.chains {
		found, err := f.checkChain(ctx, r, c)
		if err != nil {
			return nil, err
		}
		problems = append(problems, found...)
	}
	return problems, nil
}

func (f family) checkChain(ctx context.Context, r Runner, c chain) ([]string, error) {
	hooked, err := f.exists(ctx, r, c.hook)
	if err != nil {
		return nil, err
	}
	if !hooked {
		return []string{fmt.Sprintf("%s: chain %s does not exist; is the Docker engine running?", f.tool, c.hook)}, nil
	}
	count, exists, err := f.count(ctx, r, c.name)
	if err != nil {
		return nil, err
	}
	if !exists {
		return []string{fmt.Sprintf("%s: chain %s does not exist", f.tool, c.name)}, nil
	}
	var problems []string
	if count != len(c.rules) {
		problems = append(problems, fmt.Sprintf("%s: chain %s has %d rules instead of %d", f.tool, c.name, count, len(c.rules)))
	}
	for _, rule := range c.rules {
		present, err := f.has(ctx, r, c.name, rule)
		if err != nil {
			return nil, err
		}
		if !present {
			problems = append(problems, fmt.Sprintf("%s: %s lacks the rule %s", f.tool, c.name, strings.Join(rule, " ")))
		}
	}
	present, err := f.has(ctx, r, c.hook, c.jump())
	if err != nil {
		return nil, err
	}
	if !present {
		problems = append(problems, fmt.Sprintf("%s: %s does not lead to %s", f.tool, c.hook, c.name))
	}
	return problems, nil
}

func (f family) remove(ctx context.Context, r Runner) error {
	for _, c := range f.chains {
		if exists, err := f.exists(ctx, r, c.name); err != nil || !exists {
			if err != nil {
				return err
			}
			continue
		}
		// Two workers that installed at the same moment left two jumps.
		for {
			present, err := f.has(ctx, r, c.hook, c.jump())
			if err != nil {
				return err
			}
			if !present {
				break
			}
			if _, err := f.run(ctx, r, append([]string{"-D", c.hook}, c.jump()...)...); err != nil {
				return f.unavailable(err)
			}
		}
		for _, command := range []string{"-F", "-X"} {
			if _, err := f.run(ctx, r, command, c.name); err != nil {
				return f.unavailable(err)
			}
		}
	}
	return nil
}

func (f family) run(ctx context.Context, r Runner, args ...string) (string, error) {
	return r.Run(ctx, "", f.tool, append([]string{"--wait", lockWait}, args...)...)
}

// has asks for one rule. A chain that does not exist has none.
func (f family) has(ctx context.Context, r Runner, chain string, rule []string) (bool, error) {
	_, err := f.run(ctx, r, append([]string{"-C", chain}, rule...)...)
	return f.yesOrNo(err)
}

func (f family) exists(ctx context.Context, r Runner, chain string) (bool, error) {
	_, exists, err := f.count(ctx, r, chain)
	return exists, err
}

// count returns how many rules a chain has, and whether there is one.
func (f family) count(ctx context.Context, r Runner, chain string) (int, bool, error) {
	output, err := f.run(ctx, r, "-S", chain)
	exists, err := f.yesOrNo(err)
	if err != nil || !exists {
		return 0, false, err
	}
	lines := slices.Collect(strings.Lines(output))
	return len(slices.DeleteFunc(lines, func(l string) bool { return !strings.HasPrefix(l, "-A ") })), true, nil
}

// yesOrNo takes "there is no such thing" for an answer, and everything else
// that went wrong for an error.
func (f family) yesOrNo(err error) (bool, error) {
	var exit *ExitError
	switch {
	case err == nil:
		return true, nil
	case errors.As(err, &exit) && exit.Code == exitNoMatch && !strings.Contains(exit.Output, "Permission denied"):
		return false, nil
	}
	return false, f.unavailable(err)
}

// unavailable says how to mend what a person can.
func (f family) unavailable(err error) error {
	var exit *ExitError
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("netguard: %w", err)
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %s is not installed (package iptables): %w", ErrUnavailable, f.tool, err)
	case errors.As(err, &exit) && strings.Contains(exit.Output, "Permission denied"):
		return fmt.Errorf("%w: %s needs root: %w", ErrUnavailable, f.tool, err)
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}
