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
	// Hang runs until it is stopped, and then exits with 0. It prints Ready
	// once it hears a signal.
	Hang = "hang"
	// Stubborn runs and ignores every signal but SIGKILL. It prints Ready once
	// it does.
	Stubborn = "stubborn"
	// Ready is what programs print that have to be listening to signals.
	Ready = "ready"
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

	// What follows tries to take more than its share, says what came of it
	// in a line each, prints Done and hangs.

	// Spin THREADS keeps so many threads busy until it is stopped; it is Done
	// when they have begun.
	Spin = "spin"
	// Hog KIND… takes memory in each of the ways in turn, in a process of its
	// own, until something ends that; see the Hog constants.
	Hog = "hog"
	// Bomb MILLISECONDS starts processes for so long, whatever the answer, and
	// keeps them.
	Bomb = "bomb"
	// Fill DIR… writes to each folder until that is refused: one large file,
	// then empty ones, then one with holes. It prints "DIR BYTES FILES".
	Fill = "fill"
	// Shout MIB writes so much to standard output, in short lines.
	Shout = "shout"
	// Descriptors opens files until that is refused and prints how many.
	Descriptors = "descriptors"
	// Flood HOST:PORT FLOWS sends by TCP and UDP, so many flows each, until it
	// is stopped; the host Gateway means the default route.
	Flood = "flood"
	// Dots HOST N sends one UDP packet from each of N ports: N connections, for
	// the kernel's table of them.
	Dots = "dots"
	// Sink PORT takes whatever comes by TCP and UDP, until it is stopped.
	Sink = "sink"
	// Escape tries to undo its limits and prints what was allowed.
	Escape = "escape"

	// Done is the last line of those that hang afterwards.
	Done = "done"

	// HogAnonymous touches memory of the process.
	HogAnonymous = "anonymous"
	// HogLocked locks memory.
	HogLocked = "locked"
	// HogShared fills /dev/shm.
	HogShared = "shared"
	// HogNames makes empty files in /dev/shm, which fill the kernel's memory.
	HogNames = "names"
	// HogCache reads and writes more of a file in /tmp than memory holds.
	HogCache = "cache"
	// HogSockets fills the buffers of connections that nobody reads.
	HogSockets = "sockets"

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
