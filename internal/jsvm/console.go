package jsvm

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// console bounds what a cell prints: the first half of the budget is passed through at once, of what
// follows the last half is kept and given at the cell's end, with a line on what is missing.
type console struct {
	half    int
	lines   []string
	head    int
	tail    []string
	kept    int
	dropped int
	bytes   int

	expected []string // what a run that is repeated printed
	printed  int
	differs  string // the first line that is another one
}

func newConsole(limit int) *console { return &console{half: max(limit/2, 1)} }

func (c *console) add(line string) {
	line = shorten(line, c.half/2)
	if c.head+len(line)+1 <= c.half && len(c.tail) == 0 && c.dropped == 0 {
		c.head += len(line) + 1
		c.lines = append(c.lines, line)
		c.compare(line)
		return
	}
	c.tail = append(c.tail, line)
	c.kept += len(line) + 1
	for c.kept > c.half && len(c.tail) > 1 {
		size := len(c.tail[0]) + 1
		c.kept -= size
		c.bytes += size
		c.dropped++
		c.tail = c.tail[1:]
	}
}

func (c *console) compare(line string) {
	if c.printed < len(c.expected) && c.differs == "" && c.expected[c.printed] != line {
		want, got := window(c.expected[c.printed], line)
		c.differs = fmt.Sprintf("line %d was %q, now %q", c.printed+1, want, got)
	}
	c.printed++
}

// take returns the lines that are due.
func (c *console) take() []string {
	out := c.lines
	c.lines = nil
	return out
}

// finish returns what was held back.
func (c *console) finish() []string {
	var out []string
	if c.dropped > 0 {
		out = append(out, fmt.Sprintf("… (%d lines, %d bytes omitted; the limit is %d a cell, console_bytes)", c.dropped, c.bytes, 2*c.half))
	}
	out = append(out, c.tail...)
	c.tail = nil
	return out
}

// shorten cuts the middle out of a line that is too long.
func shorten(line string, limit int) string {
	if limit < 64 {
		limit = 64
	}
	if len(line) <= limit {
		return line
	}
	head, tail := limit*2/3, len(line)-limit/4
	for head > 0 && !utf8.RuneStart(line[head]) {
		head--
	}
	for tail < len(line) && !utf8.RuneStart(line[tail]) {
		tail++
	}
	var b strings.Builder
	b.WriteString(line[:head])
	fmt.Fprintf(&b, " … (%d characters omitted) … ", utf8.RuneCountInString(line[head:tail]))
	b.WriteString(line[tail:])
	return b.String()
}
