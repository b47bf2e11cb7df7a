package jsvmtest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"statek/internal/jsvm"
)

// Grants are the host functions of the suite: tools, which answer with their first argument, and a wait.
var Grants = []jsvm.Grant{{Name: "fetchIt"}, {Name: "search"}, {Name: "sleep", Wait: true}}

// failer is what testing.T and rapid.T have in common.
type failer interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Context() context.Context
}

// stage opens sessions on one machine.
type stage struct {
	failer
	machine jsvm.Machine
	limits  jsvm.Limits
}

// open gives a session that holds a workspace.
func (s stage) open(vars []jsvm.Variable) jsvm.Session {
	s.Helper()
	session, err := s.machine.Open(s.Context(), jsvm.Setup{Grants: Grants, Variables: vars, Limits: s.limits})
	if err != nil {
		s.Fatalf("open: %v\n%s", err, Rows(vars))
	}
	return session
}

// run runs a cell to its end. Every call is answered with its first argument, in program order.
func (s stage) run(session jsvm.Session, source string) jsvm.Step {
	s.Helper()
	step, err := session.Run(s.Context(), jsvm.Cell{Number: 1, Source: source, Seed: 7, Now: 1_700_000_000_000})
	calls, console := step.Calls, step.Console
	for err == nil && step.State == jsvm.Pending && len(calls) > 0 {
		step, err = session.Deliver(s.Context(), jsvm.Delivery{Call: calls[0].ID, Value: firstArg(calls[0])})
		calls, console = append(calls[1:], step.Calls...), append(console, step.Console...)
	}
	if err != nil {
		s.Fatalf("run %s: %v", source, err)
	}
	step.Console = console
	return step
}

// changes of a session's workspace.
func (s stage) changes(session jsvm.Session) jsvm.Changes {
	s.Helper()
	out, err := session.Changes(s.Context())
	if err != nil {
		s.Fatalf("take changes: %v", err)
	}
	return out
}

// settled takes the changes of an untouched session: there should be none.
func (s stage) settled(vars []jsvm.Variable, about string) {
	s.Helper()
	session := s.open(vars)
	defer session.Close()
	if step := s.run(session, ""); step.State != jsvm.Done {
		s.Fatalf("%s: an empty cell: %+v", about, step.Err)
	}
	if again := s.changes(session); len(again.Set)+len(again.Deleted)+len(again.Notes) > 0 {
		s.Errorf("%s: a restored workspace differs: deleted %q, notes %q, set\n%swas\n%s", about, again.Deleted, again.Notes, Rows(again.Set), Rows(vars))
	}
}

func firstArg(call jsvm.Call) []byte {
	var args []json.RawMessage
	if json.Unmarshal(call.Args, &args) != nil || len(args) == 0 {
		return []byte("null")
	}
	return args[0]
}

// Merge applies changes to a workspace, as the store does; the result is sorted by name.
func Merge(vars []jsvm.Variable, changes jsvm.Changes) []jsvm.Variable {
	rows := map[string]jsvm.Variable{}
	for _, v := range append(slices.Clone(vars), changes.Set...) {
		rows[v.Name] = v
	}
	for _, name := range changes.Deleted {
		delete(rows, name)
	}
	out := make([]jsvm.Variable, 0, len(rows))
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		out = append(out, rows[name])
	}
	return out
}

// Rows prints a workspace.
func Rows(vars []jsvm.Variable) string {
	var b strings.Builder
	for _, v := range vars {
		fmt.Fprintf(&b, "%s = %s%s\n", v.Name, v.Value, v.Refused)
	}
	return b.String()
}

// Outcome renders how a cell ended as the corpora write it: its echo, or ! and its error.
func Outcome(step jsvm.Step) string {
	switch {
	case step.Err != nil:
		return "!" + step.Err.Error()
	case step.Echo == "":
		return "undefined"
	}
	return step.Echo
}
