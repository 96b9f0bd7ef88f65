package host

import (
	"encoding/hex"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// listener is a socket of a process that others can reach.
type listener struct {
	port    uint32
	udp     bool
	outside bool // not only from the machine itself
	process process
}

type process struct {
	pid     int
	parent  int
	name    string
	command []string
	uid     int
	unit    string // of its control group
	dir     string
}

const (
	tcpListen = "0A"
	udpBound  = "07"
)

// listeners are the sockets that processes listen on.
func (m *Machine) listeners() []listener {
	owners := m.socketOwners()
	var found []listener
	for _, table := range []struct {
		file, state string
		udp         bool
	}{{"tcp", tcpListen, false}, {"tcp6", tcpListen, false}, {"udp", udpBound, true}, {"udp6", udpBound, true}} {
		raw, err := os.ReadFile(filepath.Join(m.proc, "net", table.file))
		if err != nil {
			continue // no IPv6
		}
		for line := range strings.Lines(string(raw)) {
			l, inode, ok := parseSocket(line, table.state)
			pid, owned := owners[inode]
			if !ok || !owned {
				continue
			}
			l.udp, l.process = table.udp, m.process(pid)
			found = append(found, l)
		}
	}
	return found
}

// parseSocket reads a line of /proc/net/tcp.
func parseSocket(line, state string) (l listener, inode string, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 10 || fields[3] != state {
		return l, "", false
	}
	address, port, ok := strings.Cut(fields[1], ":")
	number, err := strconv.ParseUint(port, 16, 16)
	raw, hexErr := hex.DecodeString(address)
	if !ok || err != nil || hexErr != nil || number == 0 {
		return l, "", false
	}
	// Addresses are words of the machine, the first byte of one last.
	loopback := len(raw) == 4 && raw[3] == 127 || address == "00000000000000000000000001000000"
	return listener{port: uint32(number), outside: !loopback}, fields[9], true
}

// socketOwners are the processes that have sockets, by inode.
func (m *Machine) socketOwners() map[string]int {
	owners := map[string]int{}
	links, err := filepath.Glob(filepath.Join(m.proc, "[0-9]*", "fd", "*"))
	if err != nil {
		return owners
	}
	for _, link := range links {
		target, err := os.Readlink(link)
		inode, ok := strings.CutPrefix(target, "socket:[")
		if err != nil || !ok {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(link))))
		if err != nil {
			continue
		}
		// Of several that share it the first is the parent.
		inode = strings.TrimSuffix(inode, "]")
		if old, ok := owners[inode]; !ok || pid < old {
			owners[inode] = pid
		}
	}
	return owners
}

func (m *Machine) process(pid int) process {
	dir := filepath.Join(m.proc, strconv.Itoa(pid))
	p := process{pid: pid}
	if raw, err := os.ReadFile(filepath.Join(dir, "comm")); err == nil {
		p.name = strings.TrimSpace(string(raw))
	}
	if raw, err := os.ReadFile(filepath.Join(dir, "cmdline")); err == nil {
		p.command = strings.Split(strings.TrimRight(string(raw), "\x00"), "\x00")
	}
	if raw, err := os.ReadFile(filepath.Join(dir, "status")); err == nil {
		for line := range strings.Lines(string(raw)) {
			key, value, _ := strings.Cut(line, ":")
			fields := strings.Fields(value)
			switch {
			case key == "Uid" && len(fields) > 1:
				p.uid, _ = strconv.Atoi(fields[1])
			case key == "PPid" && len(fields) > 0:
				p.parent, _ = strconv.Atoi(fields[0])
			}
		}
	}
	if raw, err := os.ReadFile(filepath.Join(dir, "cgroup")); err == nil {
		for line := range strings.Lines(string(raw)) {
			if unit, ok := strings.CutSuffix(path.Base(strings.TrimSpace(line)), ".service"); ok {
				p.unit = unit
			}
		}
	}
	if target, err := os.Readlink(filepath.Join(dir, "cwd")); err == nil && target != "/" {
		p.dir = target
	}
	return p
}

// service is what a process belongs to: its unit's name, or its own.
func (p process) service() string {
	if p.unit != "" {
		name, _, _ := strings.Cut(p.unit, "@")
		return name
	}
	// Servers write what they do into their name: "nginx: master process".
	name, _, _ := strings.Cut(p.name, ":")
	return name
}

// withRunning adds services that no unit starts: whatever listens for others.
func (m *Machine) withRunning(services []Service, listeners []listener) []Service {
	for _, l := range listeners {
		name := l.process.service()
		if !l.outside || name == "" || isMachineService(name) || len(l.process.command) == 0 || serves(services, name) {
			continue
		}
		if name == "postgres" {
			name = "postgresql"
		}
		if known := m.known(name); known != nil {
			services = append(services, known...)
			continue
		}
		user := strconv.Itoa(l.process.uid)
		if account, ok := m.User(user); ok {
			user = account.Name
		}
		parts := make([]string, 0, len(l.process.command))
		for _, word := range l.process.command {
			parts = append(parts, quote(word))
		}
		services = append(services, Service{
			Name: label(name), Command: strings.Join(parts, " "), User: user, Dir: l.process.dir,
			From: fmt.Sprintf("process %d", l.process.pid),
		})
	}
	return services
}

// serves says whether a service of that name is there already.
func serves(services []Service, name string) bool {
	return slices.ContainsFunc(services, func(s Service) bool {
		return s.Name == label(name) || strings.HasPrefix(s.Name, label(name)+"-") || strings.HasPrefix(s.Name, "postgresql") && name == "postgres"
	})
}

// portsOf are the ports of services that others can reach, each once.
func portsOf(listeners []listener, services []Service) []Port {
	var ports []Port
	for _, l := range listeners {
		name := l.process.service()
		port := Port{Service: label(name), Number: l.port, UDP: l.udp}
		if l.outside && serves(services, name) && !slices.ContainsFunc(ports, func(p Port) bool { return p.Number == l.port && p.UDP == l.udp }) {
			ports = append(ports, port)
		}
	}
	slices.SortFunc(ports, func(a, b Port) int { return int(a.Number) - int(b.Number) })
	return ports
}
