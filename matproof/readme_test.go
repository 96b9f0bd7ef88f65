package matproof

import (
	"fmt"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var trailingNumber = regexp.MustCompile(`[0-9]+(\.[0-9]+)?$`)

// readmeTable gives the cells of the table whose first heading is given, by
// the numbers in which row and column headings end.
func readmeTable(t *testing.T, first string) (columns []float64, rows map[float64][]string) {
	t.Helper()
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(readme), "\n| "+first+" | s = ")
	require.True(t, found, first)
	text, _, _ := strings.Cut("s = "+rest, "\n\n")
	lines := strings.Split(text, "\n")
	value := func(cell string) float64 {
		cell = strings.NewReplacer(",", "", " %", "", "2^", "").Replace(strings.TrimSpace(cell))
		v, err := strconv.ParseFloat(trailingNumber.FindString(cell), 64)
		require.NoError(t, err, cell)
		return v
	}
	for _, cell := range strings.Split(strings.Trim(lines[0], "| "), "|") {
		columns = append(columns, value(cell))
	}
	rows = map[float64][]string{}
	for _, line := range lines[2:] {
		cells := strings.Split(strings.Trim(line, "| "), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows[value(cells[0])] = cells[1:]
	}
	require.NotEmpty(t, rows)
	return columns, rows
}

func compare(t *testing.T, first string, cell func(row, column float64) string) {
	t.Helper()
	columns, rows := readmeTable(t, first)
	for row, cells := range rows {
		var want []string
		for _, column := range columns {
			want = append(want, cell(row, column))
		}
		require.Equal(t, want, cells, "%s %v", first, row)
	}
}

func TestReadmeTablesAreWhatIsDerived(t *testing.T) {
	compare(t, "false rows", func(percent, s float64) string {
		return fmt.Sprintf("%.2g", math.Pow(1-percent/100, s))
	})
	compare(t, "tries", func(bits, s float64) string {
		return fmt.Sprintf("%.1f %%", 100*(1-math.Exp2(-bits/s)))
	})
	compare(t, "n", func(n, s float64) string {
		return grouped(strconv.Itoa(mostBytes(int(n), int(s), 64, 32)))
	})
}

func grouped(digits string) string {
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// mostBytes is the README's bound of a proof, for powers of two.
func mostBytes(n, s, context, beacon int) int {
	return headerBytes + context + beacon + 4*n*s + 32*s*int(math.Log2(float64(n/s)))
}

func TestProofsAreWithinTheirBound(t *testing.T) {
	const n, s = 64, 8
	p := prove(t, statement(n))
	for i := range 50 {
		proof, err := p.Open(Challenge{Beacon: number(i), Rounds: 1, Rows: s})
		require.NoError(t, err)
		raw, err := proof.MarshalBinary()
		require.NoError(t, err)
		require.LessOrEqual(t, len(raw), mostBytes(n, s, len(statement(n).Context), 4))
	}
	worst := make([]int, s) // one row in every eighth of the tree
	for i := range worst {
		worst[i] = i * n / s
	}
	require.Equal(t, s*3, countSiblings(n, 0, worst))
}
