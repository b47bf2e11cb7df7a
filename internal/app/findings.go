package app

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"statek/internal/agents"
	"statek/internal/temporal"
)

// Finding is something about a definition file.
type Finding struct {
	File    string
	Line    int
	Message string
	// Warning: it works, but is probably not meant.
	Warning bool
}

// String renders the finding like a compiler does.
func (f Finding) String() string {
	if f.Warning {
		return fmt.Sprintf("%s:%d: warning: %s", f.File, f.Line, f.Message)
	}
	return fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Message)
}

// Findings are all that is wrong with a folder, in the order of files and lines. As an error it has one line for each.
type Findings []Finding

// Error implements error.
func (f Findings) Error() string {
	lines := make([]string, len(f))
	for i, one := range f {
		lines[i] = one.String()
	}
	return strings.Join(lines, "\n")
}

// faults takes the findings out of joined errors; what is none stays an error.
func faults(err error) (Findings, error) {
	var list Findings
	var others []error
	var take func(err error)
	take = func(err error) {
		var file *agents.FileError
		var syntax *temporal.SyntaxError
		joined, several := err.(interface{ Unwrap() []error })
		switch {
		case several:
			for _, one := range joined.Unwrap() {
				take(one)
			}
		case errors.As(err, &file):
			list = append(list, Finding{File: file.File, Line: file.Line, Message: file.Msg})
		case errors.As(err, &syntax):
			list = append(list, Finding{File: syntax.File, Line: syntax.Line, Message: syntax.Msg})
		default:
			others = append(others, err)
		}
	}
	if err != nil {
		take(err)
	}
	return list, errors.Join(others...)
}

// sorted orders findings for people and drops repetitions.
func (f Findings) sorted() Findings {
	slices.SortStableFunc(f, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	return slices.Compact(f)
}
