package host

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const passwd = "root:x:0:0::/root:/bin/sh\nwww-data:x:33:33::/var/www:/bin/false\npostgres:x:100:101::/var/lib/postgresql:/bin/sh\napp:x:1000:1000::/srv/app:/bin/sh\n"

// machine is a root folder with these files; a name that ends in a slash is a
// folder, a content that begins with "-> " a link.
func machine(t *testing.T, files map[string]string) *Machine {
	t.Helper()
	dir := t.TempDir()
	if files["etc/passwd"] == "" {
		files["etc/passwd"] = passwd
	}
	for name, content := range files {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		target, link := strings.CutPrefix(content, "-> ")
		switch {
		case link:
			require.NoError(t, os.Symlink(target, path))
		case strings.HasSuffix(name, "/"):
			require.NoError(t, os.MkdirAll(path, 0o755))
		default:
			require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
		}
	}
	m, err := Open(dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	return m
}

// server is a Debian machine with nginx and PostgreSQL.
func server() map[string]string {
	return map[string]string{
		"etc/systemd/system/multi-user.target.wants/nginx.service":      "-> /lib/systemd/system/nginx.service",
		"etc/systemd/system/multi-user.target.wants/postgresql.service": "-> /lib/systemd/system/postgresql.service",
		"etc/systemd/system/multi-user.target.wants/ssh.service":        "-> /lib/systemd/system/ssh.service",
		"etc/nginx/nginx.conf":                      "events {}\n",
		"etc/nginx/sites-available/default":         "server {\n  listen 80 default_server;\n  listen [::]:80;\n  # listen 99;\n  listen 127.0.0.1:8080;\n}\n",
		"etc/nginx/sites-enabled/default":           "-> /etc/nginx/sites-available/default",
		"etc/postgresql/15/main/postgresql.conf":    "data_directory = '/var/lib/postgresql/15/main'\t# here\n#listen_addresses = 'x'\nport = 5433\n",
		"etc/postgresql/15/main/conf.d/open.conf":   "listen_addresses = '*'\n",
		"etc/postgresql/15/old/postgresql.conf":     "",
		"etc/postgresql/15/old/start.conf":          "# comment\nmanual\n",
		"var/lib/postgresql/15/main/PG_VERSION":     "15\n",
		"var/lib/postgresql/15/main/postmaster.pid": "1\n",
		"var/lib/postgresql/15/old/PG_VERSION":      "15\n",
		"var/log/nginx/access.log":                  "line\n",
		"etc/shadow":                                "root:$6$hash:1::::::\npostgres:!:1::::::\n",
		"run/":                                      "",
	}
}

func TestServicesOfADebianServerAreFound(t *testing.T) {
	plan := machine(t, server()).Look()
	require.Len(t, plan.Services, 2)
	require.Equal(t, "nginx", plan.Services[0].Name)
	require.Equal(t, "postgresql-15-main", plan.Services[1].Name)
	require.Contains(t, strings.Join(plan.Notes, "\n"), "postgresql-15-main may be writing", "there is a postmaster.pid")
	require.Equal(t, "postgres", plan.User.Name, "a database insists on its own user")
	require.Equal(t, []Port{{"nginx", 80, false}, {"nginx", 8080, false}, {"postgresql-15-main", 5433, false}}, plan.Ports)
	var persistent []string
	for _, v := range plan.Volumes {
		if v.Persistent {
			persistent = append(persistent, v.Path)
		}
	}
	require.Equal(t, []string{"/var/lib/postgresql"}, persistent)
}

func TestUnitsAndScriptsAreRead(t *testing.T) {
	plan := machine(t, map[string]string{
		"etc/systemd/system/multi-user.target.wants/app.service": "-> /etc/systemd/system/app.service",
		"etc/systemd/system/app.service": "[Unit]\nDescription=x\n[Service]\nUser=app\nWorkingDirectory=/srv/app\nEnvironment=\"A=b c\" BAD-NAME=x\nEnvironmentFile=-/etc/default/app\n" +
			"ExecStart=/srv/app/run --listen $PORT \\\n  --name \"it's\" $(reboot)\nStateDirectory=app/cache app\nCacheDirectory=app\nRuntimeDirectory=app\nKillSignal=SIGHUP\n",
		"etc/default/app": "# comment\nPORT=\"80\"\n",
		"etc/systemd/system/multi-user.target.wants/once.service":  "-> /etc/systemd/system/once.service",
		"etc/systemd/system/once.service":                          "[Service]\nType=oneshot\nExecStart=/bin/once\n",
		"etc/systemd/system/multi-user.target.wants/forks.service": "-> /etc/systemd/system/forks.service",
		"etc/systemd/system/forks.service":                         "[Service]\nType=forking\nExecStart=/bin/forks\nPIDFile=forks.pid\n",
		"etc/systemd/system/multi-user.target.wants/lost.service":  "-> /etc/systemd/system/lost.service",
		"etc/systemd/system/lost.service":                          "[Service]\nType=forking\nExecStart=/bin/lost\n",
		"etc/rc2.d/S01old":                                         "-> ../init.d/old",
		"etc/init.d/old":                                           "#!/bin/sh\nNAME=old\nDAEMON=/usr/sbin/$NAME\nPIDFILE=/run/$NAME.pid\nDAEMON_ARGS=\"--quiet\"\nX=$(reboot)\n",
		"etc/default/old":                                          "DAEMON_ARGS=\"--port 99\"\n",
		"usr/sbin/old":                                             "program",
	}).Look()
	found := map[string]Service{}
	for _, s := range plan.Services {
		found[s.Name] = s
	}
	require.Len(t, found, 4)
	app := found["app"]
	require.Equal(t, `/srv/app/run --listen "$PORT" --name 'it'\''s' "\$(reboot)"`, app.Command)
	require.Equal(t, []string{"A=b c", "BAD-NAME=x", "PORT=80"}, app.Env)
	require.Equal(t, "HUP", app.Stop)
	require.Equal(t, "app", plan.User.Name)
	require.Len(t, plan.Volumes, 2, "one within another cannot be mounted")
	require.Equal(t, "/var/lib/app", plan.Volumes[0].Path)
	require.Equal(t, "/run/forks.pid", found["forks"].pidFile)
	require.Equal(t, "/usr/sbin/old --port 99", found["old"].Command)
	require.Equal(t, "/run/old.pid", found["old"].pidFile)
	require.Contains(t, strings.Join(plan.Notes, "\n"), "lost goes to the background")
	require.NotContains(t, string(plan.Script()), "BAD-NAME")
	requireShell(t, plan.Script())
}

// requireShell wants a script that a shell can read.
func requireShell(t *testing.T, script []byte) {
	t.Helper()
	check := exec.Command("sh", "-n")
	check.Stdin = bytes.NewReader(script)
	out, err := check.CombinedOutput()
	require.NoError(t, err, "%s\n%s", out, script)
}

func pack(t *testing.T, m *Machine, change ...func(*Filter)) (entries map[string]*tar.Header, secrets, warnings []string) {
	t.Helper()
	filter := m.Filter()
	filter.Secret = func(name string) { secrets = append(secrets, name) }
	for _, c := range change {
		c(filter)
	}
	var out bytes.Buffer
	require.NoError(t, m.Stream(&out, m.Look(), filter, func(name, _ string) { warnings = append(warnings, name) }))
	entries = map[string]*tar.Header{}
	for reader := tar.NewReader(&out); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return entries, secrets, warnings
		}
		require.NoError(t, err)
		content, err := io.ReadAll(reader)
		require.NoError(t, err)
		header.Linkname += string(content)
		entries[strings.TrimSuffix(header.Name, "/")] = header
	}
}

func TestWhatIsTheMachinesStaysOut(t *testing.T) {
	files := server()
	for _, name := range []string{
		"proc/1/x", "sys/x", "dev/x", "tmp/x", "boot/vmlinuz", "lib/modules/6/x.ko", "etc/machine-id", "etc/ssh/ssh_host_rsa_key", "var/lib/cloud/x",
		"var/cache/apt/x.deb", "var/lib/apt/lists/x", "etc/fstab", "home/app/.cache/x", "var/lib/docker/x", "swapfile",
	} {
		files[name] = "x"
	}
	entries, _, _ := pack(t, machine(t, files))
	for name := range files {
		switch {
		case strings.HasPrefix(files[name], "-> "), strings.HasPrefix(name, "etc/nginx"), strings.HasPrefix(name, "etc/postgresql"):
			require.Contains(t, entries, name)
		case files[name] == "x", strings.HasPrefix(name, "var/log/"), strings.HasSuffix(name, ".pid"):
			require.NotContains(t, entries, name)
		}
	}
	for _, dir := range []string{"proc", "sys", "dev", "tmp", "var/cache", "var/log/nginx"} {
		require.Contains(t, entries, dir, "a place to mount on, or to write to, stays")
	}
	require.EqualValues(t, 0o1777, entries["run"].Mode)
	require.Equal(t, 100, entries["var/lib/postgresql/15/main"].Uid)
	require.Equal(t, "root:*:1::::::\npostgres:*:1::::::\n", entries["etc/shadow"].Linkname)
	require.Contains(t, entries["usr/local/sbin/uai-start"].Linkname, "postgresql/15/bin/postgres")
}

func TestSecretsAreFoundAndLeftOut(t *testing.T) {
	const key = "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n"
	files := map[string]string{
		"root/.ssh/id_ed25519": key, "srv/app/.env": "PASSWORD=x", "srv/app/.env.production": "x", "etc/ssl/private/site.key": key,
		"home/app/notes.txt": "my key:\n" + key, "srv/app/account.json": `{"private_key": "-----BEGIN PRIVATE KEY-----\nabc"}`, "etc/shadow-": "root:$6$x:1",
		"opt/x/store.p12": "binary",
	}
	kept := map[string]string{
		"etc/ssl/certs/ca.pem": "-----BEGIN CERTIFICATE-----\n", "usr/lib/python3/tests/test.key": key, "usr/lib/node/.npmrc": "x", "srv/app/keys.go": "const head = `-----BEGIN PRIVATE KEY-----`\n",
		"etc/app.conf": "db=postgres://shop:secret@db/shop\n", "srv/app/ci.yml": "token: ghp_" + strings.Repeat("a", 36) + "\n", "etc/plain.conf": "url=https://example.org/a:b@c\n",
	}
	all := map[string]string{}
	for _, set := range []map[string]string{files, kept} {
		for name, content := range set {
			all[name] = content
		}
	}
	m := machine(t, all)
	var tokens []string
	entries, secrets, _ := pack(t, m, func(f *Filter) { f.Token = func(name string) { tokens = append(tokens, name) } })
	for name := range files {
		require.NotContains(t, entries, name)
	}
	require.Len(t, secrets, len(files), "%v", secrets)
	for name := range kept {
		require.Contains(t, entries, name)
	}
	require.ElementsMatch(t, []string{"etc/app.conf", "srv/app/ci.yml"}, tokens)
	entries, _, _ = pack(t, m, func(f *Filter) { f.WithSecrets = true })
	require.Contains(t, entries, "root/.ssh/id_ed25519")
}

// A tree may be anybody's: whatever lies in it, nothing of the machine that
// packs it gets in, and nothing holds it up.
func TestHostileTree(t *testing.T) {
	outside := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(outside, "nginx.conf"), []byte("listen 666;"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(outside, "shadow"), []byte("theirs:$6$x:1\n"), 0o644))
	m := machine(t, map[string]string{
		"etc/passwd": "-> /etc/passwd", "etc/shadow": "-> " + outside + "/shadow", "etc/nginx": "-> " + outside,
		"etc/systemd/system/multi-user.target.wants": "-> /../../../../etc/systemd/system/multi-user.target.wants",
		"etc/rc2.d/S01evil\nname":                    "-> loop", "etc/init.d/loop": "-> loop", "srv/with\nnewline": "x",
		"etc/rc2.d/S01nginx": "-> ../init.d/nginx", "usr/local/sbin": "-> ../../opt/sbin", "opt/sbin/x": "",
		"etc/rc2.d/S01ok": "", "etc/init.d/ok": "DAEMON=/bin/ok\nDAEMON_ARGS='; reboot'\n", "bin/ok": "",
	})
	require.NoError(t, syscall.Mkfifo(filepath.Join(m.Dir, "etc/default"), 0o600))
	require.NoError(t, syscall.Mkfifo(filepath.Join(m.Dir, "srv/server.key"), 0o600))
	done := make(chan struct{})
	go func() {
		defer close(done)
		plan := m.Look()
		if len(plan.Services) != 1 || plan.Services[0].Command != "/bin/ok ';' reboot" {
			t.Errorf("%+v", plan.Services)
		}
		entries, _, _ := pack(t, m)
		for name, h := range entries {
			if strings.Contains(h.Linkname, "theirs") || strings.Contains(h.Linkname, "666") {
				t.Errorf("%s came from outside", name)
			}
		}
		for _, name := range []string{"srv/with\nnewline", "srv/server.key", "opt/sbin/uai-start"} {
			if entries[name] == nil {
				t.Errorf("%q is missing", name)
			}
		}
		if entries["etc/nginx"].Typeflag != tar.TypeSymlink {
			t.Error("a link is packed as a link")
		}
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("a pipe holds it up")
	}
}

func TestPackingAMachineTwiceIsTheSame(t *testing.T) {
	m := machine(t, server())
	var first, second bytes.Buffer
	require.NoError(t, m.Stream(&first, m.Look(), m.Filter(), nil))
	require.NoError(t, os.Chtimes(filepath.Join(m.Dir, "etc/passwd"), time.Unix(1, 0), time.Unix(1, 0)))
	require.NoError(t, m.Stream(&second, m.Look(), m.Filter(), nil))
	require.True(t, bytes.Equal(first.Bytes(), second.Bytes()))
}

// runScript runs what starts services in a shell of this machine.
func runScript(t *testing.T, services ...Service) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "start")
	require.NoError(t, os.WriteFile(path, Plan{Services: services}.Script(), 0o755))
	var out bytes.Buffer
	cmd := exec.Command("sh", path)
	cmd.Stdout, cmd.Stderr = &out, &out
	require.NoError(t, cmd.Start())
	return cmd, &out
}

func TestScriptEndsWithTheFirstServiceAndStopsTheOthers(t *testing.T) {
	stopped := filepath.Join(t.TempDir(), "stopped")
	cmd, out := runScript(t,
		Service{Name: "lives", Command: `sh -c 'trap "echo got >` + stopped + `; exit" USR1; while :; do sleep 0.1; done'`, Stop: "USR1"},
		Service{Name: "dies", Command: "sh -c 'sleep 0.5; exit 7'"})
	var exit *exec.ExitError
	require.ErrorAs(t, cmd.Wait(), &exit)
	require.Equal(t, 7, exit.ExitCode(), "%s", out)
	require.Contains(t, out.String(), "dies has ended with code 7")
	require.FileExists(t, stopped, "with the signal it asked for")
}

func TestScriptPassesOnARequestToStop(t *testing.T) {
	dir := t.TempDir()
	pidFile, ready := filepath.Join(dir, "pid"), filepath.Join(dir, "ready")
	cmd, out := runScript(t,
		Service{Name: "front", Command: "sh -c 'trap \"exit 0\" TERM; echo up >" + ready + "; while :; do sleep 0.1; done'"},
		Service{Name: "back", Command: "sh -c 'sleep 60 </dev/null >/dev/null 2>&1 & echo $! >" + pidFile + "'", pidFile: pidFile})
	require.Eventually(t, func() bool {
		_, errA := os.Stat(ready)
		raw, errB := os.ReadFile(pidFile)
		return errA == nil && errB == nil && len(raw) > 0
	}, 10*time.Second, 10*time.Millisecond)
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, cmd.Wait(), "%s", out)
	raw, err := os.ReadFile(pidFile)
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	require.NoError(t, err)
	require.Error(t, syscall.Kill(pid, 0), "what went to the background has ended too")
}
