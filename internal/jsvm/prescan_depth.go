package jsvm

import (
	"fmt"
	"slices"
)

// scanFrame is one open bracket, with an upper bound of how deep a parser goes in it. Operators count one
// each, wherever they nest to: a+b+c to the left, a=>b=>c to the right, if (a) if (b) downwards.
type scanFrame struct {
	kind frameKind
	head string // the word before it: if, for, switch …

	chain   int // operators since the statement, or the element of a list, began
	operand int // depth of the operand being read: its members and calls, and what is in its brackets
	inner   int // depth of the deepest operand before it
	angles  int // open < of types, which commas do not end
	elses   int // in all: an else goes on with what a semicolon seemed to end
	deepest int // of the statements and elements before this one
	base    int // depth of what is around this bracket

	operators bool // there are some since the statement or declaration began
	labels    int  // of statements that enclose each other
	arrows    int  // parameters of arrow functions within parameters of arrow functions
}

// frameKind says what a bracket holds, as far as that matters to what follows it.
type frameKind int8

const (
	isGroup    frameKind = iota // ( or [
	isTemplate                  // ${
	isBlock                     // statements, after which a statement begins
	isObject                    // an object literal: an operand
	isBody                      // of a function, class, type …: only a parser knows which
)

func (f *scanFrame) depth() int { return f.chain + max(f.inner, f.operand) + f.angles + f.elses }

func (s *scanned) top() *scanFrame { return &s.frames[len(s.frames)-1] }

// settle: a statement or an element of a list has ended.
func (s *scanned) settle(statement bool) {
	f := s.top()
	f.deepest = max(f.deepest, f.depth())
	f.chain, f.operand, f.inner, f.operators = 0, 0, 0, false
	if statement {
		f.angles, f.labels = 0, 0
	}
}

// count checks the depth after something has been added to it.
func (s *scanned) count() {
	f := s.top()
	if s.depth = max(s.depth, f.base+f.depth()); s.depth > s.limits.Operators {
		s.fail(fmt.Sprintf("more than %d operators in one expression or chain; the limit is %d (operators): use several statements, a loop, or a table",
			s.limits.Operators, s.limits.Operators))
	}
}

// operator notes one that takes an operand after it.
func (s *scanned) operator() {
	f := s.top()
	f.chain++
	f.operators = true
	f.inner, f.operand = max(f.inner, f.operand), 0
	s.after(slashBegins, false)
	s.count()
}

// postfix notes that the operand goes on: a member, a call, a tag.
func (s *scanned) postfix() {
	s.top().operand++
	s.count()
}

// beginOperand notes that an operand starts. After another one that ends a statement without a semicolon,
// if there is a line break, or a body of which no value can be meant.
func (s *scanned) beginOperand() {
	switch {
	case s.fresh:
		s.settle(true)
	case s.operand && (s.newline || s.slash == slashUnknown) && !prefixes[s.word]:
		s.settle(true)
	case s.operand:
		s.top().chain++ // words in a row, such as those before a type
	}
	f := s.top()
	f.inner, f.operand = max(f.inner, f.operand), 0
	s.count()
}

// Two things that parsers do to these texts are worse than quadratic: parameters of arrow functions are read
// twice, as an expression first, and each label is reported once for every equal one around it.
const (
	maxArrows = 3
	maxLabels = 20
)

// arrow notes that what the parentheses before it hold are parameters.
func (s *scanned) arrow() {
	f := s.top()
	if s.group > 0 {
		f.arrows = max(f.arrows, s.group)
	}
	if s.group > maxArrows {
		s.fail(fmt.Sprintf("default values of arrow functions hold more than %d arrow functions inside each other; name the inner ones", maxArrows))
	}
}

// label notes a label, or a case, and returns whether it is one.
func (s *scanned) label() bool {
	f := s.top()
	if f.kind != isBlock && f.kind != isBody || !s.labelled {
		return false
	}
	f.labels++
	total := 0
	for i := len(s.frames) - 1; i >= 0 && s.frames[i].labels > 0; i-- {
		total += s.frames[i].labels
	}
	if total > maxLabels {
		s.fail(fmt.Sprintf("more than %d labels inside each other; use functions", maxLabels))
	}
	return true
}

func (s *scanned) endOperand() { s.after(slashDivides, true) }

// after sets what is known of the token just read.
func (s *scanned) after(slash slashMeaning, operand bool) {
	s.slash, s.operand = slash, operand
	s.fresh, s.newline, s.dot, s.word, s.head, s.colon, s.labelled, s.group = false, false, false, "", "", noColon, false, 0
}

func (s *scanned) push(kind frameKind) {
	f := s.top()
	head := ""
	if kind == isGroup {
		head = s.word
	} else if s.head == "switch" {
		head = "switch"
	}
	s.frames = append(s.frames, scanFrame{kind: kind, head: head, base: f.base + f.chain + f.angles + f.elses})
	s.after(slashBegins, false)
	s.fresh = kind == isBlock || kind == isBody
	if depth := len(s.frames) - 1; depth > s.limits.Nesting {
		s.fail(fmt.Sprintf("more than %d open brackets; the limit is %d (nesting): use variables for the inner parts", depth-1, s.limits.Nesting))
	}
}

func (s *scanned) pop() {
	if len(s.frames) == 1 {
		s.endOperand() // the parser reports it
		return
	}
	s.settle(true)
	inner := *s.top()
	s.frames = s.frames[:len(s.frames)-1]
	f := s.top()
	f.operand = max(f.operand, inner.deepest+inner.elses+1)
	s.count()
	f.arrows = max(f.arrows, inner.arrows)
	switch inner.kind {
	case isTemplate:
		s.template()
	case isBlock:
		s.after(slashBegins, false)
		s.fresh = true
	case isBody:
		s.after(slashUnknown, true)
	case isGroup:
		if slices.Contains(heads, inner.head) {
			s.after(slashBegins, false)
			s.head = inner.head
			return
		}
		s.endOperand()
		s.group = inner.arrows + 1
	default:
		s.endOperand()
	}
}

// colonMeaning says what the last one was for.
type colonMeaning int8

const (
	noColon colonMeaning = iota
	colonOfValue
	colonOfStatement
)

// brace tells what an opening brace holds from what is before it.
func (s *scanned) brace() frameKind {
	switch {
	case s.fresh, s.head != "", s.word == "else", s.word == "do", s.word == "try", s.word == "finally":
		return isBlock
	case s.colon == colonOfStatement, s.colon == colonOfValue && s.types:
		return isBody
	case s.operand, s.word == "=>", s.word == ">", s.word == "default":
		return isBody
	}
	return isObject
}
