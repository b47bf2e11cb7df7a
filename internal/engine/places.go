package engine

import (
	"context"
	"sync"
	"time"

	"statek/internal/jobs"
)

// placeFor is how long a run may hold its place: endless loops must not keep the jobs of others out.
const placeFor = time.Second

// admit waits for a place, which idle gives back, once. A job that runs here already needs none: it is only rung.
func (e *Engine) admit(ctx context.Context, job jobs.ID) (idle func(), ok bool) {
	if e.held(job) != nil {
		return func() {}, true
	}
	select {
	case e.places <- struct{}{}:
	case <-ctx.Done():
		return nil, false
	}
	return e.placed(), true
}

// placed lets a place be given back.
func (e *Engine) placed() (idle func()) {
	back := sync.OnceFunc(func() { <-e.places })
	timer := time.AfterFunc(placeFor, back)
	return func() { timer.Stop(); back() }
}

// quiet takes a place unless an eighth of them are taken.
func (e *Engine) quiet() (idle func(), ok bool) {
	if len(e.places) >= (cap(e.places)+7)/8 {
		return func() {}, false
	}
	select {
	case e.places <- struct{}{}:
		return e.placed(), true
	default:
		return func() {}, false
	}
}

// Room reports whether there is a place for another run at once.
func (e *Engine) Room() bool { return len(e.places) < cap(e.places)/2 }

// Reserve promises places to n jobs that are about to become this worker's, unless more would wait for one than twice as
// many as there are: a place is held for milliseconds, so that much of a burst is run sooner here than where a doorbell leads.
// Unreserve takes the promise back when it is known which of them did: those are started.
func (e *Engine) Reserve(n int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.reserved+len(e.expected)+n > 2*cap(e.places) {
		return false
	}
	e.reserved += n
	return true
}

// Unreserve ends what Reserve began.
func (e *Engine) Unreserve(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.reserved -= n
}

// expect counts a job that is ours before it has a place: to the heartbeat it is no stray.
func (e *Engine) expect(rec jobs.Record) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.expected[rec.Job] = rec.Epoch
}

// forget ends what expect began, unless the job has become ours anew.
func (e *Engine) forget(rec jobs.Record) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.expected[rec.Job] == rec.Epoch {
		delete(e.expected, rec.Job)
	}
}
