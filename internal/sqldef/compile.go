package sqldef

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Compile numbers the parameters of one statement: each :name that params or builtins declare becomes
// $n::type, numbered by first use. A declared parameter that is never used is fine. A trailing semicolon
// is dropped. Failures are *Error, lines counted in sql.
func Compile(sql string, params []Param, builtins ...Param) (Statement, error) {
	types, err := declared(params, builtins)
	if err != nil {
		return Statement{}, err
	}
	if err := plainText(sql); err != nil {
		return Statement{}, err
	}
	c := compiler{scanner: scanner{text: sql}, types: types, args: []string{}}
	if err := c.run(); err != nil {
		return Statement{}, err
	}
	text := strings.Trim(c.out.String(), blanks)
	if c.statements == 0 {
		return Statement{}, errorf(1, "there is no statement here")
	}
	if err := plainStatement(text); err != nil {
		return Statement{}, err
	}
	return Statement{SQL: text, Args: c.args}, nil
}

// plainStatement refuses statements that are more than a query: DO, CALL, SET, RESET, COPY or DDL could leave
// the role that statements run as, or the transaction they run in.
func plainStatement(text string) error {
	text = strings.TrimLeft(text, "("+blanks)
	for strings.HasPrefix(text, "/*") {
		_, rest, _ := strings.Cut(text, "*/")
		text = strings.TrimLeft(rest, "("+blanks)
	}
	word, _, _ := strings.Cut(text, " ")
	end := strings.IndexFunc(word, func(r rune) bool { return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') })
	if end >= 0 {
		word = word[:end]
	}
	switch strings.ToLower(word) {
	case "select", "insert", "update", "delete", "merge", "with", "values", "table":
		return nil
	default:
		return errorf(1, "a statement begins with SELECT, INSERT, UPDATE, DELETE, MERGE, WITH or VALUES, got %q", word)
	}
}

// declared checks the declarations and maps names to types.
func declared(params, builtins []Param) (map[string]string, error) {
	types := make(map[string]string, len(params)+len(builtins))
	for _, p := range builtins {
		types[p.Name] = p.Type
	}
	for _, p := range params {
		if !isName(p.Name) {
			return nil, errorf(1, "parameter name %q must be letters, digits and underscores", p.Name)
		}
		if _, err := parseType(p.Type); err != nil {
			return nil, errorf(1, "parameter %q: %s", p.Name, err)
		}
		if _, taken := types[p.Name]; taken {
			return nil, errorf(1, "parameter %q is declared twice, or is the name of a built-in one", p.Name)
		}
		types[p.Name] = p.Type
	}
	return types, nil
}

// plainText refuses what Postgres could not receive as query text.
func plainText(sql string) error {
	if i := strings.IndexByte(sql, 0); i >= 0 {
		return errorf(1+strings.Count(sql[:i], "\n"), "the text holds a NUL byte")
	}
	if !utf8.ValidString(sql) {
		return errorf(1, "the text is not valid UTF-8")
	}
	return nil
}

type compiler struct {
	scanner
	types map[string]string
	args  []string
	out   strings.Builder
	// open holds the brackets around the current place; slices exist directly inside "[" only.
	open []byte
	// last is the previous token that is neither blank nor comment.
	last       token
	statements int
	ended      bool
}

func (c *compiler) run() error {
	for {
		tok, ok, err := c.next()
		if err != nil || !ok {
			return err
		}
		if err := c.emit(tok); err != nil {
			return err
		}
		if tok.kind > blockComment {
			c.last = tok
		}
	}
}

func (c *compiler) emit(tok token) error {
	text := c.text[tok.start:tok.end]
	switch tok.kind {
	case lineComment:
		// Left out: one at the end would swallow what a larger statement puts behind this one.
		return nil
	case blank, blockComment:
		c.out.WriteString(text)
		return nil
	case semicolon:
		// Kept out of the result: statements are also run as parts of larger ones.
		c.ended = c.ended || c.statements > 0
		return nil
	}
	if c.ended {
		return errorf(c.line(tok.start), "one statement is expected, but %q follows a semicolon", shorten(text))
	}
	c.statements = 1
	switch tok.kind {
	case param:
		if c.slice() {
			// ":" cuts a slice; what follows it is an ordinary word.
			c.pos = tok.start + 1
			c.out.WriteByte(':')
			return nil
		}
		return c.emitParam(tok, text[1:])
	case position:
		return errorf(c.line(tok.start), "%s has no meaning here: name the parameter, as in :queue", text)
	case word:
		if wrong := lasting(text, c.text[c.last.start:c.last.end]); wrong != "" {
			return errorf(c.line(tok.start), "%s", wrong)
		}
	case symbol:
		c.track(text)
	}
	c.out.WriteString(text)
	return nil
}

func (c *compiler) emitParam(tok token, name string) error {
	typ, ok := c.types[name]
	if !ok {
		return errorf(c.line(tok.start), "unknown parameter :%s; %s", name, c.known())
	}
	n := slices.Index(c.args, name) + 1
	if n == 0 {
		c.args = append(c.args, name)
		n = len(c.args)
	}
	if tok.start > 0 && isWordByte(c.text[tok.start-1]) {
		// "x$1" would be one identifier.
		c.out.WriteByte(' ')
	}
	text := fmt.Sprintf("$%d::%s", n, typ)
	if c.extendsType() {
		text = "(" + text + ")"
	}
	c.out.WriteString(text)
	return nil
}

// known lists what a statement may name, for the error about what it may not.
func (c *compiler) known() string {
	if len(c.types) == 0 {
		return "none is declared"
	}
	names := make([]string, 0, len(c.types))
	for name := range c.types {
		names = append(names, ":"+name)
	}
	slices.Sort(names)
	return "declared are " + strings.Join(names, ", ")
}

// slice reports whether a colon here cuts an array slice: directly inside "[", after an operand.
func (c *compiler) slice() bool {
	if len(c.open) == 0 || c.open[len(c.open)-1] != '[' {
		return false
	}
	text := c.text[c.last.start:c.last.end]
	switch c.last.kind {
	case word:
		return !slices.Contains(notOperands(), strings.ToLower(text))
	case quoted, number, param:
		return true
	default:
		return text == ")" || text == "]"
	}
}

// notOperands are keywords that an expression goes on after; any other word before a colon is a column.
func notOperands() []string {
	return []string{
		"all", "and", "any", "between", "case", "distinct", "else", "escape", "from", "ilike", "in", "is",
		"like", "not", "or", "similar", "some", "symmetric", "then", "to", "when",
	}
}

// extendsType reports whether the text ahead would be read as part of the type after "$1::", or stands
// where the grammar wants more than a cast (fetch first … rows). Parentheses keep the meaning.
func (c *compiler) extendsType() bool {
	ahead := scanner{text: c.text, pos: c.pos}
	for {
		tok, ok, err := ahead.next()
		if err != nil || !ok {
			return false
		}
		text := c.text[tok.start:tok.end]
		switch tok.kind {
		case blank, lineComment, blockComment:
			continue
		case word:
			return slices.Contains(typeWords(), strings.ToLower(text))
		case number:
			return strings.HasPrefix(text, ".")
		default:
			return text == "[" || text == "." || text == "("
		}
	}
}

func typeWords() []string {
	return []string{
		"array", "day", "hour", "minute", "month", "precision", "row", "rows", "second", "varying", "with",
		"without", "year",
	}
}

func (c *compiler) track(symbol string) {
	switch symbol {
	case "(", "[":
		c.open = append(c.open, symbol[0])
	case ")", "]":
		if len(c.open) > 0 {
			c.open = c.open[:len(c.open)-1]
		}
	}
}

func shorten(text string) string {
	if utf8.RuneCountInString(text) > 20 {
		return string([]rune(text)[:20]) + "…"
	}
	return text
}
