package format

import (
	"fmt"
	"time"
)

// Duration writes a duration with its two largest units, the rest cut off: "3d 4h", "5m 20s", "1.2s". Less than a
// millisecond is "0s".
func Duration(d time.Duration) string {
	if d < 0 {
		return "-" + Duration(-d)
	}
	const day = 24 * time.Hour
	switch {
	case d < time.Second:
		return d.Truncate(time.Millisecond).String()
	case d < 10*time.Second:
		return d.Truncate(100 * time.Millisecond).String()
	case d < time.Minute:
		return d.Truncate(time.Second).String()
	case d < time.Hour:
		return pair(d, time.Minute, "m", time.Second, "s")
	case d < day:
		return pair(d, time.Hour, "h", time.Minute, "m")
	default:
		return pair(d, day, "d", time.Hour, "h")
	}
}

// pair writes a duration in two units.
func pair(d, big time.Duration, bigName string, small time.Duration, smallName string) string {
	whole, rest := d/big, d%big/small
	if rest == 0 {
		return fmt.Sprintf("%d%s", whole, bigName)
	}
	return fmt.Sprintf("%d%s %d%s", whole, bigName, rest, smallName)
}

// Bytes writes a size with one digit after the point, rounded down: "13.4 MiB".
func Bytes(n uint64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	size, name := n*10/unit, "KiB"
	for _, next := range []string{"MiB", "GiB", "TiB"} {
		if size < unit*10 {
			break
		}
		size, name = size/unit, next
	}
	return fmt.Sprintf("%d.%d %s", size/10, size%10, name)
}
