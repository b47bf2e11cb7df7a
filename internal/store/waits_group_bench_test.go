package store_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"statek/internal/pgtest"
	"statek/internal/store"
)

// BenchmarkOneOfMany wakes one of many waiters of one group by one row: the statements and the time must not
// depend on how many there are.
func BenchmarkOneOfMany(b *testing.B) {
	for _, waiters := range []int{10, 10_000} {
		b.Run(fmt.Sprintf("waiters=%d", waiters), func(b *testing.B) {
			k := newWaitsKit(b)
			asked := k.counted()
			def, id := k.define(pickTask)
			k.register(k.pool, k.job("/"), k.plan(1, "pickTask", def, id, `["main"]`))
			k.exec(`with more as (
					insert into statek.jobs (prefix, agent_id, role, agent_version, spec)
					select '/', $1, 'a', 1, '{}' from generate_series(2, $2) returning id)
				insert into statek.waits (job_id, cell, call, kind, name, group_id)
				select m.id, w.cell, w.call, w.kind, w.name, w.group_id from more m, statek.waits w`, k.agent, waiters)
			k.quiesce()
			k.exec("vacuum (analyze)")
			asked.Store(0)
			woken, woke := int64(0), k.count("select count(*) from statek.mailbox")
			b.ResetTimer()
			for b.Loop() {
				if woken++; woken%int64(waiters/2+1) == 0 { // keep the group about as full
					b.StopTimer()
					k.exec(`insert into statek.waits (job_id, cell, call, kind, name, group_id)
						select m.job_id, 1, 1, 'sql', 'pickTask', (select min(id) from statek.wait_groups)
						from statek.mailbox m where not exists (select from statek.waits w where w.job_id = m.job_id) group by m.job_id`)
					b.StartTimer()
				}
				k.exec("insert into app.tasks (queue) values ('main')")
				round, err := k.waits.Drain(k.ctx)
				k.must(err)
				if round.Served != 1 {
					b.Fatalf("served %d, want 1", round.Served)
				}
			}
			b.StopTimer()
			if got := k.count("select count(*) from statek.mailbox") - woke; int64(got) != woken {
				b.Fatalf("%d jobs have mail after %d rows", got, woken)
			}
			b.ReportMetric(float64(asked.Load())/float64(woken), "stmts/op")
		})
	}
}

// counted makes the kit's waits use a pool that counts its statements.
func (k *waitsKit) counted() *atomic.Int64 {
	k.Helper()
	counter := &counting{}
	pool := pgtest.Pool(k, k.pool.Config().ConnString(), func(c *pgxpool.Config) { c.ConnConfig.Tracer = counter })
	k.waits = store.NewWaits(pool, k.now)
	return &counter.n
}

// counting is a tracer that counts statements, also those of batches.
type counting struct{ n atomic.Int64 }

func (c *counting) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.n.Add(1)
	return ctx
}

func (c *counting) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (c *counting) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}

func (c *counting) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) { c.n.Add(1) }

func (c *counting) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}
