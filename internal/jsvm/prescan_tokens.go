package jsvm

import "strings"

// heads are words whose parentheses are followed by a statement or a block, never by an operator.
var heads = []string{"if", "while", "for", "with", "switch", "catch"}

// operators are words after which an operand follows. Those that are true may not begin a statement.
var operators = map[string]bool{
	"in": true, "instanceof": true, "extends": true, "else": true,
	"return": false, "typeof": false, "new": false, "delete": false, "void": false, "throw": false, "case": false, "do": false,
	"if": false, "for": false, "while": false, "with": false, "default": false, "await": false, "yield": false,
}

// prefixes are names that may also stand before another name, on this line or the next.
var prefixes = map[string]bool{
	"keyof": true, "readonly": true, "unique": true, "infer": true, "asserts": true, "is": true, "as": true, "satisfies": true, "out": true,
	"abstract": true, "declare": true, "static": true, "async": true, "get": true, "set": true, "accessor": true, "override": true,
	"public": true, "private": true, "protected": true, "type": true, "namespace": true, "module": true, "interface": true, "enum": true,
	"class": true, "function": true, "const": true, "let": true, "var": true, "import": true, "export": true, "from": true, "implements": true,
	"global": true, "using": true, "super": true,
}

// What some operators count for: an arrow opens a scope, which every name in it is looked for in, and for
// await, once lowered, is a loop in several statements.
const (
	arrowDepth    = 10
	forAwaitDepth = 40
)

func (s *scanned) scanWord() {
	begin := s.pos
	for s.pos < len(s.src) {
		r, size := s.peek()
		if !isWord(r) || isBlank(r) || isBreak(r) {
			break
		}
		s.pos += size
	}
	word := s.src[begin:s.pos]
	if s.dot {
		s.endOperand()
		return
	}
	s.words[word] = true
	if word == "export" && len(s.frames) == 1 && (!s.operand || s.newline || s.slash == slashUnknown) {
		s.exports = append(s.exports, begin)
	}
	if binary, ok := operators[word]; ok || word == "of" && s.operand && s.top().head == "for" {
		s.operatorWord(word, binary || word == "of")
		return
	}
	if s.fresh && (word == "catch" || word == "finally") { // the try goes on
		s.fresh = false
	}
	jumps := s.word == "break" || s.word == "continue"
	labelled := s.fresh || s.colon == colonOfStatement || s.operand && s.newline
	s.beginOperand()
	s.endOperand()
	s.word, s.labelled = word, labelled
	switch word {
	case "var", "let", "const":
		s.top().operators = false
	case "break", "continue", "debugger":
		jumps = true
	}
	if jumps { // whole statements
		s.slash = slashUnknown
	}
}

func (s *scanned) operatorWord(word string, goesOn bool) {
	f := s.top()
	switch {
	case word == "else":
		f.elses++
		s.after(slashBegins, false)
		s.word = word
		s.count()
		return
	case f.head == "switch" && (word == "case" || word == "default"):
		s.settle(true)
	case word == "while" && s.fresh: // perhaps of a do, which has ended then
		s.settle(true)
	case goesOn:
	case s.fresh, s.operand && s.newline && !prefixes[s.word]:
		s.settle(true)
	}
	forAwait := word == "await" && s.word == "for"
	s.operator()
	s.word = word
	switch {
	case forAwait:
		s.word = "for"
		f.chain += forAwaitDepth
		s.count()
	case word == "await", word == "yield":
		s.slash = slashUnknown // it may be a name where it has no meaning
	}
}

func (s *scanned) punctuation(c byte) {
	newline := s.newline
	switch c {
	case '(', '[':
		s.open()
	case '{':
		kind := s.brace()
		if s.fresh || kind == isBlock && s.operand {
			s.settle(true)
		}
		s.pos++
		s.push(kind)
	case ')', ']', '}':
		s.pos++
		s.pop()
	case ';':
		s.pos++
		s.settle(true)
		s.after(slashBegins, false)
		s.fresh = s.top().kind != isGroup && s.top().kind != isTemplate
	case ',':
		s.pos++
		s.settle(false)
		s.after(slashBegins, false)
	case '.', '?':
		s.member(c)
	case '<', '>':
		s.angle(c)
	case '+', '-', '!':
		s.sign(c, newline)
	default:
		if c == '@' && (s.newline || s.fresh) {
			s.settle(true)
		}
		s.symbols(c, 1)
	}
}

// open reads ( or [: a call, an element, or an operand of its own.
func (s *scanned) open() {
	switch {
	case s.operand:
		s.postfix()
	case s.fresh:
		s.settle(true)
	}
	s.pos++
	s.push(isGroup)
}

// member reads a dot, ?. or ?, ?? and ??=.
func (s *scanned) member(c byte) {
	switch {
	case c == '.' && s.at(1) == '.' && s.at(2) == '.':
		s.pos += 3
		s.operator()
	case c == '.':
		s.pos++
		s.goOn()
	case s.at(1) == '.' && !s.digitAt(2):
		s.pos += 2
		s.goOn()
	default:
		s.symbols(c, 1)
	}
}

// goOn reads on after a dot: a name follows, or after ?. a bracket.
func (s *scanned) goOn() {
	s.postfix()
	s.after(slashDivides, true)
	s.dot = true
}

// angle reads < and >, which compare, shift, or enclose types.
func (s *scanned) angle(c byte) {
	f := s.top()
	n := 1
	for s.at(n) == c {
		n++
	}
	switch {
	case c == '<' && n == 1 && s.types && strings.HasPrefix(s.src[s.pos:], "<!--"):
		s.fail("<!-- begins a comment only in web pages; use //")
	case c == '<' && n == 1:
		f.angles++
	case c == '>':
		f.deepest = max(f.deepest, f.depth())
		f.angles = max(0, f.angles-n)
	}
	s.symbols(c, n)
	if s.word = string(c); c == '>' && s.types {
		s.slash = slashUnknown // the > may end the types that a call is given
	}
}

// sign reads + - ! and ++ --, of which some may stand after their operand.
func (s *scanned) sign(c byte, newline bool) {
	twice := s.at(1) == c && c != '!'
	switch {
	case twice && c == '-' && s.types && s.at(2) == '>' && (newline || s.pos == 0):
		s.fail("--> begins a comment only in web pages; use //")
	case twice && s.operand && !newline:
		s.pos += 2
		s.postfix()
		s.endOperand()
	case c == '!' && s.operand && !newline && s.at(1) != '=': // TypeScript: is not null
		s.pos++
		s.postfix()
		s.endOperand()
	case twice:
		if s.fresh || s.operand {
			s.settle(true)
		}
		s.pos += 2
		s.operator()
	default:
		if s.fresh {
			s.settle(true)
		}
		s.symbols(c, 1)
	}
}

// symbols reads an operator that begins with c: the same again, as in && and **, then = or =>.
func (s *scanned) symbols(c byte, n int) {
	if c == '&' || c == '|' || c == '*' || c == '?' {
		for s.at(n) == c {
			n++
		}
	}
	if c == '=' && s.at(n) == '>' {
		s.pos += n + 1
		s.arrow()
		s.top().chain += arrowDepth - 1
		s.operator()
		s.word = "=>"
		return
	}
	if strings.IndexByte("=!<>+-*/%&|^?", c) >= 0 {
		for s.at(n) == '=' {
			n++
		}
	}
	s.pos += n
	if c != ':' {
		s.operator()
		return
	}
	colon := colonOfValue
	if s.label() || s.top().head == "switch" {
		colon = colonOfStatement
	}
	s.operator()
	s.colon = colon
}
