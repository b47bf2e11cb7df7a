package jsvm

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// prescan bounds source text before any parser sees it: goja and esbuild are recursive and partly
// quadratic, so 60,000 open braces or a sum of 60,000 terms keep them busy for ten seconds where no
// interrupt reaches, and may end the process. The scan is lexical. What a slash means depends on what is
// before it; where that cannot be known without parsing the slash is refused, so that nothing hides from
// the scan in what it takes for a comment, a string or a regular expression. Where TypeScript reads a text
// differently than JavaScript, types says which of them will.
func prescan(source string, limits Limits, types bool) (*scanned, error) {
	if len(source) > limits.SourceBytes {
		return nil, &SyntaxError{
			Message: fmt.Sprintf("the source has %d bytes; the limit is %d (source_bytes): split it into several cells, or pass data as variables",
				len(source), limits.SourceBytes),
			Line: 1, Column: 1,
		}
	}
	s := &scanned{src: source, limits: limits, types: types, line: 1, frames: []scanFrame{{kind: isBlock}}, words: map[string]bool{}, fresh: true}
	for s.pos < len(s.src) && s.err == nil {
		s.next()
	}
	if s.err != nil {
		return nil, s.err
	}
	return s, nil
}

// scanned is the state and the result of a scan.
type scanned struct {
	src    string
	limits Limits
	types  bool
	err    error
	pos    int
	line   int
	start  int // offset of the current line

	frames []scanFrame

	// What is known of the token before pos.
	slash    slashMeaning
	operand  bool   // it ends an operand
	fresh    bool   // a statement begins here: nothing, a semicolon or a block is before it
	newline  bool   // a line break came after it
	dot      bool   // it is a dot: a name follows
	word     string // it is this word, and no name after a dot
	head     string // it closes the parentheses after this word: if, while, for …
	colon    colonMeaning
	group    int  // it closes parentheses with that many arrow functions inside each other, and one
	labelled bool // it is a word that would be a label before a colon

	depth int // the deepest that a parser goes

	// exports are offsets of the word export where a statement may begin at the top level.
	exports []int
	// words are the identifiers of the text.
	words map[string]bool
}

// slashMeaning is what a slash would be after the previous token.
type slashMeaning int8

const (
	slashBegins  slashMeaning = iota // a regular expression
	slashDivides                     // two operands
	slashUnknown                     // either: only a parser knows
)

// next reads one token, or a blank.
func (s *scanned) next() {
	r, size := s.peek()
	switch {
	case isBreak(r):
		s.breakLine(r, size)
	case isBlank(r):
		s.pos += size
	case r == '/' && s.comment():
	case r == '\'' || r == '"':
		s.beginOperand()
		s.quoted(byte(r))
		s.endOperand()
	case r == '`':
		s.beginTemplate()
	case r == '/' && s.eitherSlash():
		s.fail("a slash can divide or begin a regular expression here; put the regular expression, or what is before the slash, in parentheses")
	case r == '/' && s.slash == slashBegins:
		s.beginOperand()
		s.regex()
	case r >= '0' && r <= '9', r == '.' && !s.operand && s.digitAt(1):
		s.beginOperand()
		s.number()
		s.endOperand()
	case r == '#' && s.at(1) == '!':
		s.fail("#! is not available in cells")
	case isWord(r):
		s.scanWord()
	default:
		s.punctuation(byte(r))
	}
}

// eitherSlash tells whether a slash may divide or begin a regular expression. At the start of a line it may
// begin one if what is before it can be a whole statement, as in var x; types can be in more places.
func (s *scanned) eitherSlash() bool {
	if s.slash != slashDivides || !s.newline {
		return s.slash == slashUnknown
	}
	if !s.types && (s.word == "" || s.top().operators) {
		return false
	}
	line := s.src[s.pos+1:]
	if end := strings.IndexFunc(line, isBreak); end >= 0 {
		line = line[:end]
	}
	return strings.Contains(line, "/") // or else it is one line of code, or broken, either way
}

func (s *scanned) peek() (rune, int) {
	if c := s.src[s.pos]; c < utf8.RuneSelf {
		return rune(c), 1
	}
	return utf8.DecodeRuneInString(s.src[s.pos:])
}

// at is the byte that many bytes after pos, or 0.
func (s *scanned) at(n int) byte {
	if s.pos+n < len(s.src) {
		return s.src[s.pos+n]
	}
	return 0
}

func (s *scanned) digitAt(n int) bool { return s.at(n) >= '0' && s.at(n) <= '9' }

func (s *scanned) breakLine(r rune, size int) {
	s.pos += size
	if r == '\r' && s.at(0) == '\n' {
		s.pos++
	}
	s.line++
	s.start = s.pos
	s.newline = true
}

func (s *scanned) comment() bool {
	switch s.at(1) {
	case '/':
		for s.pos < len(s.src) {
			r, size := s.peek()
			if isBreak(r) {
				return true
			}
			s.pos += size
		}
		return true
	case '*':
		s.pos += 2
		for s.pos < len(s.src) {
			r, size := s.peek()
			switch {
			case r == '*' && s.at(1) == '/':
				s.pos += 2
				return true
			case isBreak(r):
				s.breakLine(r, size)
			default:
				s.pos += size
			}
		}
		return true
	}
	return false
}

// quoted skips a string; an unterminated one ends with its line.
func (s *scanned) quoted(quote byte) {
	for s.pos++; s.pos < len(s.src); {
		switch c := s.src[s.pos]; {
		case c == '\\':
			s.escaped()
		case c == quote:
			s.pos++
			return
		case c == '\n' || c == '\r':
			return
		default:
			s.pos++
		}
	}
}

// escaped skips a backslash and what it escapes.
func (s *scanned) escaped() {
	s.pos++
	if s.pos >= len(s.src) {
		return
	}
	r, size := s.peek()
	if isBreak(r) {
		newline := s.newline
		s.breakLine(r, size)
		s.newline = newline
		return
	}
	s.pos += size
}

// beginTemplate reads a template literal up to its end or the next ${.
func (s *scanned) beginTemplate() {
	if s.operand {
		s.postfix() // a tag is before it
	} else {
		s.beginOperand()
	}
	s.pos++
	s.template()
}

func (s *scanned) template() {
	for s.pos < len(s.src) {
		r, size := s.peek()
		switch {
		case r == '\\':
			s.escaped()
		case r == '`':
			s.pos++
			s.endOperand()
			return
		case r == '$' && s.at(1) == '{':
			s.pos += 2
			s.push(isTemplate)
			return
		case isBreak(r):
			s.breakLine(r, size)
		default:
			s.pos += size
		}
	}
}

// regex checks a regular expression literal. Nothing but its flags belongs to it.
func (s *scanned) regex() {
	begin := s.pos + 1
	s.skipRegex()
	end := s.pos // of the flags
	for end < len(s.src) && s.src[end] >= 'a' && s.src[end] <= 'z' {
		end++
	}
	if problem := checkRegExp(strings.TrimSuffix(s.src[begin:max(begin, s.pos)], "/"), s.src[s.pos:end]); problem != "" {
		s.pos = begin - 1
		s.fail(problem)
	}
	s.pos = end
	s.endOperand()
}

// skipRegex reads up to the end of the literal; the line's end ends it too.
func (s *scanned) skipRegex() {
	class := false
	for s.pos++; s.pos < len(s.src); {
		r, size := s.peek()
		switch {
		case isBreak(r):
			return
		case r == '\\':
			s.pos++
			if s.pos < len(s.src) {
				if r, size := s.peek(); !isBreak(r) {
					s.pos += size
				}
			}
			continue
		case r == '[':
			class = true
		case r == ']':
			class = false
		case r == '/' && !class:
			s.pos++
			return
		}
		s.pos += size
	}
}

// number skips a numeric literal, with its dot and the sign of its exponent.
func (s *scanned) number() {
	begin := s.pos
	plain := s.at(0) != '0' || strings.IndexByte("xXoObB", s.at(1)) < 0 // no 0x, 0o, 0b
	for s.pos < len(s.src) {
		c := s.src[s.pos]
		last := byte(0)
		if s.pos > begin {
			last = s.src[s.pos-1]
		}
		switch {
		case c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_':
		case c == '.' && plain && strings.IndexByte(s.src[begin:s.pos], '.') < 0:
		case (c == '+' || c == '-') && plain && (last == 'e' || last == 'E'):
		default:
			return
		}
		s.pos++
	}
}

func (s *scanned) fail(message string) {
	if s.err == nil {
		s.err = &SyntaxError{Message: message, Line: s.line, Column: column(s.src[s.start:min(s.pos, len(s.src))], s.pos-s.start+1)}
	}
}

func isBreak(r rune) bool { return r == '\n' || r == '\r' || r == '\u2028' || r == '\u2029' }

func isBlank(r rune) bool {
	switch r {
	case ' ', '\t', '\v', '\f', '\u00a0', '\ufeff':
		return true
	}
	return r >= utf8.RuneSelf && unicode.IsSpace(r)
}

func isWord(r rune) bool {
	return r == '_' || r == '$' || r == '#' || r == '\\' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= utf8.RuneSelf
}
