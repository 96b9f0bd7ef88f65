package host

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// StartPath is where the script lies that starts several services.
const StartPath = "/usr/local/sbin/uai-start"

// quote makes one word of a shell.
func quote(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// quoteKeeping quotes a word of a unit but for variables, which are the
// shell's too.
func quoteKeeping(s string) string {
	if !strings.Contains(s, "$") {
		return quote(s)
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "`", "\\`").Replace(s) + `"`
}

// Script starts the services, passes a request to stop on to each with the
// signal it wants, and ends with the first that ends: what is left of a
// half-dead machine is for a new start to put right.
func (p Plan) Script() []byte {
	var b strings.Builder
	b.WriteString("#!/bin/sh\n# Made by isun uai pack. Starts these services and ends when one of them ends.\n")
	b.WriteString("export HOME=/tmp PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n")
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
	b.WriteString("stopping=\nstop() {\n\tstopping=1\n")
	for i, s := range p.Services {
		signal := s.Stop
		if signal == "" {
			signal = "TERM"
		}
		fmt.Fprintf(&b, "\t[ -z \"$pid%d\" ] || kill -%s \"$pid%d\" 2>/dev/null\n", i, signal, i)
	}
	b.WriteString("}\ntrap stop TERM INT QUIT\n")
	for i, s := range p.Services {
		p.start(&b, i, s)
	}
	b.WriteString("while [ -z \"$stopping\" ]; do\n")
	for i, s := range p.Services {
		fmt.Fprintf(&b, "\tif ! kill -0 \"$pid%d\" 2>/dev/null; then\n\t\techo %s >&2\n\t\tcode=1\n\t\tstop\n\tfi\n", i, quote("uai-start: "+s.Name+" has ended"))
	}
	// A signal ends the wait, not the sleep.
	b.WriteString("\t[ -n \"$stopping\" ] || { sleep 1 & wait $!; }\ndone\nwait\nexit \"${code:-0}\"\n")
	return []byte(b.String())
}

func (p Plan) start(b *strings.Builder, i int, s Service) {
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
		fmt.Fprintf(b, "\texport %s=%s\n", name, quote(value))
	}
	fmt.Fprintf(b, "\texec %s\n) &\npid%d=$!\n", s.Command, i)
}
