package store_test

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"statek/internal/jobs"
	"statek/internal/pgtest"
	"statek/internal/store"
)

// jumpy is a tracer of the driver that panics when it is told to, in the middle of sending.
type jumpy struct{ now atomic.Bool }

func (j *jumpy) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	if j.now.Load() {
		panic("the driver")
	}
	return ctx
}
func (j *jumpy) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (j *jumpy) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}
func (j *jumpy) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}
func (j *jumpy) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TestAPanicWhileACommitIsSent: the place of the call that was to begin with it is free again, and the connection.
func TestAPanicWhileACommitIsSent(t *testing.T) {
	t.Parallel()
	k, h := toolKit(t)
	driver := &jumpy{}
	pool := pgtest.Pool(t, k.url, func(c *pgxpool.Config) { c.ConnConfig.Tracer = driver })
	k.store = store.New(pool, nil, time.Now)
	_, err := h.run(h.note("warm"), nil)
	k.must(err)
	for range pool.Config().MaxConns {
		before := h.state
		func() {
			defer func() {
				if recover() == nil {
					t.Error("nothing has panicked, and this shows nothing")
				}
			}()
			first, second := h.note("lost"), h.note("next")
			_ = k.store.RunTool(k.ctx, first, func(v json.RawMessage, _ *jobs.Fault) (jobs.Commit, jobs.Ended, error) {
				first.Chain.Next = &second
				driver.now.Store(true)
				return h.commit(jobs.CallSettled{Call: h.state.Cell.Issued, Name: "t", Value: v}), func(bool, error) { h.state = before }, nil
			})
		}()
		driver.now.Store(false)
		_, err := h.run(h.note(time.Now().String()), nil) // the connection knows the statement again
		k.must(err)
	}
	first, second := h.note("one"), h.note("two")
	if _, err := h.run(first, &second); err != nil || first.Chain.Begun == nil {
		t.Errorf("error %v, begun %v, want the second begun", err, first.Chain.Begun)
	}
	if first.Chain.Begun != nil {
		first.Chain.Begun.Discard()
	}
	if held := pool.Stat().AcquiredConns(); held != 0 {
		t.Errorf("%d connections are held", held)
	}
}

// TestABatchDoesNotWaitForASlowOne: a call that waits for a lock is not in the way of those that come while it does.
func TestABatchDoesNotWaitForASlowOne(t *testing.T) {
	t.Parallel()
	k, slow := toolKit(t)
	quick := k.claimed(k.job(), k.worker())
	_, err := k.store.Commit(k.ctx, quick.commit(start(1), jobs.CallIssued{Call: 1, Name: "t", Class: jobs.Tool, Args: json.RawMessage("[]")}))
	k.must(err)
	k.bounded()
	done := make(chan error, 1)
	k.locked("insert into app.notes (text) values ('held')", func() {
		held, free := slow.note("held"), quick.note("free")
		held.Batch, held.Timeout, free.Batch = true, 8*time.Second, true
		go func() {
			_, err := slow.run(held, nil)
			done <- err
		}()
		k.blocked(1)
		began := time.Now()
		_, err := quick.run(free, nil)
		k.must(err)
		if took := time.Since(began); took > 4*time.Second {
			t.Errorf("a call waited %s for one that waits for a lock", took)
		}
	})
	k.must(<-done)
	if n := k.notes(); n != 2 {
		t.Errorf("%d notes, want 2", n)
	}
}
