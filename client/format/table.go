package format

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// columnGap parts the columns of a table.
const columnGap = "  "

// Column is a column of a table.
type Column struct {
	Title string
	// Right aligns numbers by their ends.
	Right bool
}

// Table is rows of text under titles, each column as wide as its widest cell.
type Table struct {
	Columns []Column
	rows    [][]string
}

// NewTable makes a table; a title that begins with '>' belongs to a column aligned to the right.
func NewTable(titles ...string) *Table {
	t := &Table{}
	for _, title := range titles {
		text, right := strings.CutPrefix(title, ">")
		t.Columns = append(t.Columns, Column{Title: text, Right: right})
	}
	return t
}

// Add appends a row. Cells that are missing are empty; an empty cell shows as "-".
func (t *Table) Add(cells ...string) {
	row := make([]string, len(t.Columns))
	for i := range row {
		row[i] = "-"
		if i < len(cells) && cells[i] != "" {
			row[i] = Plain(cells[i])
		}
	}
	t.rows = append(t.rows, row)
}

// Len is the number of rows.
func (t *Table) Len() int { return len(t.rows) }

// Write writes the table.
func (t *Table) Write(w io.Writer) error {
	widths := make([]int, len(t.Columns))
	titles := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		titles[i], widths[i] = c.Title, utf8.RuneCountInString(c.Title)
		for _, row := range t.rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	for _, row := range append([][]string{titles}, t.rows...) {
		if _, err := fmt.Fprintln(w, t.line(row, widths)); err != nil {
			return fmt.Errorf("writing a table: %w", err)
		}
	}
	return nil
}

func (t *Table) line(row []string, widths []int) string {
	cells := make([]string, len(row))
	for i, cell := range row {
		pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
		if t.Columns[i].Right {
			cells[i] = pad + cell
		} else {
			cells[i] = cell + pad
		}
	}
	return strings.TrimRight(strings.Join(cells, columnGap), " ")
}

// Plain is text that others wrote, such as a node's name, made safe for a terminal: control characters, which could rewrite
// the screen, become spaces.
func Plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) {
			return ' '
		}
		return r
	}, s)
}
