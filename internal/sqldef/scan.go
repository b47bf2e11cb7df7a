package sqldef

import "strings"

// kind says what a token is.
type kind int

const (
	blank kind = iota
	lineComment
	blockComment
	quoted    // string literal, quoted identifier or dollar quote
	word      // identifier or keyword
	number    // a numeric literal, as far as it matters here
	param     // :name, unless the caller's context makes it a slice
	position  // $1
	semicolon // ;
	symbol    // any other single byte, and the pairs :: and :=
)

// blanks is what Postgres takes for white space: no other space of Unicode is.
const blanks = " \t\r\n\f\v"

type token struct {
	kind       kind
	start, end int
}

// scanner cuts SQL into tokens. It holds no state but its place, so a token means the same wherever the
// scan began.
type scanner struct {
	text string
	pos  int
}

// next returns the next token; false at the end of the text. An unterminated literal or comment is an
// *Error with the line where it began.
func (s *scanner) next() (token, bool, error) {
	if s.pos >= len(s.text) {
		return token{}, false, nil
	}
	start := s.pos
	k, err := s.scan()
	if err != nil {
		return token{}, false, err
	}
	return token{kind: k, start: start, end: s.pos}, true, nil
}

func (s *scanner) scan() (kind, error) {
	rest := s.text[s.pos:]
	c := rest[0]
	switch {
	case isBlank(c):
		s.pos += len(rest) - len(strings.TrimLeft(rest, blanks))
		return blank, nil
	case strings.HasPrefix(rest, "--"):
		s.skipLine()
		return lineComment, nil
	case strings.HasPrefix(rest, "/*"):
		return blockComment, s.skipBlockComment()
	case (c == 'e' || c == 'E') && len(rest) > 1 && rest[1] == '\'':
		s.pos++
		return quoted, s.skipEscapeString()
	case c == '\'' || c == '"':
		return quoted, s.skipQuoted(c)
	case c == '$':
		return s.scanDollar()
	case isLetter(c):
		s.skipWhile(isWordByte)
		return word, nil
	case isDigit(c) || c == '.' && len(rest) > 1 && isDigit(rest[1]):
		s.skipWhile(func(b byte) bool { return isDigit(b) || b == '.' || b == '_' || isLetter(b) })
		return number, nil
	case c == ':':
		return s.scanColon(), nil
	case c == ';':
		s.pos++
		return semicolon, nil
	default:
		s.pos++
		return symbol, nil
	}
}

func (s *scanner) scanColon() kind {
	rest := s.text[s.pos:]
	if strings.HasPrefix(rest, "::") || strings.HasPrefix(rest, ":=") {
		s.pos += 2
		return symbol
	}
	s.pos++
	if len(rest) < 2 || !isLetter(rest[1]) {
		return symbol
	}
	// A name holds no "$": what follows it belongs to the statement.
	s.skipWhile(func(b byte) bool { return isWordByte(b) && b != '$' })
	return param
}

func (s *scanner) scanDollar() (kind, error) {
	start := s.pos
	s.pos++
	if s.pos < len(s.text) && isDigit(s.text[s.pos]) {
		s.skipWhile(isDigit)
		return position, nil
	}
	s.skipWhile(func(b byte) bool { return isWordByte(b) && b != '$' })
	if s.pos >= len(s.text) || s.text[s.pos] != '$' {
		s.pos = start + 1
		return symbol, nil
	}
	s.pos++
	tag := s.text[start:s.pos]
	end := strings.Index(s.text[s.pos:], tag)
	if end < 0 {
		return quoted, errorf(s.line(start), "dollar quote %s is never closed", tag)
	}
	s.pos += end + len(tag)
	return quoted, nil
}

// skipQuoted passes a literal or identifier in which only a doubled quote is special.
func (s *scanner) skipQuoted(quote byte) error {
	start := s.pos
	s.pos++
	for s.pos < len(s.text) {
		end := strings.IndexByte(s.text[s.pos:], quote)
		if end < 0 {
			break
		}
		s.pos += end + 1
		if s.pos >= len(s.text) || s.text[s.pos] != quote {
			return nil
		}
		s.pos++
	}
	return errorf(s.line(start), "quote %c is never closed", quote)
}

// skipEscapeString passes the quoted part of E'…', and of the literals that continue it on later lines:
// backslashes are special in those, too.
func (s *scanner) skipEscapeString() error {
	for {
		if err := s.skipEscapePart(); err != nil {
			return err
		}
		next, continued := s.continuation()
		if !continued {
			return nil
		}
		s.pos = next
	}
}

// continuation reports whether a quote follows after blanks and comments that hold a line break.
func (s *scanner) continuation() (int, bool) {
	ahead := scanner{text: s.text, pos: s.pos}
	newline := false
	for ahead.pos < len(ahead.text) {
		rest := ahead.text[ahead.pos:]
		switch {
		case rest[0] == '\'':
			return ahead.pos, newline
		case strings.HasPrefix(rest, "--"):
			ahead.skipLine()
		case isBlank(rest[0]):
			newline = newline || rest[0] == '\n'
			ahead.pos++
		default:
			return 0, false
		}
	}
	return 0, false
}

func (s *scanner) skipEscapePart() error {
	start := s.pos
	for s.pos++; s.pos < len(s.text); s.pos++ {
		switch s.text[s.pos] {
		case '\\':
			s.pos++
		case '\'':
			if s.pos+1 < len(s.text) && s.text[s.pos+1] == '\'' {
				s.pos++
				continue
			}
			s.pos++
			return nil
		}
	}
	s.pos = len(s.text)
	return errorf(s.line(start), "quote ' is never closed")
}

// skipBlockComment passes a comment; they nest in Postgres.
func (s *scanner) skipBlockComment() error {
	start, depth := s.pos, 0
	for s.pos < len(s.text) {
		rest := s.text[s.pos:]
		switch {
		case strings.HasPrefix(rest, "/*"):
			depth++
			s.pos += 2
		case strings.HasPrefix(rest, "*/"):
			depth--
			s.pos += 2
			if depth == 0 {
				return nil
			}
		default:
			s.pos++
		}
	}
	return errorf(s.line(start), "comment /* is never closed")
}

func (s *scanner) skipLine() {
	if end := strings.IndexByte(s.text[s.pos:], '\n'); end >= 0 {
		s.pos += end
		return
	}
	s.pos = len(s.text)
}

func (s *scanner) skipWhile(ok func(byte) bool) {
	for s.pos < len(s.text) && ok(s.text[s.pos]) {
		s.pos++
	}
}

func (s *scanner) line(pos int) int { return 1 + strings.Count(s.text[:pos], "\n") }

func isBlank(c byte) bool { return strings.IndexByte(blanks, c) >= 0 }
func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isLetter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
}
func isWordByte(c byte) bool { return isLetter(c) || isDigit(c) || c == '$' }
