package main

import (
	"bytes"
	"go/ast"
	"go/token"
	"strings"

	"golang.org/x/tools/go/analysis"
)

// excusePrefix begins a comment that excuses its line or, standing alone, the next one.
const excusePrefix = "//consensus:ok"

// excuse is one such comment.
type excuse struct {
	pos     token.Pos
	ownLine bool // no code stands before it
	used    bool
}

// readExcuses returns a file's excuses by line, and reports those that give no reason.
func readExcuses(pass *analysis.Pass, file *ast.File) map[int]*excuse {
	excuses := map[int]*excuse{}
	name := pass.Fset.Position(file.FileStart).Filename
	var source [][]byte
	for _, group := range file.Comments {
		for _, comment := range group.List {
			reason, ok := strings.CutPrefix(comment.Text, excusePrefix)
			if !ok {
				continue
			}
			if strings.TrimSpace(reason) == "" {
				pass.Reportf(comment.Pos(), "%s needs a reason", excusePrefix)
				continue
			}
			if source == nil {
				source = readLines(pass, name)
			}
			position := pass.Fset.Position(comment.Pos())
			excuses[position.Line] = &excuse{
				pos:     comment.Pos(),
				ownLine: startsLine(source, position),
			}
		}
	}
	return excuses
}

// readLines returns the lines of a file, or none when it cannot be read, which makes every excuse
// stand for its own line only.
func readLines(pass *analysis.Pass, name string) [][]byte {
	content, err := pass.ReadFile(name)
	if err != nil {
		return [][]byte{}
	}
	return bytes.Split(content, []byte("\n"))
}

// startsLine is true when only space stands before the position on its line.
func startsLine(lines [][]byte, position token.Position) bool {
	if position.Line > len(lines) || position.Column-1 > len(lines[position.Line-1]) {
		return false
	}
	return len(bytes.TrimSpace(lines[position.Line-1][:position.Column-1])) == 0
}

// reportIdleExcuses reports excuses that excuse nothing: they would hide the next mistake.
func (c *fileChecker) reportIdleExcuses() {
	for _, excuse := range c.excuses {
		if !excuse.used {
			c.pass.Reportf(excuse.pos, "%s excuses nothing", excusePrefix)
		}
	}
}
