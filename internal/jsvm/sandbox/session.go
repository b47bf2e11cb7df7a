package sandbox

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"statek/internal/jsvm"
)

// session is a jsvm.Session whose VM is in some child, or in none. It remembers everything that leads to where
// the VM is: what it was opened with, the open cell, and the results that it has been given.
type session struct {
	pool   *Pool
	id     uint32
	setup  jsvm.Setup
	world  []byte // its grants and limits, encoded
	limits jsvm.Limits

	cell    *jsvm.Cell // open; its Recorded and Sets hold all that were made so far
	past    []jsvm.Delivery
	spent   time.Duration // CPU time of the open cell, as the parent saw it
	printed int
	hash    string

	ended   bool // the last cell is Done or Failed
	exited  bool
	changes jsvm.Changes // since the caller has asked
	closed  bool
	lived   bool // a VM has been made
}

// Close implements jsvm.Session.
func (s *session) Close() {
	if !s.closed {
		s.closed = true
		s.pool.leave(s.id)
	}
}

// Run implements jsvm.Session.
func (s *session) Run(ctx context.Context, cell jsvm.Cell) (jsvm.Step, error) {
	if s.closed || s.exited || s.cell != nil {
		return jsvm.Step{}, fmt.Errorf("%w: run a cell in a session that is closed, has ended with exit, or has an open cell", jsvm.ErrSession)
	}
	s.ended, s.spent, s.printed, s.hash, s.past = false, 0, 0, "", nil
	return s.drive(ctx, &cell, nil)
}

// Deliver implements jsvm.Session.
func (s *session) Deliver(ctx context.Context, deliveries ...jsvm.Delivery) (jsvm.Step, error) {
	if s.closed || s.cell == nil {
		return jsvm.Step{}, fmt.Errorf("%w: deliver without an open cell", jsvm.ErrSession)
	}
	return s.drive(ctx, nil, deliveries)
}

// Changes implements jsvm.Session. The child has sent them with the end of the cell.
func (s *session) Changes(context.Context) (jsvm.Changes, error) {
	if s.closed || !s.ended {
		return jsvm.Changes{}, fmt.Errorf("%w: changes are there when a cell has ended", jsvm.ErrSession)
	}
	out := s.changes
	s.changes = jsvm.Changes{}
	return out, nil
}

// drive runs a cell or delivers, and says how it went. Any error is the end of the session.
func (s *session) drive(ctx context.Context, run *jsvm.Cell, deliver []jsvm.Delivery) (jsvm.Step, error) {
	rep, err := s.ask(ctx, s.budget(run, deliver), func(here bool) *request { return s.request(here, run, deliver) })
	var d *death
	switch {
	case err == nil && rep.Failure == nil:
		return s.accept(rep, run, deliver), nil
	case err == nil:
		err = rep.Failure.err()
	case errors.As(err, &d) && d.cause == starved:
		err = fmt.Errorf("%w: %s", jsvm.ErrUnavailable, d.Error())
	case errors.As(err, &d) && !replayed(run, deliver):
		s.Close()
		return jsvm.Step{State: jsvm.Aborted, Err: s.blame(d), Hash: s.hash}, nil
	}
	s.Close()
	return jsvm.Step{}, err
}

// ask sends a request to a child and checks the answer. When the child dies of anything but time, the request
// is made once more, of a child that does nothing else, with what is left of the time: the cell may be
// innocent. The error is then a *death.
func (s *session) ask(ctx context.Context, cpu time.Duration, build func(here bool) *request) (*reply, error) {
	var first *death
	for {
		c, here, err := s.pool.borrow(ctx, s.setup.Prefix, s.id, first != nil)
		if err != nil {
			return nil, err
		}
		req := build(here)
		req.Session, req.Forget = s.id, s.pool.forgotten(c)
		rep, err := c.exchange(ctx, req, cpu, s.replyLimit())
		if err == nil {
			rep.opened = req.Open != nil
			if err = s.check(rep, req); err != nil {
				err = &death{cause: lied, detail: err.Error()}
				c.kill(err)
			}
		}
		kept := err == nil && rep.Step != nil && rep.Step.State != jsvm.Aborted && !s.closed
		if kept && s.pool.cfg.forgetful && rep.Step.State == jsvm.Pending {
			kept = false
		}
		s.pool.giveBack(c, s.id, kept, rep, s.limits.MemoryBytes)
		var d *death
		if !errors.As(err, &d) {
			return rep, err
		}
		s.pool.note(ctx, s.setup.Prefix, d)
		if first != nil || d.cause == tooLong {
			if first != nil && d.cause == tooLong {
				d = first // it did not get the whole time again
			}
			return nil, d
		}
		first = d
		cpu = max(cpu-d.used, grace/2)
	}
}

// request says what the child has to do; when it does not hold the VM, how to get there.
func (s *session) request(here bool, run *jsvm.Cell, deliver []jsvm.Delivery) *request {
	req := &request{Run: run, Deliver: deliver}
	if here {
		return req
	}
	req.Open = &opening{Prefix: s.setup.Prefix, Engine: s.setup.Engine, World: s.world, Variables: s.setup.Variables}
	if s.lived {
		s.pool.rebuilt()
	}
	if run == nil {
		req.Run = s.cell
		req.Deliver = slices.Concat(s.past, deliver)
	}
	return req
}

// budget is the CPU time that a request may take before the child is killed: what the limits allow, and what a
// replay of the past may take.
func (s *session) budget(run *jsvm.Cell, deliver []jsvm.Delivery) time.Duration {
	total := grace + 4*s.spent
	one := func(replay bool) {
		if replay {
			total += 4 * s.limits.DrainTime
		} else {
			total += s.limits.DrainTime
		}
	}
	if run != nil {
		one(len(run.Recorded) > 0)
	}
	for _, d := range deliver {
		one(d.Replay)
	}
	return min(total, grace+4*s.limits.CellTime+s.limits.DrainTime)
}

// accept takes a step into what the session remembers, and leaves the caller what it has not seen.
func (s *session) accept(rep *reply, run *jsvm.Cell, deliver []jsvm.Delivery) jsvm.Step {
	step := *rep.Step
	if run != nil {
		cell := *run
		cell.Recorded, cell.Sets = slices.Clone(run.Recorded), slices.Clone(run.Sets)
		s.cell = &cell
	}
	rebuilt := s.lived && rep.opened && run == nil
	s.lived = true
	if rebuilt {
		step.Console = step.Console[min(s.printed, len(step.Console)):]
		step.Transformed = ""
	} else if step.Transformed != "" {
		s.cell.Transformed = step.Transformed
	}
	s.printed += len(step.Console)
	s.cell.Recorded = append(s.cell.Recorded, step.Calls...)
	s.cell.Sets = append(s.cell.Sets, step.Sets...)
	for _, d := range deliver {
		if d.Expect == "" && len(deliver) == 1 {
			d.Expect = s.hash
		}
		d.Replay = true
		s.past = append(s.past, d)
	}
	s.hash = step.Hash
	s.spent += rep.used
	switch step.State {
	case jsvm.Pending:
		return step
	case jsvm.Aborted:
		s.Close()
	default:
		s.ended, s.exited = true, step.Exit != nil
		s.changes = merge(s.changes, *rep.Changes)
		s.setup.Variables = apply(s.setup.Variables, *rep.Changes)
	}
	s.cell, s.past = nil, nil
	return step
}

// replayed tells whether a request repeats what went well before: then the script is not to blame.
func replayed(run *jsvm.Cell, deliver []jsvm.Delivery) bool {
	if len(deliver) > 0 {
		return deliver[len(deliver)-1].Replay
	}
	return run != nil && len(run.Recorded) > 0
}

// blame is what a cell is told whose child died twice.
func (s *session) blame(d *death) *jsvm.Error {
	out := &jsvm.Error{Name: "LimitError", Code: "limit"}
	switch d.cause {
	case tooLong:
		out.Message = fmt.Sprintf("the cell computed for more than %s without a pause (drain_time), inside one built-in function; look for enormous lengths or a regular expression that backtracks", s.limits.DrainTime)
	case tooLarge:
		out.Message = fmt.Sprintf("the cell needed more than %d MiB of memory (memory_bytes); work on less at once, or let a tool do the work", s.limits.MemoryBytes>>20)
	case tooDeep:
		out.Message = "the cell made a built-in function recurse more than 64 MiB deep (stack); use flatter data, and no proxies or functions that wrap each other again and again"
	default:
		out.Message = "the cell ended its sandbox twice (" + string(d.cause) + "); write it in another way, in smaller steps"
	}
	return out
}

// merge adds later changes to earlier ones that nobody has taken.
func merge(a, b jsvm.Changes) jsvm.Changes {
	if len(a.Set)+len(a.Deleted)+len(a.Notes) == 0 {
		return b
	}
	out := jsvm.Changes{Set: apply(a.Set, b), Notes: slices.Concat(a.Notes, b.Notes)}
	gone := map[string]bool{}
	for _, name := range slices.Concat(a.Deleted, b.Deleted) {
		gone[name] = true
	}
	for _, v := range b.Set {
		delete(gone, v.Name)
	}
	out.Deleted = slices.Sorted(maps.Keys(gone))
	return out
}

// apply is the workspace after changes, in the order of names.
func apply(vars []jsvm.Variable, changes jsvm.Changes) []jsvm.Variable {
	if len(changes.Set)+len(changes.Deleted) == 0 {
		return vars
	}
	byName := make(map[string]jsvm.Variable, len(vars)+len(changes.Set))
	for _, v := range vars {
		byName[v.Name] = v
	}
	for _, name := range changes.Deleted {
		delete(byName, name)
	}
	for _, v := range changes.Set {
		byName[v.Name] = v
	}
	out := make([]jsvm.Variable, 0, len(byName))
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		out = append(out, byName[name])
	}
	return out
}
