package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"statek/internal/agents"
	"statek/internal/jobs"
	"statek/internal/jsvm"
	"statek/internal/temporal"
)

// drive is one VM on the open cell.
type drive struct {
	*run
	vm       jsvm.Session
	number   int
	printed  int             // console lines the cell has printed in all
	recorded int             // console lines that history has
	inflight int             // tool calls that are being performed
	results  *inbox          // from their goroutines
	promised chan *promise   // likewise
	early    *early          // nil: the code waits
	changes  *jsvm.Changes   // of the cell, when they were asked for early
	begun    agents.Begun    // the call that the code makes next
	over     bool            // it has ended
	work     context.Context // of tool calls; ends with the cell
	stop     context.CancelCauseFunc
	wg       sync.WaitGroup
}

// result is a performed tool call: its end, or a failed attempt. Transactional calls are already applied; err ends the
// run.
type result struct {
	settled *jobs.CallSettled
	failed  *jobs.CallFailed
	err     error
}

func (r *run) newDrive() *drive {
	return &drive{run: r, number: r.job.Cell.Number, results: newInbox(), promised: make(chan *promise, 1)}
}

func (d *drive) close() {
	if d.vm != nil {
		d.vm.Close()
	}
}

var errCellOver = errors.New("engine: the cell is over")

// startCell fixes the code, the seed and the clock of the next cell.
func (r *run) startCell(ctx context.Context, eff jobs.StartCell) ([]jobs.Effect, error) {
	ev := jobs.CellStarted{
		Cell: r.job.Cells + 1, Origin: eff.Origin, Index: eff.Index,
		Seed: r.Random() >> 11, Now: r.Now().UnixMilli(), Engine: jsvm.Engine,
	}
	if eff.Origin == jobs.FromWarmup {
		var err error
		if ev.Source, ev.Hidden, err = r.block(eff.Index); err != nil {
			return nil, err
		}
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

// block finds a warmup block: the submission's own come first, then its agent's, of which no job has a copy.
func (r *run) block(i int) (source string, hidden bool, err error) {
	own, of := r.rec.Spec.Warmup, r.agent.Warmup
	switch {
	case i < len(own):
		return own[i].Source, own[i].Hidden, nil
	case i-len(own) < len(of):
		return of[i-len(own)].Source, of[i-len(own)].Hidden, nil
	default:
		return "", false, fmt.Errorf("engine: job %s: version %d of its agent has no warmup block %d", r.rec.Job, r.rec.Spec.AgentVersion, i+1)
	}
}

// execute runs the open cell from its start: through what is recorded of it, and on from there. released: it
// sleeps, and the job is not ours any more.
func (r *run) execute(ctx context.Context) (next []jobs.Effect, released bool, err error) {
	r.mu.Lock()
	r.rides = onFoot
	err = r.loadLog(ctx)
	r.mu.Unlock()
	if err != nil {
		return nil, false, err
	}
	d, step, err := r.takeAhead()
	ahead := d != nil
	if !ahead {
		d = r.newDrive()
	}
	d.work, d.stop = context.WithCancelCause(ctx)
	defer d.dropBegun()
	defer d.wg.Wait()
	defer d.stop(errCellOver)
	defer func() { d.live, d.delivered = false, 0 }()
	defer d.close()
	if !ahead {
		step, err = d.replay(ctx)
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
			Message: diverged.Error() + "\nThe cell is not run again. Its variables are as they were before it; the calls listed above have been made",
		}})
	}
	return next, false, err
}

// loop performs what the cell asks for and delivers results, one at a time, until the cell ends or sleeps.
func (d *drive) loop(ctx context.Context, step jsvm.Step) (next []jobs.Effect, released bool, err error) {
	for {
		if d.interrupted() {
			return nil, false, nil
		}
		if err := d.print(step); err != nil {
			return nil, false, err
		}
		calls, err := d.issue(step)
		if err != nil {
			return nil, false, err
		}
		if step.State != jsvm.Pending || step.Exit != nil {
			return d.end(ctx, step)
		}
		if err := d.giveBack(ctx); err != nil {
			return nil, false, err
		}
		if err := d.perform(ctx, calls, false); err != nil {
			return nil, false, err
		}
		settled, asleep, err := d.await(ctx, step.Hash)
		if err != nil || asleep {
			return nil, asleep, err
		}
		if released, over := d.rode(); over {
			return nil, released, nil
		}
		if settled == nil {
			step = jsvm.Step{State: jsvm.Pending, Hash: step.Hash}
			continue // interrupted by mail
		}
		var spoiled bool
		if step, spoiled, err = d.deliver(ctx, *settled); spoiled {
			return nil, false, d.settleInflight(ctx) // and the cell is run anew
		}
		if err != nil {
			return nil, false, err
		}
	}
}

// interrupted reports whether mail has ended or paused the cell, or a call that has no attempt left is about to.
func (d *drive) interrupted() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.job.Cell
	return c == nil || c.Number != d.number || d.job.Status == jobs.Paused || d.job.MustHalt != "" && d.inflight == 0
}

// print records the console lines that history does not have yet.
func (d *drive) print(step jsvm.Step) error {
	fresh := d.fresh(step)
	d.printed += len(step.Console)
	if len(fresh) == 0 {
		return nil
	}
	d.recorded += len(fresh)
	_, err := d.apply(jobs.Console{Lines: fresh})
	return err
}

func (d *drive) fresh(step jsvm.Step) []string {
	return step.Console[min(max(0, d.recorded-d.printed), len(step.Console)):]
}

// issue records the calls of one drain, and with them their waits and sets.
func (d *drive) issue(step jsvm.Step) ([]jobs.Pending, error) {
	over := step.State != jsvm.Pending || step.Exit != nil
	calls := make([]jobs.Pending, 0, len(step.Calls))
	list := make([]issued, 0, len(step.Calls))
	for _, c := range step.Calls {
		i := issued{call: jobs.CallIssued{
			Call: c.ID, Name: c.Name, Class: d.class(c.Name), Args: c.Args, Temporal: d.catalog.Temporals[c.Name].ID,
			Hash: step.Hash, After: d.delivered,
		}}
		if i.call.Class == jobs.Wait && !over {
			if err := d.plan(&i); err != nil {
				return nil, err
			}
		}
		list = append(list, i)
		calls = append(calls, jobs.Pending{Call: c.ID, Name: c.Name, Class: i.call.Class})
	}
	return calls, d.record(list, step.Sets)
}

// join records a set of waits. What has been given to its members and not to the code decides now: the first
// wins, and the others' values are seen by nobody.
func (d *drive) join(s jsvm.Set) error {
	ev := jobs.WaitsJoined{Mode: temporal.Mode(s.Mode), Calls: s.Calls, Won: s.Won}
	for _, settled := range d.ready {
		switch {
		case !slices.Contains(s.Calls, settled.Call):
		case ev.Won == 0 && (ev.Mode == temporal.First || settled.Error == nil):
			ev.Won = settled.Call
		case ev.Won != 0 && settled.Error == nil:
			d.discards = append(d.discards, discard{Discard: temporal.Discard{Cell: d.number, Call: settled.Call, Value: settled.Value}})
		}
	}
	_, err := d.applyLocked(ev)
	return err
}

// await returns the next result to deliver. Nil without error: mail changed something, look again.
func (d *drive) await(ctx context.Context, hash string) (*jobs.CallSettled, bool, error) {
	if d.halting() {
		return nil, false, d.settleInflight(ctx) // what is under way may end; the code is told after the pause
	}
	if next := d.takeReady(); next != nil {
		return next, false, nil
	}
	if _, over := d.rode(); over {
		return nil, false, nil
	}
	due, stop := d.nextAttempt()
	defer stop()
	if d.inflight == 0 && due == nil {
		return d.sleep(ctx, hash)
	}
	d.idle()
	if res, ok := d.results.take(); ok {
		if err := d.take(res); err != nil || d.halting() {
			return nil, false, err
		}
		return d.takeReady(), false, nil
	}
	select {
	case <-d.results.news:
		return d.await(ctx, hash)
	case p := <-d.promises():
		d.computeEarly(ctx, p)
		return d.await(ctx, hash)
	case <-due:
		return nil, false, d.retry(ctx)
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
	waits := slices.Concat(d.untried, d.buffer.Waits) // a tool of the same drain may have registered them with its commit
	on := openNames(d.job.Cell)
	why := d.describe(d.job.Cell)
	asleep := d.job.Status == jobs.Suspended
	if at, failed := d.job.Cell.RetryAt(); failed {
		d.Near(time.UnixMilli(at))
	}
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
	d.untried = nil
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
