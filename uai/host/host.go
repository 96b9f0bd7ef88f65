// Package host makes a root file system of a Linux machine's own: it leaves
// out what belongs to the machine and not to its services, warns about
// secrets, and finds out what the services are and how to start them.
package host

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Account is a user of the machine.
type Account struct {
	Name     string
	UID, GID int
}

// Machine is a machine as its root folder shows it. All access goes through
// os.Root, so the links of a tree lead into it and never out.
type Machine struct {
	// Dir is the root folder.
	Dir string
	// Live says that it is this machine's own, running.
	Live  bool
	root  *os.Root
	users map[string]Account
	// proc is where the kernel shows itself.
	proc string
}

// Open looks at a root folder. Only of "/" are the running processes asked.
func Open(dir string) (*Machine, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open root: %w", err)
	}
	m := &Machine{Dir: dir, Live: path.Clean(dir) == "/", root: root, users: map[string]Account{}, proc: "/proc"}
	m.readUsers()
	return m, nil
}

// Close releases the folder.
func (m *Machine) Close() error { return m.root.Close() }

// readUsers reads passwd; without one there are no users but by number.
func (m *Machine) readUsers() {
	for _, line := range m.lines("etc/passwd") {
		fields := strings.Split(line, ":")
		if len(fields) < 4 {
			continue
		}
		uid, uidErr := strconv.Atoi(fields[2])
		gid, gidErr := strconv.Atoi(fields[3])
		if uidErr == nil && gidErr == nil {
			m.users[fields[0]] = Account{Name: fields[0], UID: uid, GID: gid}
		}
	}
}

// User finds a user by name or number.
func (m *Machine) User(name string) (Account, bool) {
	if name == "" || name == "root" {
		return Account{Name: "root"}, true
	}
	if account, ok := m.users[name]; ok {
		return account, true
	}
	uid, err := strconv.Atoi(name)
	if err != nil {
		return Account{}, false
	}
	for _, account := range m.users {
		if account.UID == uid {
			return account, true
		}
	}
	return Account{Name: name, UID: uid, GID: uid}, true
}

// maxRead bounds the files that are read to find out about services.
const maxRead = 1 << 20

// read gives a file's beginning; a file that cannot be read says nothing.
func (m *Machine) read(name string) []byte {
	file, err := m.open(name)
	if err != nil {
		return nil
	}
	defer file.Close()
	content := make([]byte, maxRead)
	n, err := readFull(file, content)
	if err != nil {
		return nil
	}
	return content[:n]
}

// open follows absolute links within the root, as the machine itself would.
func (m *Machine) open(name string) (*os.File, error) {
	resolved, err := m.resolve(name)
	if err != nil {
		return nil, err
	}
	info, err := m.root.Lstat(resolved)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w", name, fs.ErrInvalid)
	}
	return m.root.OpenFile(resolved, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

// maxLinks is as many links as the kernel follows.
const maxLinks = 40

// resolve gives the name that a path has without links.
func (m *Machine) resolve(name string) (string, error) {
	todo := strings.Split(strings.Trim(path.Clean("/"+name), "/"), "/")
	done := "."
	for links := 0; len(todo) > 0; {
		next := path.Join(done, todo[0])
		todo = todo[1:]
		target, err := m.root.Readlink(next)
		if err != nil {
			done = next
			continue
		}
		if links++; links > maxLinks {
			return "", fmt.Errorf("%s: too many links", name)
		}
		if !path.IsAbs(target) {
			target = path.Join("/", done, target)
		}
		todo = append(strings.Split(strings.Trim(path.Clean(target), "/"), "/"), todo...)
		done = "."
	}
	return path.Clean(done), nil
}

func (m *Machine) exists(name string) bool {
	resolved, err := m.resolve(name)
	if err != nil {
		return false
	}
	_, err = m.root.Lstat(resolved)
	return err == nil
}

// names lists a folder.
func (m *Machine) names(dir string) []string {
	resolved, err := m.resolve(dir)
	if err != nil {
		return nil
	}
	entries, err := fs.ReadDir(m.root.FS(), resolved)
	if err != nil {
		return nil
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// lines are a text file's lines.
func (m *Machine) lines(name string) []string {
	var lines []string
	for scanner := bufio.NewScanner(bytes.NewReader(m.read(name))); scanner.Scan(); {
		lines = append(lines, scanner.Text())
	}
	return lines
}

// size is what lies in a folder, in bytes.
func (m *Machine) size(dir string) int64 {
	resolved, err := m.resolve(dir)
	if err != nil {
		return 0
	}
	var total int64
	// What cannot be read counts nothing: the figure is a proposal.
	_ = fs.WalkDir(m.root.FS(), resolved, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			total += info.Size()
		}
		return nil
	})
	return total
}

// Plan is how the machine's services become an image.
type Plan struct {
	Services []Service
	Ports    []Port
	Volumes  []Volume
	// User is who everything runs as: a container of a lease has no right to
	// change users.
	User Account
	// Notes are what the author should know.
	Notes []string
}

// Port is one that a service listens on.
type Port struct {
	Service string
	Number  uint32
	UDP     bool
}

// Volume is a folder that a service writes to.
type Volume struct {
	Name, Path string
	SizeMiB    uint64
	Persistent bool
}

// Look finds the services, those running or else those that start with the
// machine, their ports and what they write to.
func (m *Machine) Look() Plan {
	plan := Plan{Services: m.units()}
	plan.Services = append(plan.Services, m.sysv(plan.Services)...)
	if m.Live {
		listeners := m.listeners()
		plan.Services = m.withRunning(plan.Services, listeners)
		plan.Ports = portsOf(listeners, plan.Services)
	} else {
		for _, s := range plan.Services {
			for _, number := range s.ports {
				plan.Ports = append(plan.Ports, Port{Service: s.Name, Number: number})
			}
		}
	}
	plan.User = m.chooseUser(plan.Services)
	plan.Volumes = m.volumes(plan.Services)
	for _, s := range plan.Services {
		if s.hasState() && (m.Live || s.running) {
			plan.Notes = append(plan.Notes, s.Name+" may be writing: stop it while it is packed, or its data are of several moments")
		}
		if s.background {
			plan.Notes = append(plan.Notes, s.Name+" goes to the background without a PIDFile= in its unit, so the container would end at once: "+
				"say with --entrypoint how it stays in front")
		}
		if s.User != plan.User.Name {
			plan.Notes = append(plan.Notes, fmt.Sprintf("%s ran as %s and will run as %s: a container cannot change users", s.Name, s.User, plan.User.Name))
		}
	}
	return plan
}

// chooseUser takes the user of the data, because databases insist on theirs,
// or else of the first service that is not root's.
func (m *Machine) chooseUser(services []Service) Account {
	ordered := slices.Clone(services)
	slices.SortStableFunc(ordered, func(a, b Service) int {
		rank := func(s Service) int {
			switch {
			case s.User != "root" && s.hasState():
				return 0
			case s.User != "root":
				return 1
			}
			return 2
		}
		return rank(a) - rank(b)
	})
	if len(ordered) == 0 {
		return Account{Name: "root"}
	}
	account, ok := m.User(ordered[0].User)
	if !ok {
		return Account{Name: "root"}
	}
	return account
}

const (
	mib = 1 << 20
	// leastStateMiB leaves data room to grow.
	leastStateMiB   = 1024
	scratchLogMiB   = 128
	scratchOtherMiB = 64
)

func (m *Machine) volumes(services []Service) []Volume {
	var volumes []Volume
	add := func(v Volume) {
		// One within another cannot be mounted.
		within := func(inner, outer Volume) bool { return strings.HasPrefix(inner.Path+"/", outer.Path+"/") }
		if slices.ContainsFunc(volumes, func(old Volume) bool { return within(v, old) }) {
			return
		}
		volumes = append(slices.DeleteFunc(volumes, func(old Volume) bool { return within(old, v) }), v)
	}
	for _, s := range services {
		for _, dir := range s.state {
			size := uint64(2*m.size(dir)/mib) + 1
			add(Volume{Name: s.Name + "-data", Path: dir, SizeMiB: max(size, leastStateMiB), Persistent: true})
		}
		for _, dir := range s.scratch {
			add(Volume{Name: s.Name + "-work", Path: dir, SizeMiB: scratchOtherMiB})
		}
	}
	if len(services) > 0 && m.exists("var/log") {
		add(Volume{Name: "log", Path: "/var/log", SizeMiB: scratchLogMiB})
	}
	return volumes
}
