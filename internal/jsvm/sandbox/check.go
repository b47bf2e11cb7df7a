package sandbox

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"statek/internal/jsvm"
)

// replyLimit is the size of the largest honest answer: all calls that may be pending, the whole workspace, the
// console, and a transformed text with its map.
func (s *session) replyLimit() int64 {
	l := s.limits
	return int64(l.PendingCalls)*int64(l.ArgBytes+512) + 2*int64(l.WorkspaceBytes) + 8*int64(l.ConsoleBytes) + 64*int64(l.SourceBytes) + 4<<20
}

// check holds an answer to what was asked: a child that a script has taken over must not gain more by it than
// the script had.
func (s *session) check(rep *reply, req *request) error {
	if rep.Failure != nil {
		return nil
	}
	if req.Analyze != nil {
		if rep.Analysis == nil {
			return errors.New("no analysis")
		}
		return nil
	}
	step := rep.Step
	if step == nil {
		return errors.New("no step")
	}
	switch step.State {
	case jsvm.Pending, jsvm.Aborted:
		if rep.Changes != nil {
			return fmt.Errorf("changes of a cell that is %s", step.State)
		}
	case jsvm.Done, jsvm.Failed:
		if rep.Changes == nil {
			return errors.New("no changes of a cell that has ended")
		}
	default:
		return fmt.Errorf("state %q", step.State)
	}
	if (step.Err != nil) != (step.State == jsvm.Failed || step.State == jsvm.Aborted) {
		return fmt.Errorf("an error that does not fit the state %s", step.State)
	}
	if sum, err := hex.DecodeString(step.Hash); err != nil || len(sum) != 16 {
		return fmt.Errorf("hash %q", step.Hash)
	}
	if step.Exit != nil && (step.State != jsvm.Done || step.Exit.Result != nil && !json.Valid(step.Exit.Result)) {
		return errors.New("an exit that does not fit")
	}
	if err := s.checkCalls(step.Calls, req); err != nil {
		return err
	}
	if err := s.checkSets(step, req); err != nil {
		return err
	}
	size := len(step.Echo) + len(step.Transformed)
	for _, line := range step.Console {
		size += len(line)
	}
	if most := 8*s.limits.ConsoleBytes + 64*s.limits.SourceBytes; size > most {
		return fmt.Errorf("%d bytes of text; the limit is %d", size, most)
	}
	if rep.Changes != nil {
		return s.checkChanges(rep.Changes)
	}
	return nil
}

// checkCalls: new calls are numbered on from the recorded ones, name grants, and have arguments within the
// limits.
func (s *session) checkCalls(calls []jsvm.Call, req *request) error {
	next := 1 + s.made(req)
	if total := next - 1 + len(calls); len(calls) > 0 && total > s.limits.TotalCalls {
		return fmt.Errorf("%d calls; the limit is %d", total, s.limits.TotalCalls)
	}
	for i, c := range calls {
		switch {
		case c.ID != next+i:
			return fmt.Errorf("call %d where %d was due", c.ID, next+i)
		case !slices.ContainsFunc(s.setup.Grants, func(g jsvm.Grant) bool { return g.Name == c.Name }):
			return fmt.Errorf("a call of %q, which is not granted", c.Name)
		case len(c.Args) > s.limits.ArgBytes:
			return fmt.Errorf("call %d with %d bytes of arguments; the limit is %d", c.ID, len(c.Args), s.limits.ArgBytes)
		case len(c.Args) == 0 || c.Args[0] != '[' || !json.Valid(c.Args):
			return fmt.Errorf("call %d with arguments that are no JSON array", c.ID)
		}
	}
	return nil
}

// made is how many calls the cell had made before the request.
func (s *session) made(req *request) int {
	switch {
	case req.Run != nil:
		return len(req.Run.Recorded)
	case s.cell != nil:
		return len(s.cell.Recorded)
	}
	return 0
}

// checkSets: sets join calls that were made.
func (s *session) checkSets(step *jsvm.Step, req *request) error {
	made := s.made(req) + len(step.Calls)
	if len(step.Sets) > s.limits.TotalCalls {
		return fmt.Errorf("%d sets; the limit is %d", len(step.Sets), s.limits.TotalCalls)
	}
	for _, set := range step.Sets {
		outside := func(id int) bool { return id < 1 || id > made }
		switch {
		case set.Mode != "first" && set.Mode != "any":
			return fmt.Errorf("a set of mode %q", set.Mode)
		case len(set.Calls) < 2 || len(set.Calls) > made || slices.ContainsFunc(set.Calls, outside) || set.Won < 0 || set.Won > made:
			return fmt.Errorf("a set of calls %v of %d that were made", set.Calls, made)
		}
	}
	return nil
}

func (s *session) checkChanges(changes *jsvm.Changes) error {
	total := 0
	for _, v := range changes.Set {
		switch {
		case (v.Refused == "") == (len(v.Value) == 0):
			return fmt.Errorf("variable %q with neither or both of value and reason", v.Name)
		case len(v.Value) > s.limits.VariableBytes:
			return fmt.Errorf("variable %q with %d bytes; the limit is %d", v.Name, len(v.Value), s.limits.VariableBytes)
		case len(v.Value) > 0 && !json.Valid(v.Value):
			return fmt.Errorf("variable %q is no JSON", v.Name)
		}
		total += len(v.Value)
	}
	if total > s.limits.WorkspaceBytes {
		return fmt.Errorf("variables of %d bytes; the limit is %d", total, s.limits.WorkspaceBytes)
	}
	return nil
}
