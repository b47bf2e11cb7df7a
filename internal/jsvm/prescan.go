package jsvm

import (
	"fmt"
	"unicode/utf8"
)

// prescan bounds source text before any parser sees it: goja and esbuild are recursive and partly
// quadratic, so 60,000 open braces or a sum of 60,000 terms keep them busy for ten seconds where no
// interrupt reaches. The scan is lexical; where it cannot know (a slash after a parenthesis may divide or
// begin a regular expression) it counts the rest of the line as code, so it never counts too little.
func prescan(source string, limits Limits) (*scanned, error) {
	if len(source) > limits.SourceBytes {
		return nil, &SyntaxError{
			Message: fmt.Sprintf("the source has %d bytes; the limit is %d (source_bytes): split it into several cells, or pass data as variables",
				len(source), limits.SourceBytes),
			Line: 1, Column: 1,
		}
	}
	s := &scanned{src: source, limits: limits, line: 1, frames: []scanFrame{{}}, words: map[string]bool{}}
	if err := s.run(); err != nil {
		return nil, err
	}
	return s, nil
}

// scanned is the state and the result of a scan.
type scanned struct {
	src    string
	limits Limits
	pos    int
	line   int
	start  int // offset of the current line

	frames    []scanFrame
	operand   bool // the previous token ends an operand
	newline   bool // a line break came after the previous token
	ambiguous bool // an undecidable slash: strings on this line are read as code
	dot       bool // the previous token is a dot

	// exports are offsets of the word export where a statement may begin at the top level.
	exports []int
	// words are the identifiers of the text.
	words map[string]bool
}

// scanFrame is one open bracket.
type scanFrame struct {
	open      byte
	operators int
	template  bool // a ${ inside a template literal
}

func (s *scanned) run() error {
	for s.pos < len(s.src) {
		c := s.src[s.pos]
		var err error
		switch {
		case c == '\n' || c == '\r':
			s.breakLine()
		case c == ' ' || c == '\t':
			s.pos++
		case c == '/' && s.comment():
		case (c == '\'' || c == '"') && !s.ambiguous:
			s.beginOperand()
			s.quoted(c)
		case c == '`' && !s.ambiguous:
			s.beginOperand()
			s.pos++
			err = s.template()
		case c == '/' && !s.operand:
			s.regex()
		case isWord(c):
			err = s.word()
		default:
			err = s.punctuation(c)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *scanned) breakLine() {
	s.pos++
	s.line++
	s.start = s.pos
	s.newline = true
	s.ambiguous = false
}

// beginOperand notes that an operand starts; after a line break that ends a statement of its own
// (automatic semicolon), so the chain of operators ends too.
func (s *scanned) beginOperand() {
	if s.operand && s.newline {
		s.frames[len(s.frames)-1].operators = 0
	}
	s.operand, s.newline, s.dot = true, false, false
}

func (s *scanned) comment() bool {
	rest := s.src[s.pos:]
	switch {
	case len(rest) > 1 && rest[1] == '/':
		for s.pos < len(s.src) && s.src[s.pos] != '\n' && s.src[s.pos] != '\r' {
			s.pos++
		}
		return true
	case len(rest) > 1 && rest[1] == '*':
		s.pos += 2
		for s.pos < len(s.src) {
			if s.src[s.pos] == '*' && s.pos+1 < len(s.src) && s.src[s.pos+1] == '/' {
				s.pos += 2
				return true
			}
			if s.src[s.pos] == '\n' {
				s.breakLine()
				continue
			}
			s.pos++
		}
		return true
	}
	return false
}

// quoted skips a string; an unterminated one ends with its line.
func (s *scanned) quoted(quote byte) {
	for s.pos++; s.pos < len(s.src); s.pos++ {
		switch s.src[s.pos] {
		case '\\':
			s.pos++
		case quote:
			s.pos++
			return
		case '\n':
			return
		}
	}
}

// template skips the text of a template literal up to its end or the next ${.
func (s *scanned) template() error {
	for s.pos < len(s.src) {
		switch c := s.src[s.pos]; {
		case c == '\\':
			s.pos += 2
		case c == '`':
			s.pos++
			s.operand = true
			return nil
		case c == '$' && s.pos+1 < len(s.src) && s.src[s.pos+1] == '{':
			s.pos += 2
			s.operand = false
			return s.push('{', true)
		case c == '\n':
			s.breakLine()
		default:
			s.pos++
		}
	}
	return nil
}

// regex skips a regular expression literal; the line's end ends it too.
func (s *scanned) regex() {
	s.beginOperand()
	class := false
	for s.pos++; s.pos < len(s.src); s.pos++ {
		switch s.src[s.pos] {
		case '\\':
			s.pos++
		case '[':
			class = true
		case ']':
			class = false
		case '\n':
			return
		case '/':
			if !class {
				s.pos++
				return
			}
		}
	}
}

func (s *scanned) word() error {
	begin := s.pos
	for s.pos < len(s.src) && isWord(s.src[s.pos]) {
		_, size := utf8.DecodeRuneInString(s.src[s.pos:])
		s.pos += size
	}
	word := s.src[begin:s.pos]
	if !s.dot {
		s.words[word] = true
	}
	if word == "export" && len(s.frames) == 1 && !s.dot && (!s.operand || s.newline) {
		s.exports = append(s.exports, begin)
	}
	if !s.dot && operatorWord(word) {
		if word != "in" && word != "of" && word != "instanceof" && s.newline && s.operand {
			s.frames[len(s.frames)-1].operators = 0
		}
		s.operand, s.newline = false, false
		return s.operator()
	}
	s.beginOperand()
	return nil
}

func (s *scanned) punctuation(c byte) error {
	newline := s.newline
	s.newline, s.dot = false, false
	s.pos++
	switch c {
	case '(', '[', '{':
		if c == '{' && newline && s.operand {
			s.frames[len(s.frames)-1].operators = 0
		}
		s.operand = false
		return s.push(c, false)
	case ')', ']', '}':
		return s.pop(c)
	case ';', ',':
		s.frames[len(s.frames)-1].operators = 0
		s.operand = false
		return nil
	case '/':
		// Division, unless the bracket before it ended a condition or a block.
		if prev := s.before(); prev == ')' || prev == '}' {
			s.ambiguous = true
		}
	case '.':
		s.dot = true
	case '+', '-':
		if s.operand && s.pos < len(s.src) && s.src[s.pos] == c { // a postfix operator keeps the operand
			s.pos++
			return s.operator()
		}
	}
	s.operand = false
	for s.pos < len(s.src) && s.src[s.pos] == c && c != '!' && c != '~' && c != '/' { // **, &&, ||, ??, ==, <<, …
		s.pos++
	}
	return s.operator()
}

// before is the last byte before the current token that is not a blank.
func (s *scanned) before() byte {
	for i := s.pos - 2; i >= 0; i-- {
		if c := s.src[i]; c != ' ' && c != '\t' {
			return c
		}
	}
	return 0
}

func (s *scanned) push(open byte, template bool) error {
	s.frames = append(s.frames, scanFrame{open: open, template: template})
	if depth := len(s.frames) - 1; depth > s.limits.Nesting {
		return s.fail(fmt.Sprintf("more than %d open brackets; the limit is %d (nesting): use variables for the inner parts", depth-1, s.limits.Nesting))
	}
	return nil
}

func (s *scanned) pop(c byte) error {
	s.operand = true
	if len(s.frames) == 1 {
		return nil // the parser reports it
	}
	top := s.frames[len(s.frames)-1]
	s.frames = s.frames[:len(s.frames)-1]
	if c == '}' {
		if top.template {
			return s.template()
		}
		// A block ends a statement; an object literal is followed by an operator, which starts anew.
		s.frames[len(s.frames)-1].operators = max(0, s.frames[len(s.frames)-1].operators-top.operators)
		s.operand = true
	}
	return nil
}

func (s *scanned) operator() error {
	top := &s.frames[len(s.frames)-1]
	top.operators++
	if top.operators > s.limits.Operators {
		return s.fail(fmt.Sprintf("more than %d operators in one expression; the limit is %d (operators): use several statements, or a loop",
			s.limits.Operators, s.limits.Operators))
	}
	return nil
}

func (s *scanned) fail(message string) error {
	return &SyntaxError{Message: message, Line: s.line, Column: s.pos - s.start}
}

func isWord(c byte) bool {
	return c == '_' || c == '$' || c == '#' || c == '\\' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= utf8.RuneSelf
}

// operatorWord tells words after which an operand, and so a regular expression, may follow.
func operatorWord(word string) bool {
	switch word {
	case "return", "typeof", "instanceof", "in", "of", "new", "delete", "void", "throw", "case", "do", "else", "await", "yield",
		"if", "for", "while", "default", "extends":
		return true
	}
	return false
}
