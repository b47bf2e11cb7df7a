package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"statek/internal/jobs"
	"statek/internal/jsvm"
)

// drive is one VM on the open cell.
type drive struct {
	*run
	vm        jsvm.Session
	number    int
	delivered int             // results the VM has been given
	printed   int             // console lines the cell has printed in all
	recorded  int             // console lines that history has
	inflight  int             // tool calls that are being performed
	results   chan result     // from their goroutines
	work      context.Context // of tool calls; ends with the cell
	stop      context.CancelCauseFunc
	wg        sync.WaitGroup
}

// result is a performed tool call. Transactional calls are already applied; err ends the run.
type result struct {
	settled *jobs.CallSettled
	err     error
}

// maxPending is more than any cell may have open, so that a goroutine never waits to hand in its result.
const maxPending = 4096

var errCellOver = errors.New("engine: the cell is over")

// startCell fixes the code, the seed and the clock of the next cell.
func (r *run) startCell(ctx context.Context, eff jobs.StartCell) ([]jobs.Effect, error) {
	ev := jobs.CellStarted{
		Cell: r.job.Cells + 1, Origin: eff.Origin, Index: eff.Index,
		Seed: r.Random() >> 11, Now: r.Now().UnixMilli(), Engine: jsvm.Engine,
	}
	if eff.Origin == jobs.FromWarmup {
		block := r.rec.Spec.Warmup[eff.Index]
		ev.Source, ev.Hidden = block.Source, block.Hidden
		return r.apply(ev)
	}
	if r.reply == nil || r.reply.Turn != eff.Index {
		reply, err := r.Jobs.LastReply(ctx, r.rec.Job)
		if err != nil {
			return nil, err
		}
		r.reply = &reply
	}
	ev.Source = r.reply.Code
	return r.apply(ev)
}

// execute runs the open cell from its start: through what is recorded of it, and on from there.
func (r *run) execute(ctx context.Context) ([]jobs.Effect, error) {
	if err := r.loadCell(ctx); err != nil {
		return nil, err
	}
	work, stop := context.WithCancelCause(ctx)
	d := &drive{run: r, number: r.job.Cell.Number, results: make(chan result, maxPending), work: work, stop: stop}
	defer d.wg.Wait()
	defer stop(errCellOver)
	step, err := d.replay(ctx)
	if d.vm != nil {
		defer d.vm.Close()
	}
	if err == nil {
		err = d.redo(ctx)
	}
	if err == nil {
		return d.loop(ctx, step)
	}
	var diverged *jsvm.DivergedError
	if errors.As(err, &diverged) {
		return d.end(ctx, jsvm.Step{State: jsvm.Aborted, Err: &jsvm.Error{
			Name: "DivergedError", Code: "diverged",
			Message: diverged.Error() + "; the cell is not run again. Its variables are as they were before it; the calls listed above have been made",
		}})
	}
	return nil, err
}

// loadCell reads the recorded part of the open cell, when this run has not just started it.
func (r *run) loadCell(ctx context.Context) error {
	if r.vars == nil {
		list, err := r.Jobs.Workspace(ctx, r.rec.Job)
		if err != nil {
			return err
		}
		r.vars = make(map[string]jobs.Variable, len(list))
		for _, v := range list {
			r.vars[v.Name] = v
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.log) > 0 {
		if _, ok := r.log[0].Event.(jobs.CellStarted); ok {
			return nil
		}
	}
	recorded, err := r.Jobs.CellHistory(ctx, r.rec.Job, r.job.Cell.Number)
	if err != nil {
		return err
	}
	// What this run has already applied (mail that settled waits) comes after what is in the database.
	r.log = append(recorded, r.log...)
	if _, ok := r.log[0].Event.(jobs.CellStarted); !ok {
		return fmt.Errorf("engine: job %s: cell %d has no start in history", r.rec.Job, r.job.Cell.Number)
	}
	return nil
}

// replay opens a VM and brings it to where history ends.
func (d *drive) replay(ctx context.Context) (jsvm.Step, error) {
	started, _ := d.log[0].Event.(jobs.CellStarted)
	vm, err := d.Machine.Open(ctx, jsvm.Setup{
		Prefix: d.rec.Spec.Prefix, Engine: started.Engine, Grants: d.grants(), Variables: d.workspace(), Limits: d.Limits,
	})
	if err != nil {
		return jsvm.Step{}, err
	}
	d.vm = vm
	cell := jsvm.Cell{
		Number: started.Cell, Source: started.Source, Transformed: started.Transformed, Seed: started.Seed, Now: started.Now,
	}
	var deliveries []jsvm.Delivery
	hashes := map[int]string{}
	for _, e := range d.log[1:] {
		switch ev := e.Event.(type) {
		case jobs.CallIssued:
			cell.Recorded = append(cell.Recorded, jsvm.Call{ID: ev.Call, Name: ev.Name, Args: ev.Args})
			hashes[ev.After] = ev.Hash
		case jobs.Slept:
			hashes[ev.After] = ev.Hash
		case jobs.Console:
			d.recorded += len(ev.Lines)
		case jobs.CallSettled:
			deliveries = append(deliveries, delivery(ev, true))
		}
	}
	for i := range deliveries {
		deliveries[i].Expect = hashes[i]
	}
	d.ready = nil // all of them are among the deliveries
	step, err := vm.Run(ctx, cell)
	d.noteTransformed(step.Transformed)
	if err != nil || len(deliveries) == 0 || step.State != jsvm.Pending || step.Exit != nil {
		return step, err
	}
	console := step.Console
	step, err = vm.Deliver(ctx, deliveries...)
	step.Console = append(console, step.Console...)
	d.delivered = len(deliveries)
	return step, err
}

// noteTransformed records the text that really ran with the start of a cell that has just begun: a replay
// must not depend on the compiler's version.
func (d *drive) noteTransformed(text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	started, ok := d.log[0].Event.(jobs.CellStarted)
	if !ok || text == "" || text == started.Transformed {
		return
	}
	for i, e := range d.buffer.Entries {
		if e.Seq == d.log[0].Seq {
			started.Transformed = text
			d.buffer.Entries[i].Event, d.log[0].Event = started, started
		}
	}
}

// redo performs again the tool calls whose results were never recorded.
func (d *drive) redo(ctx context.Context) error {
	var again []jobs.Pending
	for _, p := range d.job.Cell.Open {
		if p.Class == jobs.Tool {
			again = append(again, p)
		}
	}
	if len(again) == 0 {
		return nil
	}
	return d.perform(ctx, again, true)
}

func delivery(ev jobs.CallSettled, replay bool) jsvm.Delivery {
	d := jsvm.Delivery{Call: ev.Call, Value: ev.Value, Now: ev.Now, Replay: replay}
	if f := ev.Error; f != nil {
		d.Err = &jsvm.Error{Name: f.Name, Message: f.Message, Code: f.Code}
	}
	return d
}

// loop performs what the cell asks for and delivers results, one at a time, until the cell ends or sleeps.
func (d *drive) loop(ctx context.Context, step jsvm.Step) ([]jobs.Effect, error) {
	for {
		if d.interrupted() {
			return nil, nil
		}
		if err := d.print(step); err != nil {
			return nil, err
		}
		calls, err := d.issue(step)
		if err != nil {
			return nil, err
		}
		if step.State != jsvm.Pending || step.Exit != nil {
			return d.end(ctx, step)
		}
		if err := d.perform(ctx, calls, false); err != nil {
			return nil, err
		}
		next, asleep, err := d.await(ctx, step.Hash)
		if err != nil || asleep {
			return nil, err
		}
		if next == nil {
			step = jsvm.Step{State: jsvm.Pending, Hash: step.Hash}
			continue // interrupted by mail
		}
		d.delivered++
		if step, err = d.vm.Deliver(ctx, delivery(*next, false)); err != nil {
			return nil, err
		}
	}
}

// interrupted reports whether mail has ended or paused the cell.
func (d *drive) interrupted() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.job.Cell
	return c == nil || c.Number != d.number || d.job.Status == jobs.Paused
}

// print records the console lines that history does not have yet.
func (d *drive) print(step jsvm.Step) error {
	fresh := step.Console
	if known := d.recorded - d.printed; known > 0 {
		fresh = fresh[min(known, len(fresh)):]
	}
	d.printed += len(step.Console)
	if len(fresh) == 0 {
		return nil
	}
	d.recorded += len(fresh)
	_, err := d.apply(jobs.Console{Lines: fresh})
	return err
}

// issue records the calls of one drain.
func (d *drive) issue(step jsvm.Step) ([]jobs.Pending, error) {
	calls := make([]jobs.Pending, 0, len(step.Calls))
	for _, c := range step.Calls {
		p := jobs.Pending{Call: c.ID, Name: c.Name, Class: d.class(c.Name)}
		ev := jobs.CallIssued{Call: c.ID, Name: c.Name, Class: p.Class, Args: c.Args, Hash: step.Hash, After: d.delivered}
		if _, err := d.apply(ev); err != nil {
			return nil, err
		}
		calls = append(calls, p)
	}
	return calls, nil
}

// await returns the next result to deliver. Nil without error: mail changed something, look again.
func (d *drive) await(ctx context.Context, hash string) (*jobs.CallSettled, bool, error) {
	if next := d.takeReady(); next != nil {
		return next, false, nil
	}
	if d.inflight == 0 {
		return d.sleep(ctx, hash)
	}
	select {
	case res := <-d.results:
		d.inflight--
		if res.err != nil {
			return nil, false, res.err
		}
		if res.settled != nil {
			if _, err := d.apply(*res.settled); err != nil {
				return nil, false, err
			}
		}
		return d.takeReady(), false, nil
	case <-d.rung:
		if err := d.clearRungAndRead(ctx); err != nil {
			return nil, false, err
		}
		if d.interrupted() {
			return nil, false, nil
		}
		return d.takeReady(), false, nil
	case <-ctx.Done():
		return nil, false, context.Cause(ctx)
	}
}

func (r *run) clearRungAndRead(ctx context.Context) error {
	if err := r.Jobs.ClearRung(ctx, r.rec.Hold); err != nil {
		return err
	}
	return r.readMail(ctx)
}

func (r *run) takeReady() *jobs.CallSettled {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ready) == 0 {
		return nil
	}
	next := r.ready[0]
	r.ready = r.ready[1:]
	return &next
}

// sleep puts the job to rest: only waits are open. New waits are looked at once before it is given up.
func (d *drive) sleep(ctx context.Context, hash string) (*jobs.CallSettled, bool, error) {
	d.mu.Lock()
	waits := slices.Clone(d.buffer.Waits)
	on := openNames(d.job.Cell)
	why := d.describe(d.job.Cell)
	asleep := d.job.Status == jobs.Suspended
	d.mu.Unlock()
	if !asleep {
		ev := jobs.Slept{On: []string{on}, Why: why, Hash: hash, After: d.delivered}
		if _, err := d.apply(ev); err != nil {
			return nil, false, err
		}
	}
	mayBeReady := slices.ContainsFunc(waits, mayBeReady)
	released, err := d.flush(ctx, !mayBeReady)
	if err != nil || released {
		return nil, released, err
	}
	if mayBeReady {
		if err := d.Waits.TryNow(ctx, waits...); err != nil {
			d.complain(ctx, "looking at new waits failed; the next tick does it", d.rec.Job, err)
		}
		if err := d.readMail(ctx); err != nil {
			return nil, false, err
		}
		if next := d.takeReady(); next != nil {
			return next, false, nil
		}
		released, err := d.rest(ctx)
		if err != nil || released {
			return nil, released, err
		}
		return d.takeReady(), false, nil
	}
	if err := d.clearRungAndRead(ctx); err != nil {
		return nil, false, err
	}
	return d.takeReady(), false, nil
}

// end closes the cell: it waits for calls that are still being performed, takes over the workspace, and
// records how the cell ended. Waits that are open are withdrawn with it.
func (d *drive) end(ctx context.Context, step jsvm.Step) ([]jobs.Effect, error) {
	if step.State == jsvm.Aborted {
		d.stop(errCellOver)
	}
	if err := d.settleRest(ctx); err != nil {
		return nil, err
	}
	if d.interrupted() {
		return nil, nil
	}
	ev := jobs.CellEnded{State: string(step.State), Echo: step.Echo, Error: fault(step.Err)}
	if step.Exit != nil {
		ev.State, ev.Exit = string(jsvm.Done), &jobs.Exit{Result: step.Exit.Result}
	}
	if step.State != jsvm.Aborted {
		changes, err := d.vm.Changes(ctx)
		if err != nil {
			return nil, fmt.Errorf("engine: job %s: read the workspace after cell %d: %w", d.rec.Job, d.number, err)
		}
		ev.Notes = changes.Notes
		d.keep(changes)
	}
	return d.apply(ev)
}

// settleRest records the results of calls that the cell has not waited for.
func (d *drive) settleRest(ctx context.Context) error {
	for d.inflight > 0 {
		select {
		case res := <-d.results:
			d.inflight--
			if res.err != nil {
				return res.err
			}
			if res.settled != nil {
				if _, err := d.apply(*res.settled); err != nil {
					return err
				}
			}
		case <-d.rung:
			if err := d.clearRungAndRead(ctx); err != nil {
				return err
			}
			if d.interrupted() {
				return nil
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// keep takes the cell's changes into the workspace and the buffer.
func (d *drive) keep(changes jsvm.Changes) {
	w := jobs.Workspace{Cell: d.number, Deleted: changes.Deleted}
	for _, name := range changes.Deleted {
		delete(d.vars, name)
	}
	for _, v := range changes.Set {
		variable := jobs.Variable{Name: v.Name, Value: v.Value, Type: v.Type, Refused: v.Refused}
		d.vars[v.Name] = variable
		w.Set = append(w.Set, variable)
	}
	if len(w.Set)+len(w.Deleted) == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.buffer.Variables = append(d.buffer.Variables, w)
}

func (r *run) workspace() []jsvm.Variable {
	list := make([]jsvm.Variable, 0, len(r.vars))
	for _, v := range r.vars {
		list = append(list, jsvm.Variable{Name: v.Name, Value: v.Value, Type: v.Type, Refused: v.Refused})
	}
	slices.SortFunc(list, func(a, b jsvm.Variable) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return list
}

func fault(e *jsvm.Error) *jobs.Fault {
	if e == nil {
		return nil
	}
	return &jobs.Fault{Name: e.Name, Message: e.Message, Code: e.Code, Stack: e.Stack}
}
