package sqldef

import (
	"errors"
	"regexp"
	"slices"
	"strings"
)

// Layout says what a kind of definition file may hold.
type Layout struct {
	// Keys are the headers, written "-- key: value" on a line of their own, anywhere in the file.
	Keys []string
	// Names are the sections, each opened by a line "-- name". With none, all SQL is the file's body.
	Names []string
}

// File is a definition file, cut up.
type File struct {
	Headers []Header
	// Description are the other comment lines before the first SQL or section, without their dashes.
	Description string
	// Body is the SQL outside sections; empty when the layout has sections.
	Body     Section
	Sections []Section
}

// Header is one "-- key: value" line.
type Header struct {
	Key, Value string
	Line       int
}

// Section is SQL with its place in the file.
type Section struct {
	Name string
	SQL  string
	// Line is the line on which SQL starts.
	Line int
}

// Sections cuts a definition file up. A comment before the first SQL that looks like a header nobody
// knows ("-- rechek: 5s") is an error rather than a description, so that a slip of the pen is not silent.
// Failures are *Error.
func Sections(text string, layout Layout) (File, error) {
	text = strings.ReplaceAll(strings.TrimPrefix(text, "\ufeff"), "\r\n", "\n")
	if err := plainText(text); err != nil {
		return File{}, err
	}
	c := cutter{scanner: scanner{text: text}, layout: layout}
	if err := c.run(); err != nil {
		return File{}, err
	}
	return c.file, nil
}

// Header returns the header with the key, which may appear at most once; a second one is an *Error.
func (f File) Header(key string) (Header, bool, error) {
	all := f.All(key)
	switch len(all) {
	case 0:
		return Header{}, false, nil
	case 1:
		return all[0], true, nil
	default:
		return Header{}, false, errorf(all[1].Line, "header %q appears twice (first on line %d)", key, all[0].Line)
	}
}

// All returns every header with the key, in order.
func (f File) All(key string) []Header {
	var all []Header
	for _, h := range f.Headers {
		if h.Key == key {
			all = append(all, h)
		}
	}
	return all
}

// Section returns the section with the name.
func (f File) Section(name string) (Section, bool) {
	i := slices.IndexFunc(f.Sections, func(s Section) bool { return s.Name == name })
	if i < 0 {
		return Section{}, false
	}
	return f.Sections[i], true
}

// Compile is the function Compile with lines counted in the section's file.
func (s Section) Compile(params []Param, builtins ...Param) (Statement, error) {
	st, err := Compile(s.SQL, params, builtins...)
	var e *Error
	if errors.As(err, &e) {
		return Statement{}, &Error{Line: e.Line + max(s.Line, 1) - 1, Msg: e.Msg}
	}
	st.Line = max(s.Line, 1) + blankLines(s.SQL)
	return st, err
}

// blankLines counts the lines before the first token that Compile keeps.
func blankLines(sql string) int {
	ahead := scanner{text: sql}
	for {
		tok, ok, err := ahead.next()
		if err != nil || !ok {
			return 0
		}
		if tok.kind != blank && tok.kind != lineComment {
			return strings.Count(sql[:tok.start], "\n")
		}
	}
}

type cutter struct {
	scanner
	layout      Layout
	file        File
	description []string
	// name and line0 are the open section and where its SQL begins; started tells that SQL was seen in it.
	name    string
	line0   int
	started bool
	pieces  strings.Builder
}

var (
	headerForm = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9_-]*):(?:\s+(.*))?$`)
	lowerForm  = regexp.MustCompile(`^[a-z][a-z0-9_-]*$`)
)

func (c *cutter) run() error {
	for {
		tok, ok, err := c.next()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		text := c.text[tok.start:tok.end]
		if tok.kind == lineComment && c.ownLine(tok.start) {
			taken, err := c.comment(strings.TrimSpace(strings.TrimLeft(text, "-")), c.line(tok.start))
			if err != nil {
				return err
			}
			if taken {
				continue
			}
		}
		if err := c.sql(tok, text); err != nil {
			return err
		}
	}
	c.close()
	c.file.Description = strings.TrimSpace(strings.Join(c.description, "\n"))
	return nil
}

// comment takes a comment line that is a header, opens a section, or describes.
func (c *cutter) comment(text string, line int) (bool, error) {
	leading := c.name == "" && !c.started
	if slices.Contains(c.layout.Names, text) {
		if _, twice := c.file.Section(text); twice || c.name == text {
			return false, errorf(line, "section %q appears twice", text)
		}
		c.close()
		c.name, c.line0 = text, line+1
		return true, nil
	}
	if m := headerForm.FindStringSubmatch(text); m != nil {
		if slices.Contains(c.layout.Keys, m[1]) {
			c.file.Headers = append(c.file.Headers, Header{Key: m[1], Value: strings.TrimSpace(m[2]), Line: line})
			return true, nil
		}
		if leading && lowerForm.MatchString(m[1]) {
			return false, errorf(line, "unknown header %q; known are %s (a description line starts with a capital)",
				m[1], strings.Join(c.layout.Keys, ", "))
		}
	}
	if leading {
		c.description = append(c.description, text)
	}
	return leading, nil
}

// sql adds a token to the open section. Lines before the first SQL are left out and counted instead.
func (c *cutter) sql(tok token, text string) error {
	if !c.started {
		if tok.kind == blank {
			return nil
		}
		if c.name == "" && len(c.layout.Names) > 0 {
			return errorf(c.line(tok.start), "%q stands before the first section; expected a line such as \"-- %s\"",
				shorten(text), c.layout.Names[0])
		}
		c.started, c.line0 = true, c.line(tok.start)
	}
	c.pieces.WriteString(text)
	return nil
}

func (c *cutter) close() {
	section := Section{Name: c.name, SQL: strings.Trim(c.pieces.String(), blanks), Line: c.line0}
	if c.name != "" {
		c.file.Sections = append(c.file.Sections, section)
	} else if c.started {
		c.file.Body = section
	}
	c.name, c.started = "", false
	c.pieces.Reset()
}

// ownLine reports whether only blanks stand before pos on its line.
func (c *cutter) ownLine(pos int) bool {
	start := strings.LastIndexByte(c.text[:pos], '\n') + 1
	return strings.TrimSpace(c.text[start:pos]) == ""
}
