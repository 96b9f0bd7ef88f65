package host

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
)

// emptied are folders that stay, empty: the engine mounts on them, or what is
// in them belongs to the machine or can be made again.
var emptied = []string{
	"proc", "sys", "dev", "run", "tmp", "var/tmp", "mnt", "media", "var/cache", "var/crash", "var/spool/mail", "var/mail",
	"var/lib/apt/lists", "var/lib/systemd", "var/lib/dhcp", "var/lib/NetworkManager", "var/backups",
}

// dropped are left out altogether: kernel, boot loader, network and disks of
// the machine, its identity, swap, other containers and machines.
var dropped = []string{
	"boot", "lib/modules", "usr/lib/modules", "lib/firmware", "usr/lib/firmware", "usr/src", "vmlinuz", "vmlinuz.old", "initrd.img",
	"initrd.img.old", "lost+found", "swapfile", "swap.img", "etc/fstab", "etc/crypttab", "etc/machine-id", "var/lib/dbus/machine-id",
	"etc/hostname", "etc/hosts", "etc/resolv.conf", "etc/mtab", "etc/netplan", "etc/network/interfaces", "etc/network/interfaces.d",
	"etc/NetworkManager/system-connections", "etc/wpa_supplicant", "etc/wireguard", "etc/iscsi", "var/log/journal",
	"var/lib/docker", "var/lib/containerd", "var/lib/containers", "var/lib/lxc", "var/lib/lxd", "var/lib/incus", "var/lib/libvirt",
	"var/lib/kubelet", "var/lib/rancher", "var/lib/snapd", "snap", "var/lib/flatpak", "var/lib/machines", "var/swap", ".snapshots",
	"var/lib/cloud", "etc/cloud", "run/cloud-init", "var/lib/waagent", "var/lib/dkms", "var/lib/amazon",
}

// secretNames are of files and folders that are somebody's, wherever they lie.
var secretNames = []string{
	".ssh", ".gnupg", ".aws", ".azure", ".kube", ".password-store", ".netrc", ".pgpass", ".my.cnf", ".git-credentials", ".npmrc", ".pypirc",
	".env", ".vault-token", ".isunchain", ".isun-worker", "krb5.keytab", ".bash_history", ".zsh_history", ".sh_history", ".ash_history",
	".psql_history", ".mysql_history", ".python_history", ".rediscli_history", ".node_repl_history", ".lesshst", ".viminfo", ".wget-hsts",
}

// secretPaths end the names of files whose folder says what they are.
var secretPaths = []string{
	".config/gcloud", ".docker/config.json", ".config/gh/hosts.yml", ".config/rclone/rclone.conf", ".cargo/credentials", ".cargo/credentials.toml",
}

// Filter says what of a machine's root stays out, and tells why.
type Filter struct {
	machine *Machine
	// WithSecrets takes secrets along.
	WithSecrets bool
	// More are further names to leave out, relative, each with all below it.
	More []string
	// Secret is told what was taken for a secret; may be nil.
	Secret func(name string)
	// Token is told of a file that stays and seems to hold a password or an
	// access token; may be nil.
	Token  func(name string)
	mounts map[string]bool
}

// Filter makes one that leaves out other file systems that are mounted in the
// machine's root: what the kernel shows, the network's, memory. Those of
// ordinary disks stay.
func (m *Machine) Filter() *Filter { return &Filter{machine: m, mounts: m.foreignMounts()} }

// Skip is what uai.TreeOptions takes.
func (f *Filter) Skip(name string, entry fs.DirEntry) bool {
	switch {
	case slices.Contains(emptied, path.Dir(name)), slices.Contains(dropped, name), f.mounts[name]:
		return true
	case slices.ContainsFunc(f.More, func(more string) bool { return name == more }):
		return true
	case isMachines(name, entry):
		return true
	}
	if !f.isSecret(name, entry) {
		return false
	}
	if f.Secret != nil {
		f.Secret(name)
	}
	return !f.WithSecrets
}

// isMachines is what a list of whole names cannot say.
func isMachines(name string, entry fs.DirEntry) bool {
	base := path.Base(name)
	switch {
	case strings.HasPrefix(name, "var/log/") && !entry.IsDir(), strings.HasPrefix(name, "etc/ssh/ssh_host_"):
		return true
	case base == ".cache" && entry.IsDir(), base == ".X11-unix":
		return true
	case base == "postmaster.pid" && strings.HasPrefix(name, "var/lib/"):
		return true
	}
	return false
}

func (f *Filter) isSecret(name string, entry fs.DirEntry) bool {
	// What a distribution brings everybody has, such as the keys of tests.
	if strings.HasPrefix(name, "usr/") && !strings.HasPrefix(name, "usr/local/") {
		return false
	}
	base := path.Base(name)
	if slices.Contains(secretNames, base) || strings.HasPrefix(base, ".env.") {
		return true
	}
	if slices.ContainsFunc(secretPaths, func(p string) bool { return name == p || strings.HasSuffix(name, "/"+p) }) {
		return true
	}
	if !entry.Type().IsRegular() {
		return false
	}
	// A file of accounts is not left out but disarmed; see Accounts.
	if slices.Contains(shadowFiles, name) {
		return false
	}
	if strings.HasPrefix(name, "etc/") && strings.HasSuffix(base, "-") && slices.Contains(shadowFiles, strings.TrimSuffix(name, "-")) {
		return true
	}
	switch path.Ext(name) {
	case ".p12", ".pfx", ".jks", ".ppk":
		return true
	}
	if f.mayBeKey(name) {
		return f.holds(name, keyHead, anyKey)
	}
	info, err := entry.Info()
	if err != nil || info.Size() > mostScanned || !slices.ContainsFunc(peoplesFolders, func(dir string) bool { return strings.HasPrefix(name, dir) }) {
		return false // what is gone by now is not packed either
	}
	if f.holds(name, mostScanned, ownKey) {
		return true
	}
	if f.Token != nil && f.holds(name, mostScanned, token) {
		f.Token(name)
	}
	return false
}

// mayBeKey knows by its name what often is a key.
func (f *Filter) mayBeKey(name string) bool {
	switch path.Ext(name) {
	case ".pem", ".key":
		return true
	}
	base := path.Base(name)
	return strings.HasPrefix(base, "id_") || strings.HasPrefix(name, "etc/ssl/private/") || strings.HasPrefix(name, "etc/letsencrypt/")
}

const (
	// keyHead is how much of a file is looked through for a key's first line.
	keyHead = 16 << 10
	// mostScanned keeps all but texts that people write from being read twice.
	mostScanned = 64 << 10
)

// peoplesFolders hold what people write and programs of a distribution do not.
var peoplesFolders = []string{"etc/", "home/", "root/", "srv/", "opt/", "var/www/", "usr/local/"}

var (
	anyKey = regexp.MustCompile(`PRIVATE KEY-----`)
	// ownKey is not one that a program's text speaks of.
	ownKey = regexp.MustCompile(`(?m)(^|"private_key": *")-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----`)
	// token knows those of which services say how they look, and passwords in
	// addresses.
	token = regexp.MustCompile(`\b(A[KS]IA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{40}|glpat-[A-Za-z0-9_-]{20}|` +
		`xox[abprs]-[A-Za-z0-9-]{10}|AIza[0-9A-Za-z_-]{35}|[sr]k_live_[0-9A-Za-z]{20}|npm_[A-Za-z0-9]{36}|dckr_pat_[A-Za-z0-9_-]{20}|` +
		`[a-z][a-z0-9+]*://[^/\s:@'"$<{]+:[^/\s:@'"$<{]+@[a-z0-9])`)
)

// holds looks for something in the beginning of a file. What cannot be read
// cannot be packed either.
func (f *Filter) holds(name string, most int64, what *regexp.Regexp) bool {
	// A pipe that took the file's place must not hold us up.
	file, err := f.machine.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer file.Close()
	head := make([]byte, most)
	n, err := readFull(file, head)
	return err == nil && what.Match(head[:n])
}

// readFull reads as much as there is, up to the buffer.
func readFull(r io.Reader, buffer []byte) (int, error) {
	n, err := io.ReadFull(r, buffer)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return n, nil
	}
	return n, err
}

// shadowFiles hold what passwords are checked against.
var shadowFiles = []string{"etc/shadow", "etc/gshadow"}

// Locked counts the accounts whose password is left out.
func (m *Machine) Locked() int {
	count := 0
	for _, line := range m.lines("etc/shadow") {
		if _, rest, ok := strings.Cut(line, ":"); ok && strings.HasPrefix(rest, "$") {
			count++
		}
	}
	return count
}

// Accounts are the password files without passwords: the accounts stay, and
// nobody can log in to them.
func (m *Machine) Accounts() map[string][]byte {
	files := map[string][]byte{}
	for _, name := range shadowFiles {
		raw := m.read(name)
		if raw == nil {
			continue
		}
		var out bytes.Buffer
		for line := range strings.Lines(string(raw)) {
			fields := strings.Split(strings.TrimSuffix(line, "\n"), ":")
			if len(fields) > 1 {
				fields[1] = "*"
			}
			out.WriteString(strings.Join(fields, ":") + "\n")
		}
		files[name] = out.Bytes()
	}
	return files
}

// diskTypes are file systems of ordinary disks.
var diskTypes = []string{"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "jfs", "reiserfs", "bcachefs", "overlay", "virtiofs", "9p"}

// foreignMounts are the mount points below the root that are not packed, and
// what a live machine swaps to.
func (m *Machine) foreignMounts() map[string]bool {
	foreign := map[string]bool{}
	dir, err := filepath.Abs(m.Dir)
	if err != nil {
		return foreign
	}
	add := func(point string) {
		name, err := filepath.Rel(dir, unescape(point))
		if err == nil && name != "." && filepath.IsLocal(name) && !slices.Contains(emptied, name) {
			foreign[name] = true
		}
	}
	for _, line := range m.kernelLines("self/mountinfo") {
		left, right, ok := strings.Cut(line, " - ")
		fields := strings.Fields(left)
		kinds := strings.Fields(right)
		if ok && len(fields) >= 5 && len(kinds) > 0 && !slices.Contains(diskTypes, kinds[0]) {
			add(fields[4])
		}
	}
	for n, line := range m.kernelLines("swaps") {
		if fields := strings.Fields(line); n > 0 && len(fields) > 1 && fields[1] == "file" {
			add(fields[0])
		}
	}
	return foreign
}

// kernelLines reads what the kernel that runs here says.
func (m *Machine) kernelLines(name string) []string {
	raw, err := os.ReadFile(filepath.Join(m.proc, name))
	if err != nil {
		return nil
	}
	return strings.Split(string(raw), "\n")
}

// unescape reads what mountinfo writes as \040.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}
