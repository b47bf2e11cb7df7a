package statek

import (
	"errors"

	"statek/internal/app"
)

// Errors that callers branch on. The error itself says which field is wrong, what was given and what to do.
var (
	// ErrInvalid: a field of the request is wrong.
	ErrInvalid = errors.New("statek: invalid request")
	// ErrNotFound: there is no such job or agent.
	ErrNotFound = errors.New("statek: not found")
	// ErrConflict: the job's state, or a key in use, does not allow it.
	ErrConflict = errors.New("statek: conflict")
	// ErrGone: what the request is about is over: an approval that has expired or was withdrawn.
	ErrGone = errors.New("statek: gone")
	// ErrBusy: the prefix has too many jobs that wait to be run; the same call may work in some seconds.
	ErrBusy = errors.New("statek: busy")
	// ErrUnavailable: the database is away; the same call may work later.
	ErrUnavailable = errors.New("statek: the database is not available")
)

// Error is a refusal.
type Error struct {
	kind error
	err  error
	// Fields are the fields that are wrong.
	Fields []FieldError
}

// FieldError is one field that is wrong.
type FieldError struct {
	// Field is a path such as "shared_vars.event".
	Field   string
	Value   any
	Message string
}

// Error implements error.
func (e *Error) Error() string { return "statek: " + e.err.Error() }

// Unwrap makes errors.Is work with ErrInvalid, ErrNotFound, ErrConflict, ErrGone, ErrBusy and ErrUnavailable.
func (e *Error) Unwrap() []error { return []error{e.kind, e.err} }

// public turns an error of the use cases into one of this package.
func public(err error) error {
	var e *app.Error
	if !errors.As(err, &e) {
		return err
	}
	kinds := map[app.ErrorKind]error{
		app.KindInvalid: ErrInvalid, app.KindNotFound: ErrNotFound, app.KindConflict: ErrConflict, app.KindGone: ErrGone,
		app.KindUnavailable: ErrUnavailable, app.KindBusy: ErrBusy,
	}
	out := &Error{kind: kinds[e.Kind], err: err}
	for _, f := range e.Fields {
		out.Fields = append(out.Fields, FieldError(f))
	}
	return out
}
