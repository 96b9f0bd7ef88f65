//go:build linux

// Command probe is the program inside the containers of the conformance
// suite: each verb tries one thing that a limit or a fence should stop, and
// says by its exit code what happened. See package program.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/isuncoin/isuncoin/worker/runtime/runtimetest/program"
)

func main() {
	if len(os.Args) < 2 {
		os.Exit(program.ExitUsage)
	}
	args := os.Args[2:]
	switch verb := os.Args[1]; verb {
	case program.Serve:
		serve(arg(args, 0))
	case program.Exit:
		exit(args)
	case program.Hang:
		hang(func() { fmt.Println(program.Ready) })
	case program.Stubborn:
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT)
		fmt.Println(program.Ready)
		for {
			time.Sleep(time.Hour)
		}
	case program.Alloc:
		alloc(number(args, 0))
	case program.Fork:
		fork(number(args, 0))
	case program.Write:
		write(arg(args, 0), number(args, 1))
	case program.Dial:
		dial(arg(args, 0))
	case program.Status:
		status()
	case program.Burn:
		burn(time.Duration(number(args, 0)) * time.Millisecond)
	case program.Env:
		fmt.Println(os.Getenv(arg(args, 0)))
	case program.Open:
		open(arg(args, 0))
	default:
		if greedy(verb, args) {
			return
		}
		fmt.Fprintf(os.Stderr, "unknown verb %q\n", verb)
		os.Exit(program.ExitUsage)
	}
}

func arg(args []string, i int) string {
	if i >= len(args) {
		os.Exit(program.ExitUsage)
	}
	return args[i]
}

func number(args []string, i int) int {
	n, err := strconv.Atoi(arg(args, i))
	if err != nil {
		os.Exit(program.ExitUsage)
	}
	return n
}

func serve(port string) {
	host, err := os.Hostname()
	check(err)
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "hello from %s\n", host)
	})
	check(http.ListenAndServe(":"+port, handler)) //nolint:gosec // a test program
}

func exit(args []string) {
	code := number(args, 0)
	if len(args) > 1 {
		fmt.Println(args[1])
		fmt.Fprintln(os.Stderr, "error: "+args[1])
	}
	os.Exit(code)
}

// hang ends with 0 when it is asked to; from when on, the callbacks tell.
func hang(ready ...func()) {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	for _, tell := range ready {
		tell()
	}
	<-stop
}

// alloc touches every page, for memory that is only asked for costs nothing.
func alloc(mebibytes int) {
	memory := make([]byte, mebibytes<<20)
	for i := 0; i < len(memory); i += os.Getpagesize() {
		memory[i] = 1
	}
	fmt.Println("allocated", len(memory))
}

func fork(count int) {
	var children []*exec.Cmd
	for range count {
		child := exec.Command(os.Args[0], program.Hang)
		if err := child.Start(); err != nil {
			fmt.Printf("forked %d: %v\n", len(children), err)
			os.Exit(program.ExitForkFailed)
		}
		children = append(children, child)
	}
	fmt.Printf("forked %d\n", len(children))
	for _, child := range children {
		child.Process.Kill()
	}
}

func write(path string, mebibytes int) {
	check(os.MkdirAll(filepath.Dir(path), 0o777)) //nolint:gosec // a test program
	file, err := os.Create(path)
	check(err)
	block := make([]byte, 1<<20)
	for i := range block {
		block[i] = byte(i * 7)
	}
	for range mebibytes {
		_, err := file.Write(block)
		check(err)
	}
	check(file.Sync())
	check(file.Close())
}

// check ends the program with the code for what the kernel said.
func check(err error) {
	switch {
	case err == nil:
		return
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		os.Exit(program.ExitNoSpace)
	case errors.Is(err, syscall.EROFS):
		os.Exit(program.ExitReadOnly)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func dial(address string) {
	host, port, err := net.SplitHostPort(address)
	check(err)
	if host == program.Gateway {
		host = gateway()
	}
	conn, err := net.DialTimeout("tcp", net.JoinHostPort(host, port), 2*time.Second)
	if err != nil {
		fmt.Println(err)
		os.Exit(program.ExitUnreachable)
	}
	conn.Close()
}

// gateway reads the default route, which the kernel prints in hexadecimal,
// least significant byte first.
func gateway() string {
	file, err := os.Open("/proc/net/route")
	check(err)
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 3 || fields[1] != "00000000" {
			continue
		}
		n, err := strconv.ParseUint(fields[2], 16, 32)
		check(err)
		return net.IPv4(byte(n), byte(n>>8), byte(n>>16), byte(n>>24)).String()
	}
	fmt.Fprintln(os.Stderr, "no default route")
	os.Exit(1)
	return ""
}

func status() {
	raw, err := os.ReadFile("/proc/self/status")
	check(err)
	for line := range strings.Lines(string(raw)) {
		for _, prefix := range []string{"Cap", "NoNewPrivs", "Seccomp:"} {
			if strings.HasPrefix(line, prefix) {
				fmt.Print(line)
			}
		}
	}
}

func open(path string) {
	device, err := os.OpenFile(path, os.O_RDWR, 0)
	switch {
	case errors.Is(err, os.ErrNotExist):
		os.Exit(program.ExitNoDevice)
	case errors.Is(err, os.ErrPermission):
		os.Exit(program.ExitForbidden)
	}
	check(err)
	check(device.Close())
}

func burn(d time.Duration) {
	x := uint64(1)
	for end := time.Now().Add(d); time.Now().Before(end); {
		for range 100_000 {
			x = x*6364136223846793005 + 1442695040888963407
		}
	}
	fmt.Println("burnt", x&1)
	hang()
}
