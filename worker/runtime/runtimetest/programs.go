package runtimetest

import (
	"fmt"
	"net"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/isuncoin/isuncoin/worker/runtime"
)

// The programs of the conformance suite: first arguments that the probe binary
// understands as a real process and the fake as a description of one.
const (
	// ProgramServe PORT answers HTTP until it is stopped.
	ProgramServe = "serve"
	// ProgramExit CODE [MESSAGE] writes the message to standard output and
	// "error: MESSAGE" to standard error, and exits.
	ProgramExit = "exit"
	// ProgramHang runs until it is stopped, and then exits with 0.
	ProgramHang = "hang"
	// ProgramStubborn runs and ignores every signal but SIGKILL.
	ProgramStubborn = "stubborn"
	// ProgramAlloc MIB touches so much memory and exits with 0.
	ProgramAlloc = "alloc"
	// ProgramFork N starts so many processes; ExitForkFailed if it cannot.
	ProgramFork = "fork"
	// ProgramWrite PATH MIB writes a file; ExitNoSpace or ExitReadOnly if the
	// file system refuses.
	ProgramWrite = "write"
	// ProgramDial HOST:PORT connects by TCP; the host "gateway" means the
	// default route. ExitUnreachable if nothing answers in two seconds.
	ProgramDial = "dial"
	// ProgramStatus prints Cap*, NoNewPrivs and Seccomp of /proc/self/status.
	ProgramStatus = "status"
	// ProgramBurn MILLISECONDS keeps one core busy so long and then hangs.
	ProgramBurn = "burn"
	// ProgramEnv NAME prints one environment variable.
	ProgramEnv = "env"
)

// Exit codes of the programs.
const (
	ExitForkFailed  = 11
	ExitNoSpace     = 28
	ExitReadOnly    = 30
	ExitUnreachable = 7
	ExitUsage       = 64
)

// process is the fake's idea of a running program: either it ends at once with
// a known result, or it runs and perhaps serves.
type process struct {
	ends bool
	code int
	oom  bool
	stop func()
}

// startProcess decides what the container's arguments would do inside its
// limits. It runs with the engine's lock held and must not block.
func startProcess(c *container) *process {
	args := c.spec.Args
	if len(args) == 0 {
		return &process{}
	}
	limits := c.state.Limits
	switch args[0] {
	case ProgramServe:
		return serveProcess(c)
	case ProgramExit:
		return exitProcess(c, args)
	case ProgramAlloc:
		if number(args, 1) > limits.MemoryMiB {
			return &process{ends: true, code: 137, oom: true}
		}
		return &process{ends: true}
	case ProgramFork:
		pids := limits.Pids
		if pids == 0 {
			pids = runtime.DefaultPids
		}
		if number(args, 1) >= pids {
			return &process{ends: true, code: ExitForkFailed}
		}
		return &process{ends: true}
	case ProgramWrite:
		return &process{ends: true, code: writeResult(c.spec, args)}
	case ProgramDial:
		return &process{ends: true, code: ExitUnreachable} // a fake has no network
	case ProgramStatus:
		c.output = append(c.output, line{text: "CapEff:\t0000000000000000"},
			line{text: "CapBnd:\t0000000000000000"}, line{text: "NoNewPrivs:\t1"}, line{text: "Seccomp:\t2"})
		return &process{ends: true}
	case ProgramEnv:
		for _, e := range c.spec.Env {
			if name, value, _ := strings.Cut(e, "="); len(args) > 1 && name == args[1] {
				c.output = append(c.output, line{text: value})
			}
		}
		return &process{ends: true}
	default:
		return &process{}
	}
}

func (p *process) close() {
	if p != nil && p.stop != nil {
		p.stop()
	}
}

func exitProcess(c *container, args []string) *process {
	if len(args) > 2 {
		c.output = append(c.output, line{text: args[2]}, line{stderr: true, text: "error: " + args[2]})
	}
	return &process{ends: true, code: int(number(args, 1))}
}

// writeResult finds the file system a path lies on, as the mounts of a real
// placement would: a volume, the scratch space, or the root.
func writeResult(spec runtime.Spec, args []string) int {
	if len(args) < 3 {
		return ExitUsage
	}
	file, size := path.Clean(args[1]), number(args, 2)
	for _, v := range spec.Volumes {
		if strings.HasPrefix(file, v.Path+"/") {
			return spaceResult(size, v.SizeMiB)
		}
	}
	for _, scratch := range []string{"/tmp/", "/var/tmp/"} {
		if strings.HasPrefix(file, scratch) {
			return spaceResult(size, spec.ScratchMiB())
		}
	}
	if spec.ReadOnlyRoot {
		return ExitReadOnly
	}
	return spaceResult(size, spec.ScratchMiB())
}

func spaceResult(size, room int64) int {
	if size >= room {
		return ExitNoSpace
	}
	return 0
}

// serveProcess really listens, so that tests above a fake can make requests.
func serveProcess(c *container) *process {
	port := uint16(number(c.spec.Args, 1))
	for i, ep := range c.state.Endpoints {
		if ep.ContainerPort != port || ep.Protocol.Transport() != "tcp" {
			continue
		}
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			c.output = append(c.output, line{stderr: true, text: err.Error()})
			return &process{ends: true, code: 1}
		}
		c.state.Endpoints[i].HostPort = uint16(listener.Addr().(*net.TCPAddr).Port)
		id := c.spec.ID
		server := &http.Server{
			ReadHeaderTimeout: time.Second,
			Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprintf(w, "hello from %s\n", id)
			}),
		}
		go server.Serve(listener) //nolint:errcheck // ends with ErrServerClosed
		return &process{stop: func() { server.Close() }}
	}
	return &process{}
}

func number(args []string, i int) int64 {
	if i >= len(args) {
		return 0
	}
	n, err := strconv.ParseInt(args[i], 10, 64)
	if err != nil {
		return 0
	}
	return n
}
