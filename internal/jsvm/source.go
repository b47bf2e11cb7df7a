package jsvm

import (
	"strings"

	"github.com/dop251/goja/ast"
)

// whole is the complete text of an arrow function. goja's ends with the last node of the body, so that of
// x => ({a: x}) lacks the parenthesis: it would be a function that shows half of itself, and that could not
// be made again from its source.
func (r *resolver) whole(fn *ast.ArrowFunctionLiteral) string {
	if _, isBlock := fn.Body.(*ast.BlockStatement); isBlock {
		return fn.Source
	}
	missing := openBrackets(fn.Source)
	if missing == 0 {
		return fn.Source
	}
	text := r.file.Source()
	start := int(fn.Start) - r.file.Base()
	if start < 0 || start+len(fn.Source) > len(text) || text[start:start+len(fn.Source)] != fn.Source {
		return fn.Source
	}
	at := start + len(fn.Source)
	for ; missing > 0; missing-- {
		at += blanks(text[at:])
		if at >= len(text) || text[at] != ')' {
			return fn.Source
		}
		at++
	}
	return text[start:at]
}

// openBrackets counts the brackets that a text opens and does not close.
func openBrackets(text string) int {
	if !strings.Contains(text, "(") {
		return 0
	}
	const any = 1 << 30 // it has been bounded
	s, err := prescan(text, Limits{SourceBytes: any, Nesting: any, Operators: any}, false)
	if err != nil {
		return 0
	}
	return len(s.frames) - 1
}

// blanks measures the spaces and comments that a text begins with.
func blanks(text string) int {
	at := 0
	for at < len(text) {
		rest := text[at:]
		end := -1
		switch {
		case strings.HasPrefix(rest, "//"):
			end = strings.IndexByte(rest, '\n')
		case strings.HasPrefix(rest, "/*"):
			if end = strings.Index(rest, "*/"); end >= 0 {
				end += 2
			}
		case strings.TrimLeft(rest, " \t\r\n") != rest:
			end = len(rest) - len(strings.TrimLeft(rest, " \t\r\n"))
		}
		if end < 0 {
			return at
		}
		at += end
	}
	return at
}

// remakeable tells whether a function or class can be made again from its text. It always can, unless
// parser and scanner disagree about where it ends; asking here keeps a row that cannot be read back from
// being written.
func (c *callable) remakeable() bool {
	if known := c.whole.Load(); known != notTried {
		return known == isWhole
	}
	var err error
	if c.kind == kindClass {
		_, _, err = classLiteral(c.source)
	} else {
		_, _, err = functionLiteral(c.source, c.kind == kindMethod)
	}
	found := uint32(isWhole)
	if err != nil {
		found = isBroken
	}
	c.whole.Store(found)
	return err == nil
}

// States of callable.whole.
const (
	notTried = iota
	isWhole
	isBroken
)
