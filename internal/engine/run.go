package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"statek/internal/agents"
	"statek/internal/jobs"
	"statek/internal/temporal"
)

// run is one stay of a job with this worker, from claim to release.
type run struct {
	*Engine
	rec     jobs.Record
	rung    chan struct{} // somebody rang: read the mail
	left    chan struct{} // closed when the run is over
	expel   func()        // ends a run that has lost its job
	idle    func()        // it waits for others from now on: its place is free
	agent   agents.Definition
	catalog Catalog
	// ahead is the cell that has begun before the job was given; computed is closed then. Mostly nil.
	ahead    *ahead
	computed chan struct{}
	broken   error // a panic while it computed
	foreseen *foreseen

	// mu guards the job and its buffer: tool transactions settle their calls from their own goroutines.
	mu     turn
	job    jobs.Job
	buffer jobs.Commit        // applied, not committed
	row    jobs.Status        // of the state that this run has last written; none before
	log    []jobs.Entry       // the open cell, recorded and buffered
	ready  []jobs.CallSettled // settled, not delivered to the VM
	pocket map[int64]bool     // mail that is in the buffer
	kept   bool               // mail was left in the mailbox for the open cell
	rides  departure          // the end of the job has gone with a call's commit
	reads  bool               // mail is about to be read, of which no doorbell tells any more
	lost   error              // a commit whose outcome is unknown: nothing more may be written, whoever has heard of it
	// live: a VM runs the open cell, and has been given the first delivered results of its log.
	live      bool
	delivered int
	discards  []discard       // values that nobody will see, not recorded yet
	untried   []temporal.Spec // waits of the open cell that a commit has registered, and that have not been looked at
	vars      map[string]jobs.Variable
	reply     *jobs.ModelReplied
}

func newRun(e *Engine, rec jobs.Record) *run {
	vars := make(map[string]jobs.Variable, len(rec.Variables))
	for _, v := range rec.Variables {
		vars[v.Name] = v
	}
	return &run{
		Engine: e, rec: rec, job: rec.State, mu: newTurn(), rung: make(chan struct{}, 1), left: make(chan struct{}), expel: func() {}, idle: func() {},
		pocket: map[int64]bool{}, vars: vars,
	}
}

// ring makes the run read its mail soon.
func (r *run) ring() {
	select {
	case r.rung <- struct{}{}:
	default:
	}
}

// patience is how long a new run waits for its predecessor, which has been told to end.
const patience = 2 * time.Second

// gone waits until the run has left the table; false when it does not.
func (r *run) gone(ctx context.Context) bool {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-r.left:
		return true
	case <-timer.C:
		return false
	case <-ctx.Done():
		return false
	}
}

// drive does what the state machine says until the job is released.
func (r *run) drive(ctx context.Context) error {
	if err := r.caughtUp(ctx); err != nil {
		return err
	}
	if err := r.load(ctx); err != nil {
		return err
	}
	if err := r.takeOver(); err != nil {
		return err
	}
	if err := r.openAll(ctx, r.rec.Mail); err != nil {
		return err
	}
	effects, err := r.apply(jobs.Claimed{})
	for err == nil {
		if err = r.giveBack(ctx); err != nil {
			break
		}
		if r.stopping.Err() != nil {
			return r.handOver(ctx)
		}
		var released bool
		if effects, released, err = r.perform(ctx, effects); released {
			return nil
		}
		if err == nil && r.kept && r.job.Cell == nil {
			effects, err = nil, r.readMail(ctx) // what the cell did not ask for is shown before anything else
		}
		if err == nil && len(effects) == 0 {
			effects, err = r.apply(jobs.Claimed{})
		}
	}
	return err
}

// load reads the definitions the run needs.
func (r *run) load(ctx context.Context) error {
	var err error
	if r.agent, err = r.cache.agent(ctx, r.Library, r.rec.Spec.AgentID); err != nil {
		return err
	}
	r.catalog, err = r.cache.catalog(ctx, r.Library, r.rec.Spec.Prefix, r.rec.Generation)
	return err
}

// takeOver records that the previous owner died in the middle of something.
func (r *run) takeOver() error {
	if r.rec.Previous == uuid.Nil || r.rec.Previous == r.Worker || r.job.Cell == nil && r.job.Model == nil {
		return nil // free, or ours: two doorbells came at once, or a commit's outcome was unknown
	}
	_, err := r.apply(jobs.TakenOver{Worker: r.rec.Previous.String(), Epoch: r.rec.Epoch})
	return err
}

// perform does the first effect; the others of its event are for a live VM and come again by themselves.
func (r *run) perform(ctx context.Context, effects []jobs.Effect) (next []jobs.Effect, released bool, err error) {
	switch eff := effects[0].(type) {
	case jobs.StartCell:
		next, err = r.startCell(ctx, eff)
	case jobs.Execute:
		next, released, err = r.execute(ctx)
	case jobs.AskModel:
		next, err = r.askModel(ctx, eff)
	case jobs.Halt:
		next, err = r.apply(jobs.Halted{Reason: eff.Reason})
	case jobs.End:
		next, err = r.apply(jobs.Finished{Outcome: eff.Outcome, Result: eff.Result, Error: eff.Error})
	case jobs.Rest:
		if !eff.Until.IsZero() {
			r.Near(eff.Until)
		}
		released, err = r.rest(ctx)
	}
	return next, released, err
}

// apply gives one event to the state machine and buffers it.
func (r *run) apply(ev jobs.Event) ([]jobs.Effect, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.applyLocked(ev)
}

func (r *run) applyLocked(ev jobs.Event) ([]jobs.Effect, error) {
	now := r.Now()
	cell := 0
	if r.job.Cell != nil {
		cell = r.job.Cell.Number
	}
	if settled, ok := ev.(jobs.CallSettled); ok {
		ev = settled.AsRecorded()
	}
	job, effects, err := jobs.Step(r.job, ev, now)
	if err != nil {
		return nil, fmt.Errorf("engine: job %s: %w", r.rec.Job, err)
	}
	r.job = job
	if _, asked := ev.(jobs.Claimed); asked {
		return effects, nil
	}
	e := entry(job, ev, cell, now)
	r.buffer.Entries = append(r.buffer.Entries, e)
	r.follow(e, cell)
	for _, eff := range effects {
		if lost, ok := eff.(jobs.Withdraw); ok {
			r.withdraw(cell, lost.Calls)
		}
	}
	return effects, nil
}

// entry is the row of an event that has made the job what it is. cell: the one that was open before it.
func entry(job jobs.Job, ev jobs.Event, cell int, now time.Time) jobs.Entry {
	e := jobs.Entry{Seq: job.Seq, At: now, Event: ev}
	e.Cell, e.Call = jobs.Place(ev, cell)
	return e
}

// follow keeps what a live VM or a replay needs of the open cell.
func (r *run) follow(e jobs.Entry, cell int) {
	switch ev := e.Event.(type) {
	case jobs.CellStarted:
		r.log = []jobs.Entry{e}
	case jobs.CallIssued, jobs.Console:
		r.log = append(r.log, e)
	case jobs.Slept:
		r.withdraw(cell, answered(r.log))
		r.log = append(r.log, e)
	case jobs.WaitsJoined:
		r.log = append(r.log, e)
		if ev.Won == 0 {
			r.buffer.Sets = append(r.buffer.Sets, temporal.Set{Cell: cell, Calls: ev.Calls, Mode: ev.Mode})
		}
	case jobs.ValueDiscarded:
		if ev.Cell == cell {
			r.log = append(r.log, e)
		}
	case jobs.CallSettled:
		r.log = append(r.log, e)
		r.ready = append(r.ready, ev)
	case jobs.ModelReplied:
		r.reply = &ev
	}
	if cell > 0 && r.job.Cell == nil {
		r.leaveBehind(cell)
		if leavesWaits(r.log) != noWaits {
			r.buffer.Withdraw = append(r.buffer.Withdraw, temporal.Withdrawal{Cell: cell})
		}
		r.log, r.ready, r.untried = nil, nil, nil
	}
}

// withdraw takes back waits that have lost their set, or were answered by a message; those of the buffer are simply not registered.
func (r *run) withdraw(cell int, calls []int) {
	open := slices.DeleteFunc(slices.Clone(calls), func(call int) bool {
		return slices.ContainsFunc(r.buffer.Waits, func(s temporal.Spec) bool { return s.Cell == cell && s.Call == call })
	})
	if len(open) > 0 {
		r.buffer.Withdraw = append(r.buffer.Withdraw, temporal.Withdrawal{Cell: cell, Calls: open})
	}
}

// flush commits the buffer, and with release gives the job up unless it was rung.
func (r *run) flush(ctx context.Context, release bool) (released bool, err error) {
	if err := r.giveBack(ctx); err != nil {
		return false, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lost != nil || len(r.buffer.Entries) == 0 && !release {
		return false, r.lost
	}
	c := r.takeLocked()
	c.Release = release
	released, err = r.Jobs.Commit(ctx, c)
	return released, r.committed(err)
}

// committed follows what became of a commit of the buffer.
func (r *run) committed(err error) error {
	switch {
	case err == nil:
		r.emptied()
	case errors.Is(err, jobs.ErrUnknownOutcome):
		r.lost = err
	}
	return err
}

// takeLocked completes the buffer to a commit. The buffer is emptied when the commit has succeeded. Waits that
// are over before they were registered are left out.
func (r *run) takeLocked() jobs.Commit {
	c := r.buffer
	c.Waits, c.Sets = nil, nil
	for _, s := range r.buffer.Waits {
		if r.isOpen(s.Cell, s.Call) {
			c.Waits = append(c.Waits, s)
		}
	}
	for _, s := range r.buffer.Sets {
		s.Calls = slices.DeleteFunc(slices.Clone(s.Calls), func(call int) bool { return !r.isOpen(s.Cell, call) })
		if len(s.Calls) > 1 {
			c.Sets = append(c.Sets, s)
		}
	}
	c.Hold, c.State = r.rec.Hold, r.job
	c.BlockedOn, c.BlockedWhy = r.blocked()
	return c
}

func (r *run) isOpen(cell, call int) bool {
	c := r.job.Cell
	return c != nil && c.Number == cell && slices.ContainsFunc(c.Open, func(p jobs.Pending) bool { return p.Call == call })
}

func (r *run) emptied() {
	for _, w := range r.buffer.Waits {
		if w.Due != nil {
			r.Near(*w.Due)
		}
	}
	r.untried = append(r.untried, r.buffer.Waits...)
	r.buffer, r.row = jobs.Commit{}, r.job.Status
	clear(r.pocket)
}

// rest gives the job up. When it was rung meanwhile the mail is read, and the run goes on.
func (r *run) rest(ctx context.Context) (released bool, err error) {
	if r.job.Status == jobs.Suspended && r.job.Cell != nil { // rung for nothing: what it waits for has to be said again
		if err := r.loadLog(ctx); err != nil {
			return false, err
		}
	}
	if released, err = r.flush(ctx, true); err != nil || released {
		return released, err
	}
	if err := r.Jobs.ClearRung(ctx, r.rec.Hold); err != nil {
		return false, err
	}
	return false, r.readMail(ctx)
}

// handOver gives the job up in the middle of its work and rings it.
func (r *run) handOver(ctx context.Context) error {
	if err := r.giveBack(ctx); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lost != nil {
		return r.lost
	}
	c := r.takeLocked()
	c.HandOver = true
	_, err := r.Jobs.Commit(ctx, c)
	return err
}

// blocked says what a job that does not run waits for: a word and a sentence.
func (r *run) blocked() (string, string) {
	switch j := r.job; {
	case j.Status == jobs.Suspended && j.Cell != nil:
		return openNames(j.Cell), "waits for " + r.describe(j.Cell)
	case j.Status == jobs.Paused:
		return "operator", "paused: " + j.Reason
	case j.NotBefore > 0 && j.Status != jobs.Suspended:
		return "rate", "waits for its turn: " + r.turnWhy() + "; it comes at " + time.UnixMilli(j.NotBefore).UTC().Format(time.RFC3339)
	case j.Status == jobs.Ready && j.RunAt > 0:
		return "run_at", "starts at " + time.UnixMilli(j.RunAt).UTC().Format(time.RFC3339)
	case j.Status == jobs.Started && j.Model != nil && j.Model.Failed:
		return "retry", fmt.Sprintf("attempt %d of the model request failed; the next is due at %s",
			j.Model.Attempt, time.UnixMilli(j.Model.RetryAt).UTC().Format(time.RFC3339))
	case j.Status == jobs.Started && j.Model != nil:
		return "model", "waits for the model's reply"
	default:
		return "", ""
	}
}

func openNames(c *jobs.Cell) string {
	var names []string
	for _, p := range c.Open {
		name := p.Name
		if p.Failed {
			name = "retry"
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

// describe writes the open calls with their arguments.
func (r *run) describe(c *jobs.Cell) string {
	args := map[int]string{}
	for _, e := range r.log {
		if ev, ok := e.Event.(jobs.CallIssued); ok {
			args[ev.Call] = shorten(strings.Trim(string(ev.Args), "[]"), 120)
		}
	}
	parts := make([]string, 0, len(c.Open))
	for i, p := range c.Open {
		if i == 5 {
			parts = append(parts, fmt.Sprintf("%d more", len(c.Open)-i))
			break
		}
		part := fmt.Sprintf("%s(%s)", p.Name, args[p.Call])
		if p.Failed {
			part = fmt.Sprintf("attempt %d of %s at %s", p.Attempt+1, part, time.UnixMilli(p.RetryAt).UTC().Format(time.RFC3339))
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}

func shorten(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}
