package engine

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"time"

	"statek/internal/agents"
	"statek/internal/jobs"
	"statek/internal/jsvm"
	"statek/internal/temporal"
)

// A job's last call and its end are one commit, when the code is quick: it is given the result before that is written, and if the job
// ends with it, the end rides along. See docs/adr/0034.

// ridePatience is how long the transaction of a call waits for the code. It bounds what other transactions wait for the locks of the
// call beyond its own commit.
const ridePatience = time.Millisecond

// answer is what the code has done with a promised result.
type answer struct {
	finish *finish        // it has ended
	next   *agents.SQLRun // it makes this call, and waits for it
}

// finish is how the code has ended.
type finish struct {
	step    jsvm.Step
	console []string // that history does not have
	changes jsvm.Changes
}

// answer says what became of the code, as far as it matters to the commit of the result that it was given.
func (d *drive) answer(ctx context.Context, e *early) answer {
	switch {
	case e.err != nil || e.step.State == jsvm.Aborted || len(e.step.Sets) > 0:
		return answer{}
	case e.step.State != jsvm.Pending || e.step.Exit != nil:
		return answer{finish: d.finished(ctx, e)}
	case len(e.step.Calls) == 1:
		return answer{next: d.follows(e.step.Calls[0])}
	default:
		return answer{}
	}
}

// follows is the next call, if it is one that a transaction of its own may begin with at once.
func (d *drive) follows(c jsvm.Call) *agents.SQLRun {
	tool, ok := d.catalog.Tools[c.Name]
	if !ok || d.class(c.Name) != jobs.Tool || tool.Kind != agents.SQLTool || tool.SQL.Batch {
		return nil
	}
	var args []json.RawMessage
	if json.Unmarshal(c.Args, &args) != nil {
		return nil
	}
	values, err := agents.BindArgs(tool, args)
	if err != nil {
		return nil
	}
	return new(d.sqlRun(tool, values))
}

// tail is how a job ends, from the record of its last call on.
type tail struct {
	job       jobs.Job
	entries   []jobs.Entry
	variables []jobs.Workspace
	withdraw  []temporal.Withdrawal
}

// finished asks the code for the changes of the cell that it has ended; nil when there is more to do.
func (d *drive) finished(ctx context.Context, e *early) *finish {
	if len(e.step.Calls) > 0 {
		return nil
	}
	changes, err := d.vm.Changes(ctx)
	if err != nil {
		return nil // it is asked again where that can be said
	}
	d.changes = &changes
	return &finish{step: e.step, console: d.fresh(e.step), changes: changes}
}

// hear waits for what the code makes of a result that is recorded and not committed: an end of the job that the commit takes along, or a call
// that may begin with it. The lock is held.
func (d *drive) hear(p *promise) (end *tail, next *agents.SQLRun) {
	timer := time.NewTimer(ridePatience)
	defer timer.Stop()
	select {
	case a := <-p.answer:
		if next = a.next; a.finish != nil {
			end = d.tail(a.finish)
		}
		d.riding.heard(end != nil || next != nil)
	case <-timer.C:
		d.riding.missed()
	case <-d.work.Done():
	}
	return end, next
}

// mayRide reports that the job could end with the call whose result was recorded last, and that its end could be committed with
// it: the code waits for it, and nothing else is left to be done. The lock is held.
func (d *drive) mayRide() bool {
	b := d.buffer
	return !d.over && !d.reads && !d.kept && len(d.discards)+len(b.Waits)+len(b.Sets)+len(b.Withdraw) == 0 && d.stopping.Err() == nil &&
		d.job.Cell != nil && len(d.job.Cell.Open) == 0 && d.job.MustHalt == "" && d.job.Status != jobs.Paused && leavesWaits(d.log) != sharedWaits &&
		d.riding.try()
}

// tail follows the state machine from the end of the code to that of the job; nil if the job goes on. It changes nothing.
func (d *drive) tail(f *finish) *tail {
	t := &tail{job: d.job}
	if len(f.console) > 0 && !d.extend(t, jobs.Console{Lines: f.console}) {
		return nil
	}
	if w := d.workspaceChanges(f.changes); len(w.Set)+len(w.Deleted) > 0 {
		t.variables = append(t.variables, w)
	}
	if !d.extend(t, d.cellEnded(f.step, f.changes.Notes)) {
		return nil
	}
	if leavesWaits(d.log) != noWaits {
		t.withdraw = []temporal.Withdrawal{{Cell: d.number}}
	}
	_, effects, err := jobs.Step(t.job, jobs.Claimed{}, d.Now())
	if err != nil || len(effects) == 0 {
		return nil
	}
	end, ok := effects[0].(jobs.End)
	if !ok || !d.extend(t, jobs.Finished{Outcome: end.Outcome, Result: end.Result, Error: end.Error}) || t.job.Status != jobs.Done {
		return nil
	}
	return t
}

func (d *drive) extend(t *tail, ev jobs.Event) bool {
	now := d.Now()
	job, _, err := jobs.Step(t.job, ev, now)
	if err != nil {
		return false
	}
	t.job, t.entries = job, append(t.entries, entry(job, ev, d.number, now))
	return true
}

// rideEnded leaves nothing of the cell behind but its variables: the job may be opened again by whoever rang.
func (d *drive) rideEnded(end *tail, released bool) {
	for _, w := range end.variables {
		d.remember(w)
	}
	d.log, d.ready, d.untried, d.rides = nil, nil, nil, rodeAndStayed
	if released {
		d.rides = rodeAndLeft
	}
}

// rode reports that the job has ended with the commit of its last call. released: it is not ours any more.
func (d *drive) rode() (released, over bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rides == rodeAndLeft, d.rides != onFoot
}

// takeBegun returns what was begun for the call that comes now: the code has asked for it, and for no other.
func (d *drive) takeBegun() agents.Begun {
	d.mu.Lock()
	defer d.mu.Unlock()
	b := d.begun
	d.begun = nil
	return b
}

// dropBegun undoes a call that was begun and will not be made here: the cell is over, or its VM is given up.
func (d *drive) dropBegun() {
	if b := d.takeBegun(); b != nil {
		b.Discard()
	}
}

// departure says whether the end of the job has gone with a call's commit.
type departure int

const (
	onFoot        departure = iota
	rodeAndStayed           // somebody rang meanwhile
	rodeAndLeft
)

// patienceKept remembers whether waiting for code was of use lately: where processors are busy, most of it comes too late.
type patienceKept struct{ score, skipped atomic.Int32 }

const (
	bestScore = 8
	skips     = 16 // so often it is not tried, when it was of no use
)

func (k *patienceKept) try() bool {
	return k.score.Load() >= 0 || k.skipped.Add(1)%skips == 0
}

// heard takes an answer into account. One that the commit can do nothing with costs little, and comes before most that it can.
func (k *patienceKept) heard(useful bool) {
	if useful {
		k.move(4)
	} else {
		k.move(-1)
	}
}

func (k *patienceKept) missed() { k.move(-2) }

func (k *patienceKept) move(by int32) {
	k.score.Store(max(-bestScore, min(bestScore, k.score.Load()+by)))
}
