package probe

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// maxFile bounds what is read of a file: a cpuinfo of a thousand threads has
// two megabytes.
const maxFile = 16 << 20

// readText is a file's text without the white space around it; ok is false
// when there is no such file, or the kernel has nothing to say in it.
func readText(path ...string) (text string, ok bool, err error) {
	name := filepath.Join(path...)
	info, err := os.Stat(name)
	if absent(err) {
		return "", false, nil
	}
	if err == nil && info.Size() > maxFile {
		err = fmt.Errorf("%s: %d bytes are too many", name, info.Size())
	}
	if err != nil {
		return "", false, err
	}
	raw, err := os.ReadFile(name)
	if absent(err) || errors.Is(err, syscall.EINVAL) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	return strings.Trim(string(raw), " \t\n\x00"), true, nil
}

// absent: a file that is not there, and a path that leads through one.
func absent(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) }

// textOf is readText where a file that cannot be read is as good as none.
func textOf(path ...string) string {
	text, _, _ := readText(path...)
	return text
}

// numberOf is the number in a file; ok is false if there is none.
func numberOf(path ...string) (n int64, ok bool) {
	n, err := strconv.ParseInt(textOf(path...), 10, 64)
	return n, err == nil
}

// exists says whether there is such a file or folder.
func exists(path ...string) bool {
	_, err := os.Stat(filepath.Join(path...))
	return err == nil
}

// names lists a folder, sorted; nothing if there is no such folder.
func names(path ...string) []string {
	entries, _ := os.ReadDir(filepath.Join(path...))
	list := make([]string, len(entries))
	for i, e := range entries {
		list[i] = e.Name()
	}
	return list
}

// maxListed bounds the numbers of a kernel list, above any machine's.
const maxListed = 1 << 16

// parseList reads a kernel list such as "0-3,8", in order.
func parseList(list string) ([]int, error) {
	var numbers []int
	for part := range strings.SplitSeq(list, ",") {
		low, high, ranged := strings.Cut(part, "-")
		from, err := strconv.Atoi(low)
		if err != nil {
			return nil, fmt.Errorf("list %q: %w", list, err)
		}
		to := from
		if ranged {
			if to, err = strconv.Atoi(high); err != nil {
				return nil, fmt.Errorf("list %q: %w", list, err)
			}
		}
		if to < from {
			return nil, fmt.Errorf("list %q runs backwards", list)
		}
		if to-from+len(numbers) >= maxListed {
			return nil, fmt.Errorf("list %q has more than %d numbers", list, maxListed)
		}
		for n := from; n <= to; n++ {
			numbers = append(numbers, n)
		}
	}
	return numbers, nil
}
