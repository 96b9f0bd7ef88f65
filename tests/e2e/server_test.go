//go:build hosttree

package e2e

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/tests/stack"
)

// hostTree is what scripts/ensure-host-tree.sh makes: a Debian server with nginx and PostgreSQL.
const hostTree = repository + "/.cache/host-tree/root"

// A Debian server with nginx and PostgreSQL becomes an image and serves on a node that it was not pushed to, with its page and
// its rows.
func TestDebianServerWithADatabaseMoves(t *testing.T) {
	f := newFixture(t)
	holder := f.joinBare("holder", "operator", "3000000")
	archive := filepath.Join(t.TempDir(), "shop.tar")
	f.packMachine(hostTree, "shop:1", archive, "--suns", "0.15")
	f.pushMachine("shop:1", archive, holder)
	runner := f.joinBare("runner", "operator2", "1000000")
	lease := f.deployMachine("shop:1")
	require.Len(t, lease.On(runner.Node), 1, "the cheaper one")
	placement := lease.Running()[0]

	require.Contains(t, f.page(placement), "A page of the old server")
	require.Equal(t, "1000", f.sql(placement, "select count(*) from items"))
	f.sql(placement, "insert into items (name) values ('written on the network')")
	require.Equal(t, "written on the network", f.sql(placement, "select name from items order by id desc limit 1"))
	f.close(lease.Lease)
}

// page waits for what the server's web port answers.
func (f *fixture) page(p stack.Placement) string {
	f.t.Helper()
	var body string
	err := stack.Eventually(f.ctx, patience, func() (bool, error) {
		status, text, err := stack.Get(f.ctx, endpoint(f.t, p, "web").URL)
		body = text
		return status == 200, err
	})
	require.NoError(f.t, err)
	return body
}

func endpoint(t *testing.T, p stack.Placement, name string) stack.Endpoint {
	t.Helper()
	for _, e := range p.Endpoints {
		if e.Name == name {
			return e
		}
	}
	require.Fail(t, "no such port", "%s: %+v", name, p.Endpoints)
	return stack.Endpoint{}
}

// sql asks the server's database through its published port, with the server's own client.
func (f *fixture) sql(p stack.Placement, statement string) string {
	f.t.Helper()
	host, port, err := net.SplitHostPort(endpoint(f.t, p, "postgresql").Address)
	require.NoError(f.t, err)
	var answer string
	err = stack.Eventually(f.ctx, patience, func() (bool, error) {
		var err error
		answer, err = psql(f.ctx, host, port, statement)
		return err == nil, err
	})
	require.NoError(f.t, err)
	return answer
}

func psql(ctx context.Context, host, port, statement string) (string, error) {
	cmd := exec.CommandContext(ctx, "chroot", hostTree, "psql", "-h", host, "-p", port, "-U", "shop", "-d", "shop",
		"-v", "ON_ERROR_STOP=1", "-qAtc", statement)
	cmd.Env = []string{"PGPASSWORD=shop", "PGCONNECT_TIMEOUT=5", "PATH=/usr/bin:/bin", "LC_ALL=C"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("psql: %w: %s", err, out)
	}
	return strings.TrimSpace(string(out)), nil
}
