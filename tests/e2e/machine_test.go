package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/tests/stack"
)

// A machine with a service and its data becomes an image, goes up to one node and serves on another, which has the data.
func TestServerBecomesAnImage(t *testing.T) {
	f := newFixture(t)
	holder := f.joinBare("holder", "operator", "3000000")
	archive := filepath.Join(t.TempDir(), "site.tar")
	f.packMachine(machineTree(t), "site:1", archive, "--port", "web:http:8080", "--suns", demand, "--volume", "data:/var/lib/site:16MiB")
	f.pushMachine("site:1", archive, holder)
	runner := f.joinBare("runner", "operator2", "1000000")
	lease := f.deployMachine("site:1")
	require.Len(t, lease.On(runner.Node), 1, "the cheaper one")
	f.awaitAnswer(lease.Running()[0])
	f.close(lease.Lease)
}

// packMachine packs a machine's root folder into an archive.
func (f *fixture) packMachine(root, name, archive string, more ...string) {
	f.t.Helper()
	_, err := f.Run(f.ctx, "isun", append([]string{"uai", "pack", "--host", "--root", root, "--name", name, "--out", archive}, more...)...)
	require.NoError(f.t, err)
}

// pushMachine brings an archive to a node that has just been started.
func (f *fixture) pushMachine(name, archive string, holder *stack.Worker) {
	f.t.Helper()
	var pushed struct{ Holders []string }
	err := stack.Eventually(f.ctx, patience, func() (bool, error) {
		err := f.Isun(f.ctx, "publisher", &pushed, "uai", "push", name, "--layout", archive)
		return err == nil, err
	})
	require.NoError(f.t, err)
	require.Equal(f.t, []string{holder.Node}, pushed.Holders)
}

// deployMachine orders one replica of what the publisher has pushed.
func (f *fixture) deployMachine(name string) stack.Lease {
	f.t.Helper()
	var lease stack.Lease
	require.NoError(f.t, f.Isun(f.ctx, "tenant", &lease, "deploy", f.Chain.Accounts["publisher"]+"/"+name,
		"--max-price", maxPrice, "--deposit", "5", "--wait-timeout", patience.String()))
	return f.inspect(lease.Lease)
}

// machineTree is the root folder of a small machine: the programs of this one that a start script needs, and a service whose
// greeting is in its state.
func machineTree(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for _, program := range []string{"sh", "cat", "ln", "mkdir", "rm", "sleep"} {
		copyProgram(t, root, program)
	}
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", filepath.Join(root, "usr/local/bin/site"), service)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	for name, content := range map[string]string{
		"etc/passwd":                      "root:x:0:0::/root:/bin/sh\nsite:x:1000:1000::/var/lib/site:/bin/sh\n",
		"etc/shadow":                      "root:$6$hash:1::::::\n",
		"etc/ssh/ssh_host_ed25519_key":    "somebody's",
		"etc/systemd/system/site.service": "[Service]\nUser=site\nStateDirectory=site\nExecStart=/bin/sh -c 'GREETING=$(cat /var/lib/site/greeting) exec /usr/local/bin/site'\n",
		"var/lib/site/greeting":           greeting,
		"tmp/session":                     "of the machine",
	} {
		putFile(t, filepath.Join(root, name), []byte(content), 0o644)
	}
	wants := filepath.Join(root, "etc/systemd/system/multi-user.target.wants")
	require.NoError(t, os.MkdirAll(wants, 0o755))
	require.NoError(t, os.Symlink("/etc/systemd/system/site.service", filepath.Join(wants, "site.service")))
	for _, dir := range []string{"proc", "sys", "dev", "run", "var/tmp"} {
		require.NoError(t, os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	return root
}

func putFile(t *testing.T, path string, content []byte, mode os.FileMode) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, content, mode))
}

// copyProgram copies a program of this machine into /bin of a tree, with the libraries it needs.
func copyProgram(t *testing.T, root, name string) {
	t.Helper()
	program, err := exec.LookPath(name)
	require.NoError(t, err)
	files := map[string]string{program: "/bin/" + name}
	libraries, err := exec.Command("ldd", program).Output()
	require.NoError(t, err)
	for _, word := range strings.Fields(string(libraries)) {
		if filepath.IsAbs(word) {
			files[word] = word
		}
	}
	for from, to := range files {
		content, err := os.ReadFile(from)
		require.NoError(t, err)
		putFile(t, filepath.Join(root, to), content, 0o755)
	}
}
