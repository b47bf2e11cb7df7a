package engine

import (
	"context"
	"fmt"
	"slices"

	"statek/internal/jobs"
	"statek/internal/jsvm"
)

// loadLog reads the history of the open cell, when this run has not started it.
func (r *run) loadLog(ctx context.Context) error {
	if r.logged() {
		return nil
	}
	recorded := r.rec.Open
	if recorded == nil {
		var err error
		if recorded, err = r.Jobs.CellHistory(ctx, r.rec.Job, r.job.Cell.Number, r.job.Cell.Since); err != nil {
			return err
		}
	}
	// What this run has already applied (mail that settled waits) comes after; it may have been committed meanwhile.
	if len(r.log) > 0 {
		mine := func(e jobs.Entry) bool { return e.Seq >= r.log[0].Seq }
		recorded = slices.DeleteFunc(slices.Clone(recorded), mine)
	}
	if n := len(recorded); n > 0 && recorded[n-1].Seq > r.rec.Seq {
		return fmt.Errorf("engine: job %s: history goes on behind row %d, where this run began: %w", r.rec.Job, r.rec.Seq, jobs.ErrFenced)
	}
	r.log = append(recorded, r.log...)
	if !r.logged() {
		return fmt.Errorf("engine: job %s: cell %d has no start in history", r.rec.Job, r.job.Cell.Number)
	}
	return nil
}

// logged reports whether the log is the open cell's from its start.
func (r *run) logged() bool {
	if len(r.log) == 0 {
		return false
	}
	_, ok := r.log[0].Event.(jobs.CellStarted)
	return ok
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
	given := given(d.log)
	var deliveries []jsvm.Delivery
	hashes := map[int]string{}
	d.ready = nil
	for _, e := range d.log[1:] {
		switch ev := e.Event.(type) {
		case jobs.CallIssued:
			cell.Recorded = append(cell.Recorded, jsvm.Call{ID: ev.Call, Name: ev.Name, Args: ev.Args})
			hashes[ev.After] = ev.Hash
		case jobs.WaitsJoined:
			cell.Sets = append(cell.Sets, jsvm.Set{Mode: string(ev.Mode), Calls: ev.Calls})
		case jobs.Slept:
			hashes[ev.After] = ev.Hash
		case jobs.Console:
			d.recorded += len(ev.Lines)
			cell.Printed = append(cell.Printed, ev.Lines...)
		case jobs.CallSettled:
			if len(deliveries) < given {
				deliveries = append(deliveries, delivery(ev, true))
			} else {
				d.ready = append(d.ready, ev) // news: the cell may end before all of them are delivered
			}
		}
	}
	for i := range deliveries {
		deliveries[i].Expect = hashes[i]
	}
	step, err := d.rerun(ctx, cell, deliveries)
	if want := hashes[given]; err == nil && want != "" && step.State == jsvm.Pending && step.Exit == nil && step.Hash != want {
		err = &jsvm.DivergedError{Call: len(cell.Recorded), Want: "state " + want, Got: "state " + step.Hash}
	}
	if err == nil {
		d.live, d.delivered = true, len(deliveries)
	}
	return step, err
}

// given counts the results that the cell's code had been given when its history last told.
func given(log []jobs.Entry) int {
	n := 0
	for _, e := range log {
		switch ev := e.Event.(type) {
		case jobs.CallIssued:
			n = max(n, ev.After)
		case jobs.Slept:
			n = max(n, ev.After)
		}
	}
	return n
}

// rerun starts the cell and gives it what it had been given.
func (d *drive) rerun(ctx context.Context, cell jsvm.Cell, deliveries []jsvm.Delivery) (jsvm.Step, error) {
	step, err := d.vm.Run(ctx, cell)
	d.noteTransformed(step.Transformed)
	if err != nil || len(deliveries) == 0 || step.State != jsvm.Pending || step.Exit != nil {
		return step, err
	}
	console := step.Console
	step, err = d.vm.Deliver(ctx, deliveries...)
	step.Console = append(console, step.Console...)
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

// redo performs again the tool calls whose results were never recorded, and those whose next attempt is due.
func (d *drive) redo(ctx context.Context) error {
	var again []jobs.Pending
	for _, p := range d.job.Cell.Open {
		if p.Class == jobs.Tool && !p.Failed {
			again = append(again, p)
		}
	}
	if len(again) > 0 {
		if err := d.perform(ctx, again, true); err != nil {
			return err
		}
	}
	return d.retry(ctx)
}

func delivery(ev jobs.CallSettled, replay bool) jsvm.Delivery {
	d := jsvm.Delivery{Call: ev.Call, Value: ev.Value, Now: ev.Now, Replay: replay}
	if f := ev.Error; f != nil {
		d.Err = &jsvm.Error{Name: f.Name, Message: f.Message, Code: f.Code, Data: f.Data}
	}
	return d
}
