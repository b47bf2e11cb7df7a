package engine

import (
	"context"
	"fmt"
	"slices"

	"statek/internal/jobs"
	"statek/internal/jsvm"
)

// end closes the cell: it waits for calls that are still being performed, takes over the workspace, and
// records how the cell ended. Waits that are open are withdrawn with it. released: a call is made again much later, and
// the job sleeps until then; the cell is run anew and ends when the call has.
func (d *drive) end(ctx context.Context, step jsvm.Step) (next []jobs.Effect, released bool, err error) {
	d.mu.Lock()
	d.over = true
	d.mu.Unlock()
	if step.State == jsvm.Aborted {
		d.stop(errCellOver)
		err = d.settleInflight(ctx)
	} else {
		released, err = d.settleRest(ctx, step.Hash)
	}
	if err != nil || released {
		return nil, released, err
	}
	if d.interrupted() {
		return nil, false, nil
	}
	var changes jsvm.Changes
	if step.State != jsvm.Aborted {
		if changes, err = d.takeChanges(ctx); err != nil {
			return nil, false, fmt.Errorf("engine: job %s: read the workspace after cell %d: %w", d.rec.Job, d.number, err)
		}
		d.keep(changes)
	}
	next, err = d.apply(d.cellEnded(step, changes.Notes))
	return next, false, err
}

func (d *drive) cellEnded(step jsvm.Step, notes []string) jobs.CellEnded {
	ev := jobs.CellEnded{State: string(step.State), Echo: step.Echo, Error: fault(step.Err), Notes: notes}
	if step.Exit != nil {
		ev.State, ev.Exit = string(jsvm.Done), &jobs.Exit{Result: step.Exit.Result}
	}
	return ev
}

// takeChanges reads what the cell has made of the workspace; a VM tells it once.
func (d *drive) takeChanges(ctx context.Context) (jsvm.Changes, error) {
	if d.changes != nil {
		return *d.changes, nil
	}
	return d.vm.Changes(ctx)
}

// settleRest records the results of calls that the cell has not waited for, and makes those again that failed. asleep:
// the job was let go until the next attempt.
func (d *drive) settleRest(ctx context.Context, hash string) (asleep bool, err error) {
	for {
		if err := d.settleInflight(ctx); err != nil || d.interrupted() || !d.failing() {
			return false, err
		}
		if _, asleep, err = d.await(ctx, hash); err != nil || asleep {
			return asleep, err
		}
	}
}

// settleInflight records the results of the calls that are being performed.
func (d *drive) settleInflight(ctx context.Context) error {
	for d.inflight > 0 {
		if res, ok := d.results.take(); ok {
			if err := d.take(res); err != nil {
				return err
			}
			continue
		}
		select {
		case <-d.results.news:
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
	w := d.workspaceChanges(changes)
	d.remember(w)
	if len(w.Set)+len(w.Deleted) == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.buffer.Variables = append(d.buffer.Variables, w)
}

// remember makes a cell's changes what the next one finds.
func (r *run) remember(w jobs.Workspace) {
	for _, name := range w.Deleted {
		delete(r.vars, name)
	}
	for _, v := range w.Set {
		r.vars[v.Name] = v
	}
}

// workspaceChanges says what rows the cell's changes are. A name is not both deleted and set.
func (r *run) workspaceChanges(changes jsvm.Changes) jobs.Workspace {
	w := jobs.Workspace{Cell: r.job.Cell.Number, Deleted: changes.Deleted}
	for _, v := range changes.Set {
		if _, had := r.vars[v.Name]; had {
			w.Replaced = append(w.Replaced, v.Name)
		}
		w.Set = append(w.Set, jobs.Variable{Name: v.Name, Value: v.Value, Type: v.Type, Refused: v.Refused})
	}
	return w
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
