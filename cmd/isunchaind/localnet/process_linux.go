package localnet

import "syscall"

// childAttributes keep a terminal's Ctrl-C from reaching the nodes directly, since the network ends them in order, and end
// them when this program is killed outright.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
