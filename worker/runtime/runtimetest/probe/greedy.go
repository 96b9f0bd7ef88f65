//go:build linux

package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"github.com/isuncoin/isuncoin/worker/runtime/runtimetest/program"
)

// greedy runs a verb that tries to take more than its share; false if it is
// none of them.
func greedy(verb string, args []string) bool {
	switch verb {
	case program.Spin:
		spin(number(args, 0))
	case program.Hog:
		hog(args)
	case hogChild:
		hogOnce(arg(args, 0))
		return true
	case program.Bomb:
		bomb(time.Duration(number(args, 0)) * time.Millisecond)
	case program.Fill:
		for _, dir := range args {
			fill(dir)
		}
	case program.Shout:
		shout(number(args, 0))
	case program.Descriptors:
		descriptors()
	case program.Flood:
		flood(arg(args, 0), number(args, 1))
	case program.Dots:
		dots(arg(args, 0), number(args, 1))
	case program.Sink:
		sink(arg(args, 0))
	case program.Escape:
		escape()
	default:
		return false
	}
	fmt.Println(program.Done)
	hang()
	return true
}

func spin(threads int) {
	runtime.GOMAXPROCS(threads + 1)
	for range threads {
		go func() {
			runtime.LockOSThread()
			for x := uint64(1); x != 0; x |= 1 {
				x = x*6364136223846793005 + 1442695040888963407
			}
		}()
	}
}

// hogChild KIND is what a hog starts: the kernel ends the child, which is the
// largest, and the parent tells.
const hogChild = "hog-child"

func hog(kinds []string) {
	for _, kind := range kinds {
		child := exec.Command(os.Args[0], hogChild, kind)
		child.Stderr = os.Stderr
		fmt.Println(kind, outcome(child.Run()))
	}
}

func outcome(err error) string {
	if err == nil {
		return "refused"
	}
	return err.Error()
}

func hogOnce(kind string) {
	// The kernel is to take this process and leave its parent, which tells.
	check(overwrite("/proc/self/oom_score_adj", "1000"))
	switch kind {
	case program.HogAnonymous:
		hogMemory(0)
	case program.HogLocked:
		hogMemory(syscall.MAP_LOCKED)
	case program.HogShared:
		hogFile("/dev/shm/hog", 1<<40)
	case program.HogNames:
		hogNames("/dev/shm")
	case program.HogCache:
		hogFile("/tmp/hog", 256<<20)
	case program.HogSockets:
		hogSockets()
	default:
		os.Exit(program.ExitUsage)
	}
}

func hogMemory(flags int) {
	const step = 1 << 20
	for {
		block, err := syscall.Mmap(-1, 0, step, syscall.PROT_READ|syscall.PROT_WRITE,
			syscall.MAP_ANON|syscall.MAP_PRIVATE|flags)
		if err != nil {
			return
		}
		for i := 0; i < len(block); i += os.Getpagesize() {
			block[i] = 1
		}
	}
}

// hogFile writes a file without a name, so that it goes with the process, and
// then reads it again.
func hogFile(path string, most int) {
	file, err := os.Create(path)
	check(err)
	check(os.Remove(path))
	block := make([]byte, 1<<20)
	for written := 0; written < most; written += len(block) {
		if _, err := file.Write(block); err != nil {
			break
		}
	}
	_, err = file.Seek(0, io.SeekStart)
	check(err)
	_, err = io.Copy(io.Discard, file)
	check(err)
}

func hogNames(dir string) {
	defer os.RemoveAll(filepath.Join(dir, "names"))
	check(os.Mkdir(filepath.Join(dir, "names"), 0o700))
	for i := range 1 << 20 {
		fd, err := syscall.Open(filepath.Join(dir, "names", strconv.Itoa(i)), syscall.O_CREAT|syscall.O_WRONLY, 0o600)
		if err != nil {
			return
		}
		check(syscall.Close(fd))
	}
}

// hogSockets fills connections to itself until nothing more goes in, for two
// seconds.
func hogSockets() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	block := make([]byte, 1<<20)
	end := time.Now().Add(2 * time.Second)
	for range 512 {
		conn, err := net.DialTimeout("tcp", listener.Addr().String(), time.Second)
		if err != nil {
			break
		}
		unread, err := listener.Accept()
		if err != nil {
			break
		}
		defer unread.Close()
		check(conn.SetWriteDeadline(end))
		go func() { _, _ = io.Copy(conn, endless(block)) }()
	}
	time.Sleep(time.Until(end))
}

// endless reads as the same block for ever.
type endless []byte

func (e endless) Read(p []byte) (int, error) { return copy(p, e), nil }

// bomb forks without the help of Go's runtime, which ends a program that gets
// no thread. In the end it lets some children go, to have threads itself again.
func bomb(d time.Duration) {
	debug.SetGCPercent(-1)
	var children []int
	refused := 0
	for end := time.Now().Add(d); time.Now().Before(end); {
		child, _, errno := syscall.RawSyscall(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0)
		switch {
		case errno != 0:
			refused++
		case child == 0:
			for {
				_, _, _ = syscall.RawSyscall6(syscall.SYS_PPOLL, 0, 0, 0, 0, 0, 0) // until it is killed
			}
		default:
			children = append(children, int(child))
		}
	}
	started := len(children)
	for _, child := range children[:min(len(children), 16)] {
		check(syscall.Kill(child, syscall.SIGKILL))
		_, err := syscall.Wait4(child, nil, 0, nil)
		check(err)
	}
	fmt.Println("started", started, "refused", refused > 0)
}

func fill(dir string) {
	bytes := fillFile(filepath.Join(dir, "large"), 0)
	files := 0
	for ; files < 1<<14; files++ {
		fd, err := syscall.Open(filepath.Join(dir, "empty"+strconv.Itoa(files)), syscall.O_CREAT|syscall.O_WRONLY, 0o600)
		if err != nil {
			break
		}
		check(syscall.Close(fd))
	}
	bytes += fillFile(filepath.Join(dir, "sparse"), 1<<30)
	fmt.Println(dir, bytes, files)
}

// fillFile writes after a hole of the given size until that is refused, and
// returns how many bytes went in.
func fillFile(path string, hole int64) int64 {
	file, err := os.Create(path)
	if err != nil {
		return 0
	}
	defer file.Close()
	if _, err := file.Seek(hole, io.SeekStart); err != nil {
		return 0
	}
	n, _ := io.Copy(file, io.LimitReader(endless(make([]byte, 1<<16)), 4<<30))
	_ = file.Sync() // it may say no now
	return n
}

func shout(mebibytes int) {
	line := []byte("the same line over and over again, as programs in trouble write it..............\n")
	for range mebibytes << 20 / len(line) {
		_, err := os.Stdout.Write(line)
		check(err)
	}
}

func descriptors() {
	count := 0
	for ; ; count++ {
		if _, err := syscall.Open("/dev/null", syscall.O_RDONLY, 0); err != nil {
			break
		}
	}
	// Descriptors are wanted again for what prints.
	for fd := 3; fd < 64; fd++ {
		_ = syscall.Close(fd)
	}
	fmt.Println(count)
}

func flood(address string, flows int) {
	host, port, err := net.SplitHostPort(address)
	check(err)
	if host == program.Gateway {
		host = gateway()
	}
	for _, network := range []string{"tcp", "udp"} {
		block := make([]byte, 1<<20)
		if network == "udp" {
			block = block[:1400]
		}
		for range flows {
			go func() {
				for {
					conn, err := net.DialTimeout(network, net.JoinHostPort(host, port), 2*time.Second)
					if err != nil {
						time.Sleep(10 * time.Millisecond) // nobody there yet
						continue
					}
					_, _ = io.CopyBuffer(onlyWriter{conn}, endless(block), make([]byte, len(block)))
					conn.Close()
				}
			}()
		}
	}
}

func dots(host string, count int) {
	to := net.UDPAddr{IP: net.ParseIP(host), Port: 9}
	for i := range count {
		conn, err := net.DialUDP("udp4", &net.UDPAddr{Port: 10_000 + i}, &to)
		check(err)
		_, _ = conn.Write([]byte{0}) // refused or dropped: it is about the table
		check(conn.Close())
	}
}

// onlyWriter hides that a connection could read from its source itself.
type onlyWriter struct{ io.Writer }

func sink(port string) {
	listener, err := net.Listen("tcp", ":"+port)
	check(err)
	packets, err := net.ListenPacket("udp", ":"+port)
	check(err)
	go func() {
		for {
			conn, err := listener.Accept()
			check(err)
			go func() { _, _ = io.Copy(io.Discard, conn) }()
		}
	}()
	go func() {
		block := make([]byte, 1<<16)
		for {
			_, _, err := packets.ReadFrom(block)
			check(err)
		}
	}()
}

// escape prints what of all this is allowed; nothing should be.
func escape() {
	for name, try := range map[string]func() error{
		"delete the queue":       deleteQueue,
		"a namespace of its own": namespace,
		"mount":                  func() error { return syscall.Mount("none", "/tmp", "tmpfs", 0, "") },
		"mount the groups":       func() error { return syscall.Mount("none", "/tmp", "cgroup", 0, "memory") },
		"come first":             func() error { return syscall.Setpriority(syscall.PRIO_PROCESS, 0, -10) },
		"real time":              realTime,
		"more descriptors":       func() error { return raise(syscall.RLIMIT_NOFILE) },
		"change the kernel":      func() error { return overwrite("/proc/sys/kernel/pid_max", "100000") },
		"a larger memory group": func() error {
			return overwriteAny("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory.max")
		},
		"a larger cpu group": func() error { return overwriteAny("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu.max") },
		"leave the group":    func() error { return overwriteAny("/sys/fs/cgroup/cpu/cgroup.procs", "/sys/fs/cgroup/cgroup.procs") },
		"a device":           func() error { return syscall.Mknod("/tmp/disk", syscall.S_IFBLK|0o600, 7<<8) },
		"be killed last":     func() error { return overwrite("/proc/self/oom_score_adj", "-1000") },
	} {
		if try() == nil {
			fmt.Println("allowed:", name)
		}
	}
}

// deleteQueue asks the kernel to take the root queue of eth0 away,
// rtnetlink(7), as `tc qdisc del dev eth0 root` does.
func deleteQueue() error {
	ifc, err := net.InterfaceByName("eth0")
	if err != nil {
		return err
	}
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW, syscall.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	request := struct {
		syscall.NlMsghdr
		family int32 // and padding
		index  int32
		handle uint32
		parent uint32
		info   uint32
	}{
		NlMsghdr: syscall.NlMsghdr{Type: syscall.RTM_DELQDISC, Flags: syscall.NLM_F_REQUEST | syscall.NLM_F_ACK, Seq: 1},
		index:    int32(ifc.Index), parent: 0xFFFFFFFF,
	}
	request.Len = uint32(unsafe.Sizeof(request))
	raw := unsafe.Slice((*byte)(unsafe.Pointer(&request)), request.Len)
	if err := syscall.Sendto(fd, raw, 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 4096)
	n, _, err := syscall.Recvfrom(fd, answer, 0)
	if err != nil {
		return err
	}
	messages, err := syscall.ParseNetlinkMessage(answer[:n])
	if err != nil || len(messages) == 0 || len(messages[0].Data) < 4 {
		return fmt.Errorf("no answer: %w", err)
	}
	if code := *(*int32)(unsafe.Pointer(&messages[0].Data[0])); code != 0 {
		return syscall.Errno(-code)
	}
	return nil
}

func namespace() error {
	child := exec.Command(os.Args[0], program.Exit, "0")
	child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET}
	return child.Run()
}

func realTime() error {
	priority := int32(1)
	const fifo = 1
	_, _, errno := syscall.Syscall(syscall.SYS_SCHED_SETSCHEDULER, 0, fifo, uintptr(unsafe.Pointer(&priority)))
	if errno != 0 {
		return errno
	}
	return nil
}

func raise(resource int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(resource, &limit); err != nil {
		return err
	}
	limit.Max++
	return syscall.Setrlimit(resource, &limit)
}

func overwrite(path, text string) error { return os.WriteFile(path, []byte(text), 0o600) }

func overwriteAny(paths ...string) error {
	for _, path := range paths {
		if file, err := os.OpenFile(path, os.O_WRONLY, 0); err == nil {
			defer file.Close()
			_, err = file.WriteString("0")
			return err
		}
	}
	return os.ErrPermission
}
