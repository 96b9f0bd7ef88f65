// Package stack runs the three programs on this machine as people would: a chain, workers, and the commands of tenants and
// operators. The demo and the end-to-end tests stand on it.
package stack

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// stopTimeout is how long a process has to end by itself.
const stopTimeout = 20 * time.Second

// Process is a program that runs in the background, with its output in a file.
type Process struct {
	Name string
	Log  string
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// start runs a program in a process group of its own, so that a Ctrl-C meant for the caller does not end it first. first,
// when not nil, gets the first line it prints.
func start(name, logFile, program string, args []string, first *string) (*Process, error) {
	if err := os.MkdirAll(filepath.Dir(logFile), 0o755); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	p := &Process{Name: name, Log: logFile, cmd: exec.Command(program, args...), done: make(chan struct{})}
	p.cmd.Stderr = file
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var out io.ReadCloser
	if first == nil {
		p.cmd.Stdout = file
	} else if out, err = p.cmd.StdoutPipe(); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", name, err), file.Close())
	}
	if first != nil {
		err = readFirst(out, file, first)
	}
	go func() {
		p.err = errors.Join(p.cmd.Wait(), file.Close())
		close(p.done)
	}()
	if err != nil {
		return p, fmt.Errorf("%s ended before it was ready: %w\n%s", name, err, Tail(logFile))
	}
	return p, nil
}

// readFirst gives the first line of out and has the rest go to the log.
func readFirst(out io.Reader, log io.Writer, first *string) error {
	reader := bufio.NewReader(out)
	line, err := reader.ReadString('\n')
	if err != nil {
		return err
	}
	*first = strings.TrimSpace(line)
	go func() { _, _ = io.Copy(log, reader) }()
	return nil
}

// PID is the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Running says whether the process has not ended.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Kill ends the process with SIGKILL, as a crash or a power cut would, and waits for it to be gone.
func (p *Process) Kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-p.done
	return nil
}

// Wait waits until the process has ended by itself, and gives its exit code.
func (p *Process) Wait(limit time.Duration) (int, error) {
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-time.After(limit):
		return 0, fmt.Errorf("%s has not ended within %s", p.Name, limit)
	}
}

// Stop asks the process to end and waits; one that does not is killed, which is an error.
func (p *Process) Stop() error {
	if !p.Running() {
		return nil
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.done:
		var exit *exec.ExitError
		if p.err != nil && !errors.As(p.err, &exit) {
			return p.err
		}
		return nil
	case <-time.After(stopTimeout):
		return errors.Join(fmt.Errorf("%s did not end within %s", p.Name, stopTimeout), p.Kill())
	}
}

// Tail is the end of a log file, for error messages.
func Tail(file string) string {
	const most = 4_000
	content, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	if len(content) > most {
		content = content[len(content)-most:]
	}
	return string(content)
}

// run runs a program to its end and gives what it printed to standard output; an error carries what it printed to the other.
func run(ctx context.Context, program string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	var failure strings.Builder
	cmd.Stderr = &failure
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("%s %s: %w\n%s%s", filepath.Base(program), strings.Join(args, " "), err, failure.String(), out)
	}
	return out, nil
}
