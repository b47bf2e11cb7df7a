package engine

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"

	"statek/internal/jobs"
)

// panicError is a panic that was kept to the job it happened in.
type panicError struct{ value any }

// Error implements error. History is shown to models, so it tells only what the language says: a program may panic with anything.
func (e *panicError) Error() string {
	if said, ok := e.value.(runtime.Error); ok {
		return "panic: " + said.Error()
	}
	return "panic; the worker's log says what and where"
}

// guarded runs what is done for one job. A panic in it is logged with its stack and becomes an error: it must not take a thousand other
// jobs down with the worker, and then the next worker to which this one comes.
func (e *Engine) guarded(ctx context.Context, what string, job jobs.ID, do func() error) (err error) {
	defer func() {
		if x := recover(); x != nil {
			err = &panicError{x}
			e.Logger.ErrorContext(ctx, what+" panicked", slog.String("job_id", job.String()), slog.String("err", fmt.Sprint(x)), slog.String("stack", string(debug.Stack())))
		}
	}()
	return do()
}

// background performs a call in a goroutine that yields its result, whatever happens.
func (d *drive) background(p jobs.Pending, call func() result) {
	d.inflight++
	d.wg.Go(func() {
		var res result
		if err := d.guarded(d.work, p.Name, d.rec.Job, func() error { res = call(); return nil }); err != nil {
			res = result{err: err}
		}
		d.results.put(res)
	})
}
