package host

import (
	"path"
	"slices"
	"strings"
)

// Service is one that the machine runs.
type Service struct {
	Name string
	// Command is in the words of a shell.
	Command string
	User    string
	Dir     string
	Env     []string // NAME=value
	// Before is done once before the start, in the words of a shell.
	Before []string
	// Stop is the signal that ends it; empty is TERM.
	Stop string
	// From says where it was found: a unit or a process.
	From string

	runDirs []string // below /run
	// pidFile is where it writes its process number when it goes to the
	// background by itself; empty for one that stays in front.
	pidFile string
	// running: something says that it runs, here or where the folder is from.
	running bool
	// background: it goes there and does not say who it is then.
	background bool

	state   []string // folders that must outlive the machine
	scratch []string
	ports   []uint32 // what it listens on unless told otherwise
}

func (s Service) hasState() bool { return len(s.state) > 0 }

// machineServices belong to a machine and not to what it serves.
var machineServices = []string{
	"ssh", "sshd", "getty", "serial-getty", "console-getty", "cron", "crond", "atd", "anacron", "rsyslog", "syslog", "dbus", "dbus-broker", "udev",
	"networking", "NetworkManager", "ModemManager", "wpa_supplicant", "connman", "dhcpcd", "ifup", "ntp", "ntpd", "ntpsec", "chrony", "chronyd",
	"openntpd", "docker", "containerd", "podman", "libvirtd", "apparmor", "auditd", "ufw", "firewalld", "nftables", "iptables", "fail2ban",
	"unattended-upgrades", "packagekit", "polkit", "polkitd", "accounts-daemon", "rtkit-daemon", "avahi-daemon", "cups", "bluetooth",
	"isun-worker", "isunchaind", "e2scrub_reap", "e2scrub_all", "fstrim", "smartd", "smartmontools", "mdadm", "mdmonitor", "lvm2-monitor", "blk-availability",
	"multipathd", "open-iscsi", "iscsid", "iscsi", "keyboard-setup", "console-setup", "qemu-guest-agent", "open-vm-tools", "vgauth", "snapd",
	"cloud-init", "cloud-config", "cloud-final", "cloud-init-local", "walinuxagent", "amazon-ssm-agent", "google-guest-agent", "lxcfs", "irqbalance",
	"thermald", "sysstat", "acpid", "uuidd", "apt-daily", "apt-daily-upgrade", "man-db", "logrotate", "nmbd", "gpm", "exim4", "grub-common", "pppd-dns",
	"remote-fs", "rpcbind", "nfs-client", "nfs-common", "lm-sensors", "ondemand", "secureboot-db", "dmesg", "sudo", "motd-news", "ua-timer", "ubuntu-advantage",
}

func isMachineService(name string) bool {
	return slices.Contains(machineServices, name) || strings.HasPrefix(name, "systemd-") || strings.HasPrefix(name, "user@") ||
		strings.HasPrefix(name, "dev-") || strings.HasPrefix(name, "rc")
}

var unitFolders = []string{"etc/systemd/system", "usr/local/lib/systemd/system", "lib/systemd/system", "usr/lib/systemd/system"}

// units are the services that start with the machine.
func (m *Machine) units() []Service {
	wanted := map[string]bool{}
	for _, target := range []string{"multi-user.target.wants", "default.target.wants", "graphical.target.wants"} {
		for _, name := range m.names(path.Join("etc/systemd/system", target)) {
			if base, ok := strings.CutSuffix(name, ".service"); ok {
				wanted[base] = true
			}
		}
	}
	names := make([]string, 0, len(wanted))
	for name := range wanted {
		names = append(names, name)
	}
	slices.Sort(names)
	var services []Service
	for _, name := range names {
		plain, _, _ := strings.Cut(name, "@")
		if isMachineService(plain) || isMachineService(name) {
			continue
		}
		if known := m.known(plain); known != nil {
			services = append(services, known...)
			continue
		}
		if s, ok := m.unit(name); ok {
			services = append(services, s)
		}
	}
	return services
}

// unit reads a unit file.
func (m *Machine) unit(name string) (Service, bool) {
	template, instance, _ := strings.Cut(name, "@")
	file := name + ".service"
	if instance != "" {
		file = template + "@.service"
	}
	for _, dir := range unitFolders {
		if lines := m.lines(path.Join(dir, file)); lines != nil {
			return m.readUnit(name, instance, lines)
		}
	}
	return Service{}, false
}

// readUnit takes what a container needs of a unit; a unit that only does
// something once is no service.
func (m *Machine) readUnit(name, instance string, lines []string) (Service, bool) {
	s := Service{Name: label(name), User: "root", From: "unit " + name + ".service"}
	kind, section := "simple", ""
	for _, line := range joinLines(lines) {
		if strings.HasPrefix(line, "[") {
			section = line
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || section != "[Service]" {
			continue
		}
		value = strings.NewReplacer("%t", "/run", "%S", "/var/lib", "%C", "/var/cache", "%L", "/var/log", "%i", instance, "%I", instance, "%n", name+".service", "%N", name, "%p", name, "%%", "%").Replace(strings.TrimSpace(value))
		switch strings.TrimSpace(key) {
		case "Type":
			kind = value
		case "ExecStart":
			s.Command = command(value)
		case "ExecStartPre":
			s.Before = append(s.Before, command(value)+" || true")
		case "User":
			s.User = value
		case "WorkingDirectory":
			s.Dir = strings.TrimPrefix(value, "-")
		case "Environment":
			s.Env = append(s.Env, words(value)...)
		case "EnvironmentFile":
			s.Env = append(s.Env, m.environment(value)...)
		case "RuntimeDirectory":
			s.runDirs = append(s.runDirs, strings.Fields(value)...)
		case "StateDirectory":
			for _, dir := range strings.Fields(value) {
				s.state = append(s.state, path.Join("/var/lib", dir))
			}
		case "CacheDirectory":
			for _, dir := range strings.Fields(value) {
				s.scratch = append(s.scratch, path.Join("/var/cache", dir))
			}
		case "KillSignal":
			// A shell starts what is in its background with these two ignored, and
			// not every program cares to undo that.
			if signal := strings.TrimPrefix(value, "SIG"); signal != "INT" && signal != "QUIT" {
				s.Stop = signal
			}
		case "PIDFile":
			s.pidFile = path.Join("/run", strings.TrimPrefix(value, "-"))
			if path.IsAbs(value) {
				s.pidFile = value
			}
		}
	}
	if kind != "forking" {
		s.pidFile = ""
	}
	s.background = kind == "forking" && s.pidFile == ""
	return s, s.Command != "" && s.Command != "/bin/true" && kind != "oneshot"
}

// joinLines puts together what a backslash parts, without comments.
func joinLines(lines []string) []string {
	var joined []string
	more := false
	for _, line := range lines {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		text, continues := strings.CutSuffix(line, `\`)
		if more {
			joined[len(joined)-1] += " " + text
		} else {
			joined = append(joined, text)
		}
		more = continues
	}
	return joined
}

// command is a command line of a unit in the words of a shell. The prefixes
// say how systemd treats its failure and its rights.
func command(line string) string {
	parts := words(strings.TrimLeft(line, "-@:+!"))
	for i, part := range parts {
		parts[i] = quoteKeeping(part)
	}
	return strings.Join(parts, " ")
}

// words splits as systemd does: at spaces, but not within quotes.
func words(line string) []string {
	var list []string
	var word strings.Builder
	quote, inWord := rune(0), false
	for _, c := range line {
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote, inWord = c, true
		case quote == 0 && (c == ' ' || c == '\t'):
			if inWord {
				list = append(list, word.String())
			}
			word.Reset()
			inWord = false
		default:
			word.WriteRune(c)
			inWord = true
		}
	}
	if inWord {
		list = append(list, word.String())
	}
	return list
}

// environment reads NAME=value lines.
func (m *Machine) environment(file string) []string {
	var env []string
	for _, line := range m.lines(strings.TrimPrefix(file, "-")) {
		line = strings.TrimSpace(line)
		if name, value, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") {
			env = append(env, name+"="+strings.Trim(value, `"'`))
		}
	}
	return env
}

// label makes a name that ports and volumes can have.
func label(name string) string {
	out := []byte(strings.ToLower(name))
	for i, c := range out {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			out[i] = '-'
		}
	}
	const longest = 24 // room for "-data"
	return strings.Trim(string(out[:min(len(out), longest)]), "-")
}
