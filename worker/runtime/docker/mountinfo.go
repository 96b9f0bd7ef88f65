package docker

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

const mountInfoPath = "/proc/self/mountinfo"

// mountPoints returns the paths at which something is mounted.
func mountPoints() (map[string]bool, error) {
	raw, err := os.ReadFile(mountInfoPath)
	if err != nil {
		return nil, fmt.Errorf("read mounts: %w", err)
	}
	return parseMountInfo(string(raw)), nil
}

// parseMountInfo takes the fifth field of each line, proc(5).
func parseMountInfo(text string) map[string]bool {
	points := map[string]bool{}
	for line := range strings.Lines(text) {
		if fields := strings.Fields(line); len(fields) > 4 {
			points[unescapeOctal(fields[4])] = true
		}
	}
	return points
}

// unescapeOctal undoes \040 and the like, which stand for blanks in paths.
func unescapeOctal(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// mountsBelow lists mount points inside a folder, innermost first.
func mountsBelow(dir string) ([]string, error) {
	points, err := mountPoints()
	if err != nil {
		return nil, err
	}
	var below []string
	for p := range points {
		if strings.HasPrefix(p, dir+"/") {
			below = append(below, p)
		}
	}
	slices.SortFunc(below, func(a, b string) int { return len(b) - len(a) })
	return below, nil
}
