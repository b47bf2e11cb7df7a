package sqldef

import "fmt"

// Param is one declared parameter, such as "queue text".
type Param struct {
	Name string `json:"name"`
	// Type is a Postgres type name, checked only for its form.
	Type string `json:"type"`
}

// Signature is a declaration such as "pickNextTask(queue text, limit int)".
type Signature struct {
	Name   string  `json:"name"`
	Params []Param `json:"params"`
}

// Statement is SQL with numbered parameters. Each :name of the source became $n::type.
type Statement struct {
	SQL string `json:"sql"`
	// Args names the parameter behind $1, $2 … in order; each name appears once.
	Args []string `json:"args"`
	// Line is where SQL begins in its file; 0: it came from none. Line breaks are kept, so a place in SQL has a line.
	Line int `json:"-"`
}

// Error is a text that cannot be read, with its line (from 1).
type Error struct {
	Line int
	Msg  string
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Msg) }

func errorf(line int, format string, args ...any) *Error {
	return &Error{Line: line, Msg: fmt.Sprintf(format, args...)}
}
