package engine

import (
	"context"
	"slices"
	"time"

	"statek/internal/agents"
	"statek/internal/jobs"
)

// shortPause is waited for in memory; before a longer one the job is let go.
const shortPause = 2 * time.Second

// take records what came of a call.
func (d *drive) take(res result) error {
	d.inflight--
	switch {
	case res.err != nil:
		return res.err
	case res.settled != nil:
		_, err := d.apply(*res.settled)
		return err
	case res.failed != nil:
		_, err := d.apply(*res.failed)
		return err
	default:
		return nil
	}
}

// halting reports that a call has no attempt left, and its tool wants the job to pause.
func (d *drive) halting() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.job.MustHalt != ""
}

// failing reports whether a call of the cell is to be made again.
func (d *drive) failing() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.job.Cell == nil {
		return false
	}
	_, failed := d.job.Cell.RetryAt()
	return failed
}

// nextAttempt fires when the next attempt of a call is due. It is nil when there is none, or when nothing else is under
// way and it is so far off that the job should sleep.
func (d *drive) nextAttempt() (due <-chan time.Time, stop func()) {
	d.mu.Lock()
	at, failed := d.job.Cell.RetryAt()
	d.mu.Unlock()
	pause := time.UnixMilli(at).Sub(d.Now())
	if !failed || d.inflight == 0 && pause > shortPause {
		return nil, func() {}
	}
	timer := time.NewTimer(max(0, pause))
	return timer.C, func() { timer.Stop() }
}

// retry makes the calls again whose next attempt is due.
func (d *drive) retry(ctx context.Context) error {
	again, err := d.beginAttempts()
	if err != nil || len(again) == 0 {
		return err
	}
	return d.perform(ctx, again, false)
}

// beginAttempts records the attempts that are due.
func (d *drive) beginAttempts() ([]jobs.Pending, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.job.MustHalt != "" || d.job.Status == jobs.Paused || d.job.Cell == nil {
		return nil, nil
	}
	now := d.Now().UnixMilli()
	var again []jobs.Pending
	for _, p := range slices.Clone(d.job.Cell.Open) {
		if !p.Failed || p.RetryAt > now {
			continue
		}
		ev := jobs.CallRetried{Call: p.Call, Name: p.Name, Attempt: p.Attempt + 1}
		if _, err := d.applyLocked(ev); err != nil {
			return nil, err
		}
		p.Attempt, p.Failed, p.RetryAt = ev.Attempt, false, 0
		again = append(again, p)
	}
	return again, nil
}

// verdict decides what becomes of a call after an attempt that failed.
func (d *drive) verdict(p jobs.Pending, tool agents.Tool, a attempt) result {
	number, policy := max(p.Attempt, 1), tool.Policy()
	failed := jobs.CallFailed{Call: p.Call, Name: p.Name, Attempt: number, Error: a.fault}
	switch again := a.passing && (!tool.Once || a.unsent); {
	case tool.Once && a.lost && !a.unsent:
		a.fault = unknownOutcome(p, "did not answer ("+a.fault.Message+")")
	case again && number < policy.Attempts:
		failed.RetryAt = d.Now().Add(max(a.after, policy.Delay(number, d.Random()))).UnixMilli()
		return result{failed: &failed}
	case again && tool.Pauses():
		failed.Pause = true
		return result{failed: &failed}
	}
	ev := d.settled(p, nil, a.fault)
	return result{settled: &ev}
}

// lastChance pauses the job of an SQL tool that lost to concurrent transactions at every attempt, if the tool says so.
func (d *drive) lastChance(tool agents.Tool, res result) result {
	if s := res.settled; s != nil && s.Error != nil && s.Error.Code == conflictCode && tool.Pauses() {
		return result{failed: &jobs.CallFailed{Call: s.Call, Name: s.Name, Attempt: 1, Error: s.Error, Pause: true}}
	}
	return res
}

// conflictCode is the SQLSTATE of a transaction that lost to a concurrent one.
const conflictCode = "40001"

// pause waits; false when ctx has ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
