package runtimetest

import (
	"fmt"
	"net"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/isuncoin/isuncoin/worker/runtime"
	"github.com/isuncoin/isuncoin/worker/runtime/runtimetest/program"
)

// process is the fake's idea of a running program: either it ends at once with
// a known result, or it runs and perhaps serves.
type process struct {
	ends bool
	code int // of its own end, or when it is stopped
	oom  bool
	stop func()
}

// Exit codes of a process that does not handle its stop signal, and of one
// that had to be killed.
const (
	exitTerminated = 143
	exitKilled     = 137
)

// startProcess decides what the container's arguments would do inside its
// limits. It runs with the engine's lock held and must not block.
func startProcess(c *container) *process {
	args := c.spec.Args
	if len(args) == 0 {
		return &process{code: exitTerminated}
	}
	limits := c.state.Limits
	switch args[0] {
	case program.Serve:
		return serveProcess(c)
	case program.Exit:
		return exitProcess(c, args)
	case program.Alloc:
		if number(args, 1) > limits.MemoryMiB {
			return &process{ends: true, code: exitKilled, oom: true}
		}
		return &process{ends: true}
	case program.Fork:
		pids := limits.Pids
		if pids == 0 {
			pids = runtime.DefaultPids
		}
		if number(args, 1) >= pids {
			return &process{ends: true, code: program.ExitForkFailed}
		}
		return &process{ends: true}
	case program.Write:
		return &process{ends: true, code: writeResult(c.spec, args)}
	case program.Dial:
		return &process{ends: true, code: program.ExitUnreachable} // a fake has no network
	case program.Status:
		c.output = append(c.output, line{text: "CapEff:\t0000000000000000"},
			line{text: "CapBnd:\t0000000000000000"}, line{text: "NoNewPrivs:\t1"}, line{text: "Seccomp:\t2"})
		return &process{ends: true}
	case program.Open:
		if len(args) < 2 || !slices.Contains(c.spec.DeviceNodes(), args[1]) {
			return &process{ends: true, code: program.ExitNoDevice}
		}
		return &process{ends: true}
	case program.Env:
		for _, e := range c.spec.Environment() {
			if name, value, _ := strings.Cut(e, "="); len(args) > 1 && name == args[1] {
				c.output = append(c.output, line{text: value})
			}
		}
		return &process{ends: true}
	case program.Hang:
		c.output = append(c.output, line{text: program.Ready})
		return &process{}
	case program.Stubborn:
		c.output = append(c.output, line{text: program.Ready})
		return &process{code: exitKilled}
	default:
		return &process{code: exitTerminated}
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
		return program.ExitUsage
	}
	file, size := path.Clean(args[1]), number(args, 2)
	for _, v := range spec.Volumes {
		if strings.HasPrefix(file, v.Path+"/") {
			return spaceResult(size, v.SizeMiB)
		}
	}
	for _, scratch := range []string{"/tmp/", "/var/tmp/", ImageVolume + "/"} {
		if strings.HasPrefix(file, scratch) {
			return spaceResult(size, spec.ScratchMiB())
		}
	}
	if spec.ReadOnlyRoot {
		return program.ExitReadOnly
	}
	return spaceResult(size, spec.ScratchMiB())
}

func spaceResult(size, room int64) int {
	if size >= room {
		return program.ExitNoSpace
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
		listener, err := listenAgain(c, ep)
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
		return &process{code: exitTerminated, stop: func() { server.Close() }}
	}
	return &process{code: exitTerminated}
}

// listenAgain takes any free port at the first start and the same at later
// ones, as a placement keeps its endpoints.
func listenAgain(c *container, ep runtime.Endpoint) (net.Listener, error) {
	port := 0
	if c.state.Restarts > 0 {
		port = int(ep.HostPort)
	}
	return net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
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
