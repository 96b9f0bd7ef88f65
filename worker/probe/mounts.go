package probe

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// mount is one line of /proc/self/mountinfo.
type mount struct {
	// device is "major:minor".
	device string
	root   string
	point  string
	fsType string
	source string
	// options are those of the mount and of its file system.
	options []string
}

// mounts lists them in the order they were made: of two at the same point the
// later one hides the earlier.
func (h Host) mounts() ([]mount, error) {
	text, ok, err := readText(h.Proc, "self/mountinfo")
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, errors.New("the kernel lists no mounts")
	}
	var list []mount
	for line := range strings.SplitSeq(text, "\n") {
		m, err := parseMount(line)
		if err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	return list, nil
}

// parseMount reads "id parent major:minor root point options [tags] - type
// source superoptions".
func parseMount(line string) (mount, error) {
	before, after, ok := strings.Cut(line, " - ")
	first, last := strings.Fields(before), strings.Fields(after)
	if !ok || len(first) < 6 || len(last) < 2 {
		return mount{}, fmt.Errorf("line %q of mountinfo", line)
	}
	m := mount{
		device: first[2], root: unescape(first[3]), point: unescape(first[4]),
		fsType: last[0], source: unescape(last[1]), options: strings.Split(first[5], ","),
	}
	if len(last) > 2 {
		for option := range strings.SplitSeq(last[2], ",") {
			// The folders of an overlay have an engine's random names in them.
			if !slices.Contains(m.options, option) && !strings.Contains(option, "dir=") {
				m.options = append(m.options, option)
			}
		}
	}
	return m, nil
}

// unescape undoes what the kernel does to blanks in paths.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// mountOf is the mount that a folder is on.
func mountOf(list []mount, dir string) (mount, bool) {
	var found mount
	for _, m := range list {
		under := m.point == "/" || dir == m.point || strings.HasPrefix(dir, m.point+"/")
		if under && len(m.point) >= len(found.point) {
			found = m
		}
	}
	return found, found.point != ""
}
