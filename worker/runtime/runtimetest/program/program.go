// Package program names what the containers of the conformance suite do: first
// arguments that the probe binary understands as a real process and the fake
// runtime as the description of one.
package program

// The programs.
const (
	// Serve PORT answers HTTP until it is stopped.
	Serve = "serve"
	// Exit CODE [MESSAGE] writes the message to standard output and
	// "error: MESSAGE" to standard error, and exits.
	Exit = "exit"
	// Hang runs until it is stopped, and then exits with 0.
	Hang = "hang"
	// Stubborn runs and ignores every signal but SIGKILL.
	Stubborn = "stubborn"
	// Alloc MIB touches so much memory and exits with 0.
	Alloc = "alloc"
	// Fork N starts so many processes; ExitForkFailed if it cannot.
	Fork = "fork"
	// Write PATH MIB writes a file; ExitNoSpace or ExitReadOnly if the file
	// system refuses.
	Write = "write"
	// Dial HOST:PORT connects by TCP; the host Gateway means the default
	// route. ExitUnreachable if nothing answers in two seconds.
	Dial = "dial"
	// Status prints Cap*, NoNewPrivs and Seccomp of /proc/self/status.
	Status = "status"
	// Burn MILLISECONDS keeps one core busy so long and then hangs.
	Burn = "burn"
	// Env NAME prints one environment variable.
	Env = "env"
	// Open PATH opens a device for reading and writing. ExitNoDevice if it is
	// not there, ExitForbidden if the kernel refuses.
	Open = "open"

	// Gateway stands for the default route's address in Dial.
	Gateway = "gateway"
)

// Exit codes of the programs.
const (
	ExitNoDevice    = 6
	ExitUnreachable = 7
	ExitForkFailed  = 11
	ExitForbidden   = 13
	ExitNoSpace     = 28
	ExitReadOnly    = 30
	ExitUsage       = 64
)
