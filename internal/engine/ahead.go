package engine

import (
	"context"
	"errors"
	"time"

	"statek/internal/jobs"
	"statek/internal/jsvm"
)

// Head is the beginning of a run whose job needs no claim, and perhaps is only being submitted, or woken. While the database writes that, the first
// cell computes, up to where it asks for something or ends, or the open one up to where it has waited. Until it is told
// that the job is this worker's, the run is in no table, writes nothing and performs no call; if that never happens, nobody
// finds out that it has been.
type Head struct {
	run     *run
	verdict chan bool
}

// ahead is a cell that has computed before its job was given.
type ahead struct {
	drive *drive
	step  jsvm.Step
	err   error
	live  bool // as the run's, which is not told before it takes this
}

// errNotGiven ends what was computed for a job that somebody else gets, or nobody.
var errNotGiven = errors.New("engine: the job that was being written is not this worker's")

// Head returns the beginning of a run. rec is the job as it will be if this worker gets it. Run has to be called, and
// Tell once.
func (e *Engine) Head(rec jobs.Record) *Head {
	r := newRun(e, rec)
	r.computed = make(chan struct{})
	return &Head{run: r, verdict: make(chan bool, 1)}
}

// Tell says whether the job is this worker's now. It does not wait.
func (h *Head) Tell(given bool) { h.verdict <- given }

// Run waits for the verdict and then drives the job. compute: it uses the time until then if few others
// compute. In a crowd it would only do sooner what others have waited for longer.
func (h *Head) Run(ctx context.Context, compute bool) {
	work, cancel := context.WithCancelCause(ctx)
	idle, placed := func() {}, false
	if compute {
		idle, placed = h.run.quiet()
	}
	go func() {
		defer close(h.run.computed)
		if placed {
			h.run.broken = h.run.guarded(work, "computing ahead", h.run.rec.Job, func() error { h.run.compute(work); return nil })
		}
	}()
	defer func() {
		h.run.spare()
		cancel(errNotGiven)
		<-h.run.computed
		h.run.dropAhead()
		idle()
	}()
	var given bool
	select {
	case given = <-h.verdict:
	case <-work.Done(): // the worker leaves; what is its own by now is handed over at once, the rest is taken over
		given, _ = poll(h.verdict)
	}
	if given {
		h.start(work, idle, placed)
	}
}

// spareFor is how long code that was run for nothing may take to its end. To stop it is to kill a sandbox child, for which
// others would have to wait.
const spareFor = 100 * time.Millisecond

// spare waits for what is computed ahead, though not for long.
func (r *run) spare() {
	bounded, stop := context.WithTimeout(context.Background(), spareFor)
	defer stop()
	_ = r.caughtUp(bounded) // or not
}

func (h *Head) start(ctx context.Context, idle func(), placed bool) {
	e, rec := h.run.Engine, h.run.rec
	e.awaitGone(ctx, rec.Job, rec.Epoch)
	e.expect(rec)
	defer e.forget(rec)
	begin := func(_ context.Context, expel func()) *run { return e.begin(h.run, expel) }
	if placed {
		e.stay(ctx, rec.Job, idle, begin)
		return
	}
	e.answer(ctx, rec.Job, begin)
}

// compute brings a new run to the first thing that its code asks for, or to where its open cell waits. It changes nothing
// but the run, and where it stops the run goes on in the ordinary way.
func (r *run) compute(ctx context.Context) {
	if err := r.load(ctx); err != nil {
		return
	}
	if !r.opened(ctx) {
		return
	}
	a := &ahead{drive: r.newDrive()}
	r.ahead = a // at once: whatever happens, its VM is closed
	if a.step, a.err = a.drive.replay(ctx); a.err == nil {
		r.foresee(ctx, a.drive, a.step)
	}
	a.live, r.live = r.live, false // mail comes first, and it may end the cell
}

// foreseen is what a row of mail will mean: its event, with the time that it has been given.
type foreseen struct {
	mail  int64
	event jobs.CallSettled
}

// foresee lets the code of a cell that waits compute on with what it will be given, when that is all the mail there is.
func (r *run) foresee(ctx context.Context, d *drive, step jsvm.Step) {
	if len(r.rec.Mail) != 1 || len(r.ready)+len(step.Calls)+len(step.Sets) > 0 || step.State != jsvm.Pending || step.Exit != nil {
		return
	}
	m := r.rec.Mail[0]
	if _, asks := jobs.AsksForMessage(r.job, m); asks {
		return
	}
	events, later := jobs.Open(r.job, m, r.Now())
	if later || len(events) != 1 {
		return
	}
	if settled, ok := events[0].(jobs.CallSettled); ok {
		r.foreseen = &foreseen{m.ID, settled}
		d.computeEarly(ctx, &promise{settled: settled.AsRecorded()})
	}
}

// open turns a row of mail into events.
func (r *run) open(m jobs.Mail) (events []jobs.Event, later bool) {
	if f := r.foreseen; f != nil && f.mail == m.ID {
		r.foreseen = nil
		return []jobs.Event{f.event}, false
	}
	return jobs.Open(r.job, m, r.Now())
}

// opened brings a run to an open cell whose history is at hand: it sleeps in one, or begins with a warmup block.
func (r *run) opened(ctx context.Context) bool {
	if r.job.Cell != nil {
		return r.rec.Open != nil && r.loadLog(ctx) == nil
	}
	effects, err := r.apply(jobs.Claimed{})
	if err != nil || len(effects) == 0 {
		return false
	}
	start, ok := effects[0].(jobs.StartCell)
	if !ok || start.Origin != jobs.FromWarmup {
		return false
	}
	_, err = r.startCell(ctx, start)
	return err == nil
}

// caughtUp waits for what is computed ahead: until then the run is another goroutine's.
func (r *run) caughtUp(ctx context.Context) error {
	if r.computed == nil {
		return nil
	}
	if _, ok := poll(r.computed); ok {
		return r.broken
	}
	select {
	case <-r.computed:
		return r.broken
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// takeAhead returns the drive of the open cell when it has begun ahead.
func (r *run) takeAhead() (d *drive, step jsvm.Step, err error) {
	a := r.ahead
	if a != nil && a.drive.number != r.job.Cell.Number { // mail has ended the cell that was ahead
		r.dropAhead()
		a = nil
	}
	if a == nil {
		return nil, jsvm.Step{}, nil
	}
	r.ahead, r.live = nil, a.live
	return a.drive, a.step, a.err
}

// dropAhead lets go of a VM that nobody has taken.
func (r *run) dropAhead() {
	if r.ahead != nil {
		r.ahead.drive.close()
	}
	r.ahead = nil
}
