package command

import (
	"errors"
	"net"
	"strings"
)

// Hint says what to do about an error that alone would leave people wondering, or is empty.
func Hint(err error) string {
	var failed *net.OpError
	// Queries turn errors into words on their way.
	if errors.As(err, &failed) && failed.Op == "dial" || err != nil && strings.Contains(err.Error(), "connection refused") {
		return "no node answers there: name one with --node, or start a chain here with `isunchaind localnet`"
	}
	return ""
}
