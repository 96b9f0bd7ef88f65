package host

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// StartPath is where the script lies that starts the services.
const StartPath = "/usr/local/sbin/uai-start"

// quote makes one word of a shell.
func quote(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// quoteKeeping quotes a word of a unit but for variables, which are the
// shell's too. What only a shell would run stays text.
func quoteKeeping(s string) string {
	if !strings.Contains(s, "$") {
		return quote(s)
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "`", "\\`", "$(", `\$(`).Replace(s) + `"`
}

// scriptHead is the part that is the same for all machines.
const scriptHead = `#!/bin/sh
# Made by isun uai pack. Starts these services and ends when one of them ends.
export HOME=/tmp PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
stopping=
alive() { kill -0 "$1" 2>/dev/null; }
# written FILE: the process number that a service in the background writes there
written() {
	tries=0
	while [ ! -s "$1" ] && [ "$tries" -lt 30 ]; do
		sleep 1
		tries=$((tries + 1))
	done
	cat "$1" 2>/dev/null
}
# ended NAME PROCESS
ended() {
	wait "$2" 2>/dev/null
	code=$?
	echo "uai-start: $1 has ended with code $code" >&2
	[ "$code" -ne 0 ] || code=1
	stop
}
`

// Script starts the services, passes a request to stop on to each with the
// signal it wants, and ends with the first that ends: what is left of a
// half-dead machine is for a new start to put right.
func (p Plan) Script() []byte {
	var b strings.Builder
	b.WriteString(scriptHead)
	var dirs []string
	for _, s := range p.Services {
		for _, dir := range s.runDirs {
			dirs = append(dirs, quote(path.Join("/run", dir)))
		}
	}
	slices.Sort(dirs)
	if dirs = slices.Compact(dirs); len(dirs) > 0 {
		fmt.Fprintf(&b, "mkdir -p %s\n", strings.Join(dirs, " "))
	}
	b.WriteString("stop() {\n\tstopping=1\n")
	for i, s := range p.Services {
		signal := s.Stop
		if signal == "" {
			signal = "TERM"
		}
		fmt.Fprintf(&b, "\t[ -z \"$pid%d\" ] || kill -%s \"$pid%d\" 2>/dev/null\n", i, quote(signal), i)
	}
	b.WriteString("}\ntrap stop TERM INT QUIT\n")
	for i, s := range p.Services {
		start(&b, i, s)
	}
	// A request may have come before the last was started.
	b.WriteString("\n[ -z \"$stopping\" ] || stop\nwhile [ -z \"$stopping\" ]; do\n")
	for i, s := range p.Services {
		fmt.Fprintf(&b, "\t[ -n \"$stopping\" ] || alive \"$pid%d\" || ended %s \"$pid%d\"\n", i, quote(s.Name), i)
	}
	// A signal ends the wait, not the sleep.
	b.WriteString("\t[ -n \"$stopping\" ] || { sleep 1 & wait $!; }\ndone\nwait\n")
	for i, s := range p.Services {
		if s.pidFile != "" {
			// It is nobody's child here, so there is nothing to wait for.
			fmt.Fprintf(&b, "while alive \"$pid%d\"; do sleep 1; done\n", i)
		}
	}
	b.WriteString("exit \"${code:-0}\"\n")
	return []byte(b.String())
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func start(b *strings.Builder, i int, s Service) {
	fmt.Fprintf(b, "\n# %s, from %s\n", s.Name, strings.ReplaceAll(s.From, "\n", " "))
	for _, line := range s.Before {
		b.WriteString(line + "\n")
	}
	b.WriteString("(\n")
	if s.Dir != "" {
		fmt.Fprintf(b, "\tcd %s\n", quote(s.Dir))
	}
	for _, variable := range s.Env {
		name, value, _ := strings.Cut(variable, "=")
		if variableName.MatchString(name) {
			fmt.Fprintf(b, "\texport %s=%s\n", name, quote(value))
		}
	}
	if s.pidFile != "" {
		fmt.Fprintf(b, "\trm -f %[1]s\n\texec %[2]s\n)\npid%[3]d=$(written %[1]s)\n", quote(s.pidFile), s.Command, i)
		return
	}
	fmt.Fprintf(b, "\texec %s\n) &\npid%d=$!\n", s.Command, i)
}
