//go:build !linux

package localnet

import "syscall"

// childAttributes keep a terminal's Ctrl-C from reaching the nodes directly, since the network ends them in order.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
