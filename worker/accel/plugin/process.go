package plugin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode"

	"golang.org/x/sys/unix"

	"github.com/isuncoin/isuncoin/worker/accel"
)

const (
	// maxOutput bounds an answer: 64 devices described in full are 50 KiB.
	maxOutput = 1 << 20
	// maxWords is how much of its standard error goes into an error.
	maxWords = 2 << 10
	// pipeGrace is how long to wait for output after the process has ended:
	// what it left running may hold the pipe open for ever.
	pipeGrace = time.Second
	// contractEnv tells the executable which version is spoken.
	contractEnv = "ISUN_ACCELERATOR_CONTRACT"
)

// process is one run of an executable, in a process group of its own.
type process struct {
	args  []string
	limit time.Duration
}

var (
	errTooLong = errors.New("took too long")
	errTooMuch = fmt.Errorf("said more than %d KiB", maxOutput>>10)
)

// run starts the executable, reads its answer and leaves none of its processes
// behind, whatever it did.
func (p process) run(ctx context.Context) ([]byte, error) {
	if os.Getenv(contractEnv) != "" {
		return nil, errors.New("this process is itself a plugin, and a plugin runs no plugins")
	}
	// The kernel kills the child when the thread that started it ends, so
	// that thread stays this goroutine's until the child is gone.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	limited, cancel := context.WithTimeoutCause(ctx, p.limit, errTooLong)
	defer cancel()
	limited, stop := context.WithCancelCause(limited)
	defer stop(nil)
	out, words := &capped{full: func() { stop(errTooMuch) }}, &tail{}
	cmd := exec.CommandContext(limited, p.args[0], p.args[1:]...)
	cmd.Env = append(os.Environ(), contractEnv+"="+strconv.Itoa(accel.ContractVersion))
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = out, words
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return killGroup(cmd.Process.Pid) }
	cmd.WaitDelay = pipeGrace
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", p.args[0], err)
	}
	endGroup(cmd.Process.Pid)
	if err := p.verdict(limited, cmd.Wait(), words); err != nil {
		return nil, err
	}
	return out.kept, nil
}

// endGroup waits until the leader has ended and kills what is left of its
// group. The leader is still a zombie then, so that the group's number cannot
// belong to anybody else.
func endGroup(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	_ = killGroup(pid) // an empty group is what is wanted
}

func killGroup(pid int) error { return syscall.Kill(-pid, syscall.SIGKILL) }

// verdict is what a run came to.
func (p process) verdict(ctx context.Context, err error, words *tail) error {
	cause := context.Cause(ctx)
	switch {
	case errors.Is(cause, errTooLong):
		return withWords(fmt.Errorf("%w: no answer within %s, so it was ended", errTooLong, p.limit), words)
	case cause != nil:
		return cause
	case err == nil:
		return nil
	case errors.Is(err, exec.ErrWaitDelay):
		err = errors.New("it left a process behind that keeps its output open")
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return withWords(err, words)
	}
	switch exit.ExitCode() {
	case ExitNoDevice:
		err = accel.ErrNoDevice
	case ExitCannotMeasure:
		err = accel.ErrCannotMeasure
	default:
		err = fmt.Errorf("it failed (%w)", exit)
	}
	return withWords(err, words)
}

func withWords(err error, words *tail) error {
	if text := words.String(); text != "" {
		err = fmt.Errorf("%w; it said: %s", err, text)
	}
	return err
}

// capped keeps what is written to it up to a limit and calls full beyond. It
// embeds no buffer: one's ReadFrom would take everything past the limit.
type capped struct {
	kept []byte
	full func()
}

func (c *capped) Write(raw []byte) (int, error) {
	if len(c.kept)+len(raw) > maxOutput {
		c.full()
		return 0, errTooMuch
	}
	c.kept = append(c.kept, raw...)
	return len(raw), nil
}

// tail keeps the end of what is written to it. It may be read while what the
// executable left behind still writes.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

func (t *tail) Write(raw []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, raw...)
	if over := len(t.kept) - maxWords; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(raw), nil
}

// String is one line fit for a terminal and a log.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(string(t.kept), " "))
	return strings.Join(strings.Fields(text), " ")
}
