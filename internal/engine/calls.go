package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"statek/internal/agents"
	"statek/internal/jobs"
	"statek/internal/jsvm"
	"statek/internal/objects"
	"statek/internal/temporal"
)

func (r *run) class(name string) jobs.Class {
	if _, ok := r.catalog.Temporals[name]; ok || temporal.BuiltIn(name) {
		return jobs.Wait
	}
	return jobs.Tool
}

// perform starts the tools among the calls of one drain, in goroutines of their own. What leaves the process is preceded
// by a commit of the intent. redo: the calls were interrupted before.
func (d *drive) perform(ctx context.Context, calls []jobs.Pending, redo bool) error {
	if slices.ContainsFunc(calls, d.external) {
		if _, err := d.flush(ctx, false); err != nil {
			return err
		}
	}
	for _, p := range calls {
		if p.Class == jobs.Wait {
			continue
		}
		args, err := d.args(p)
		if err != nil {
			return err
		}
		if err := d.startTool(p, args, redo); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) external(p jobs.Pending) bool {
	t, ok := r.catalog.Tools[p.Name]
	return p.Class == jobs.Tool && ok && t.Kind != agents.SQLTool
}

// leaves reports the row of a call that leaves the process.
func (r *run) leaves(e jobs.Entry) bool {
	ev, ok := e.Event.(jobs.CallIssued)
	return ok && r.external(jobs.Pending{Name: ev.Name, Class: ev.Class})
}

// args finds the recorded arguments of a call.
func (d *drive) args(p jobs.Pending) ([]json.RawMessage, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.log {
		if ev, ok := e.Event.(jobs.CallIssued); ok && ev.Call == p.Call {
			var args []json.RawMessage
			if err := json.Unmarshal(ev.Args, &args); err != nil {
				return nil, fmt.Errorf("engine: read the arguments of call %d: %w", p.Call, err)
			}
			return args, nil
		}
	}
	return nil, fmt.Errorf("engine: call %d has no record", p.Call)
}

// issued is a call that the code has made. Of a wait it holds what is to be registered, or why its arguments are wrong.
type issued struct {
	call  jobs.CallIssued
	wait  *temporal.Spec
	wrong *jobs.Fault
}

// plan makes a wait of a call. Wrong arguments reject the call: then there is none.
func (d *drive) plan(i *issued) error {
	var args []json.RawMessage
	if err := json.Unmarshal(i.call.Args, &args); err != nil {
		return fmt.Errorf("engine: read the arguments of call %d: %w", i.call.Call, err)
	}
	scope := temporal.Scope{
		Cell: d.number, Call: i.call.Call, Now: d.Now(), Prefix: d.rec.Spec.Prefix, Job: d.rec.Job.String(), JobCreated: d.rec.Spec.CreatedAt,
	}
	if t, ok := d.catalog.Temporals[i.call.Name]; ok {
		scope.Def, scope.TemporalID = &t.Def, t.ID
	}
	spec, err := temporal.Plan(i.call.Name, args, scope)
	if err != nil {
		i.wrong = typeError(err)
		return nil
	}
	spec, err = d.mark(spec)
	i.wait = &spec
	return err
}

// record records the calls of one drain at once, with their waits and sets: a tool or a release that commits in the next moment must
// not leave a wait in history that is registered nowhere, which nobody would wake, nor waits that are not in their set yet, of which
// two could win.
func (d *drive) record(list []issued, sets []jsvm.Set) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, i := range list {
		if _, err := d.applyLocked(i.call); err != nil {
			return err
		}
		if i.wait != nil {
			d.buffer.Waits = append(d.buffer.Waits, *i.wait)
		}
		if i.wrong != nil {
			if _, err := d.applyLocked(d.settled(jobs.Pending{Call: i.call.Call, Name: i.call.Name, Class: i.call.Class}, nil, i.wrong)); err != nil {
				return err
			}
		}
	}
	for _, s := range sets {
		if err := d.join(s); err != nil {
			return err
		}
	}
	return nil
}

// mayBeReady reports waits that may resolve as soon as they are registered: data may be there already, and a
// message that came before it was asked for is still in the mailbox.
func mayBeReady(s temporal.Spec) bool { return s.Group != nil || s.Kind == temporal.Message }

func (d *drive) settle(p jobs.Pending, value json.RawMessage, f *jobs.Fault) error {
	_, err := d.apply(d.settled(p, value, f))
	return err
}

// settled makes the event of a call's end; a result over the limit becomes an error that says so.
func (d *drive) settled(p jobs.Pending, value json.RawMessage, f *jobs.Fault) jobs.CallSettled {
	if limit := d.Limits.WithDefaults().ResultBytes; f == nil && len(value) > limit {
		value, f = nil, &jobs.Fault{Name: "ResultTooLarge", Code: "limit", Message: fmt.Sprintf(
			"%s was done, but its result has %d bytes and the limit is %d: ask for less", p.Name, len(value), limit)}
	}
	if f == nil && value == nil {
		value = json.RawMessage("null")
	}
	return jobs.CallSettled{Call: p.Call, Name: p.Name, Value: value, Error: f, Now: d.Now().UnixMilli()}
}

func typeError(err error) *jobs.Fault { return &jobs.Fault{Name: "TypeError", Message: err.Error()} }

// startTool binds the arguments and performs the call in a goroutine.
func (d *drive) startTool(p jobs.Pending, args []json.RawMessage, redo bool) error {
	if objects.Known(p.Name) {
		return d.startObject(p, args)
	}
	tool, ok := d.catalog.Tools[p.Name]
	if !ok {
		return d.settle(p, nil, &jobs.Fault{Name: "ReferenceError", Message: p.Name + " is no longer defined at prefix " + d.rec.Spec.Prefix})
	}
	values, err := agents.BindArgs(tool, args)
	if err != nil {
		return d.settle(p, nil, typeError(err))
	}
	if redo && tool.Once && tool.Kind != agents.SQLTool {
		return d.settle(p, nil, unknownOutcome(p, "was interrupted"))
	}
	d.background(p, func() result {
		if tool.Kind == agents.SQLTool {
			return d.runSQL(p, tool, values)
		}
		return d.callOut(p, tool, values)
	})
	return nil
}

// runSQL performs a transactional tool: its effect, its result and everything buffered commit together.
func (d *drive) runSQL(p jobs.Pending, tool agents.Tool, values map[string]json.RawMessage) result {
	run := d.sqlRun(tool, values)
	run.Begun, run.Chain = d.takeBegun(), &agents.Chain{}
	do := func(settle settling) error {
		defer func() { run.Begun = nil }()
		if run.Batch || run.Begun != nil { // no transaction of its own, and the store bounds those that end up with one; or it has one
			return d.SQL.RunTool(d.work, run, settle)
		}
		return d.inPlace(func() error { return d.SQL.RunTool(d.work, run, settle) })
	}
	return d.lastChance(tool, d.retrying(p, run.Chain, tool.Policy(), do))
}

func (r *run) sqlRun(tool agents.Tool, values map[string]json.RawMessage) agents.SQLRun {
	return agents.SQLRun{
		SQLCall: *tool.SQL, Values: values, Timeout: tool.Limit(),
		Builtins: map[string]string{"job_id": r.rec.Job.String(), "prefix": r.rec.Spec.Prefix},
	}
}

// settling makes the commit of a transactional call out of its result.
type settling = func(value json.RawMessage, fault *jobs.Fault) (jobs.Commit, jobs.Ended, error)

// inPlace does a transaction of its own, of which there are few at once: who holds a place may wait for a connection.
func (d *drive) inPlace(do func() error) error {
	select {
	case d.slots <- struct{}{}:
		defer func() { <-d.slots }()
		return do()
	case <-d.work.Done():
		return context.Cause(d.work)
	}
}

// retrying does a call's transaction, again when it lost to a concurrent one.
func (d *drive) retrying(p jobs.Pending, chain *agents.Chain, policy agents.Policy, do func(settle settling) error) result {
	var err error
	ride := true // once: the code has seen a result that could not be committed
	for attempt := 1; ; attempt++ {
		err = do(func(value json.RawMessage, f *jobs.Fault) (jobs.Commit, jobs.Ended, error) {
			first := ride
			ride, chain.Next = false, nil
			return d.commitWith(p, value, f, chain, first)
		})
		if err == nil {
			return result{}
		}
		if !d.concurrent(err) || attempt >= policy.Attempts || !pause(d.work, policy.Delay(attempt, d.Random())) {
			break
		}
	}
	switch {
	case d.work.Err() != nil && errors.Is(context.Cause(d.work), errCellOver):
		return d.cancelled(p)
	case d.concurrent(err):
		ev := d.settled(p, nil, &jobs.Fault{Name: "SQLError", Code: conflictCode, Message: fmt.Sprintf(
			"%s lost to concurrent transactions %d times: try again later", p.Name, policy.Attempts)})
		return result{settled: &ev}
	default:
		return result{err: err}
	}
}

// commitWith applies the result and hands out the buffer as the tool's commit. With ride, what the code does at once is taken along: the end
// of the job, or its next call.
func (d *drive) commitWith(p jobs.Pending, value json.RawMessage, f *jobs.Fault, chain *agents.Chain, ride bool) (jobs.Commit, jobs.Ended, error) {
	return d.handOut(func() (jobs.Commit, jobs.Ended, error) {
		job, entries, log, ready, variables := d.job, len(d.buffer.Entries), len(d.log), len(d.ready), len(d.buffer.Variables)
		if _, err := d.applyLocked(d.settled(p, value, f)); err != nil {
			return jobs.Commit{}, nil, err
		}
		var offered *promise
		var end *tail
		if ready == 0 && len(d.ready) == 1 {
			ride = ride && d.mayRide()
			if offered = d.promise(d.ready[0], ride); ride {
				end, chain.Next = d.hear(offered)
			}
		}
		if end != nil {
			d.job, d.buffer.Entries = end.job, append(d.buffer.Entries, end.entries...)
			d.buffer.Variables, d.buffer.Withdraw = append(d.buffer.Variables, end.variables...), end.withdraw // mayRide: none else
		}
		c := d.takeLocked()
		c.Trailing, c.Release = d.trails(c), end != nil
		return c, func(released bool, err error) {
			switch {
			case d.committed(err) != nil:
				d.job, d.buffer.Entries, d.buffer.Variables = job, d.buffer.Entries[:entries], d.buffer.Variables[:variables]
				d.log, d.ready = d.log[:log], d.ready[:ready]
				if end != nil {
					d.buffer.Withdraw = nil
				}
			case end != nil:
				d.rideEnded(end, released)
			case chain.Begun != nil:
				d.begun = chain.Begun
			}
			offered.kept(err)
		}, nil
	})
}

// handOut makes a commit that somebody else writes. The lock is held until ended is told, so that commit order is the order of events. If
// none can be made, it is free; after a panic in the middle of that nothing may be written any more.
func (r *run) handOut(produce func() (jobs.Commit, jobs.Ended, error)) (c jobs.Commit, ended jobs.Ended, err error) {
	r.mu.Lock()
	if r.lost != nil {
		defer r.mu.Unlock()
		return jobs.Commit{}, nil, r.lost
	}
	r.lost = errHalfMade
	handed := false
	defer func() {
		if !handed {
			r.mu.Unlock()
		}
	}()
	c, told, err := produce()
	if r.lost = nil; err != nil {
		return jobs.Commit{}, nil, err
	}
	handed = true
	return c, func(released bool, err error) {
		defer r.mu.Unlock()
		told(released, err)
	}, nil
}

// errHalfMade is what is left of a run that panicked while it made a commit.
var errHalfMade = errors.New("engine: a panic has left the job half changed")

// trails reports a commit that need not write the state: this run has, with the open cell in it, and soon will again. What
// leaves the process is another matter: that a job has asked for it is in its state while it is under way.
func (r *run) trails(c jobs.Commit) bool {
	return r.row == c.State.Status && jobs.Trails(c.Entries) && !slices.ContainsFunc(c.Entries, r.leaves) &&
		len(c.Mail)+len(c.Waits)+len(c.Sets)+len(c.Withdraw)+len(c.Variables)+len(c.Usage) == 0
}

// cancelled is the end of a call whose cell is over, or whose run is.
func (d *drive) cancelled(p jobs.Pending) result {
	if cause := context.Cause(d.work); !errors.Is(cause, errCellOver) {
		return result{err: cause}
	}
	ev := d.settled(p, nil, &jobs.Fault{Name: "CancelledError", Code: "cancelled", Message: p.Name +
		" was cancelled because its cell was over; its outcome is unknown"})
	return result{settled: &ev}
}

// concurrent reports that a transaction lost to another one and may be tried again.
func (e *Engine) concurrent(err error) bool {
	return err != nil && e.Concurrent != nil && e.Concurrent(err)
}
