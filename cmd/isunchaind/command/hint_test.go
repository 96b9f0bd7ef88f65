package command_test

import (
	"errors"
	"fmt"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/cmd/isunchaind/command"
)

func TestHint(t *testing.T) {
	dial := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("no route to host")}
	require.Contains(t, command.Hint(fmt.Errorf("post failed: %w", dial)), "isunchaind localnet")
	require.Contains(t, command.Hint(errors.New("rpc error: dial tcp 127.0.0.1:1: connect: connection refused")), "--node")
	require.Empty(t, command.Hint(errors.New("lease not found")))
	require.Empty(t, command.Hint(nil))
}
