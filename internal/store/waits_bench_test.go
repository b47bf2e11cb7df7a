package store_test

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// BenchmarkInsert is what a watch costs the application: autocommitted inserts of single rows, with others waiting for
// other keys, in turns into a table without a watch, a watched one for whose key nobody waits, and one for whose key
// somebody does. The medians and their ratios are what counts: turns share whatever else the machine does. The test's own
// server does not wait for the disk; TEST_DATABASE_URL names one that does.
func BenchmarkInsert(b *testing.B) {
	for _, others := range []int{0, 100, 100_000} {
		b.Run(fmt.Sprintf("%d others", others), func(b *testing.B) {
			k := newWaitsKit(b)
			k.exec("create table app.plain (like app.tasks including all)")
			def, id := k.define(pickTask)
			k.register(k.pool, k.job("/"), k.plan(1, "pickTask", def, id, `["main"]`))
			k.exec(`insert into statek.wait_groups (prefix, kind, name, args, hash)
				select '/', 'sql', 'x', '{}', i::text::bytea from generate_series(1, $1) i`, others)
			k.exec("insert into statek.wait_deps select 'app.tasks:x' || id, id from statek.wait_groups where name = 'x'")
			k.exec("vacuum (analyze)")
			conn := k.session()
			insert := func(table, queue string) time.Duration {
				began := time.Now()
				_, err := conn.Exec(k.ctx, "insert into "+table+" (queue) values ($1)", queue)
				k.must(err)
				return time.Since(began)
			}
			var plain, nobody, somebody []time.Duration
			b.ResetTimer()
			for b.Loop() {
				plain = append(plain, insert("app.plain", "none"))
				nobody = append(nobody, insert("app.tasks", "none"))
				somebody = append(somebody, insert("app.tasks", "main"))
			}
			b.StopTimer()
			base := middle(plain)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(base.Microseconds()), "us-unwatched")
			b.ReportMetric(float64(middle(nobody))/float64(base), "x-nobody-waits")
			b.ReportMetric(float64(middle(somebody))/float64(base), "x-somebody-waits")
		})
	}
}

func middle(times []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(times))[len(times)/2]
}

// BenchmarkWake is the way from a commit to the waiter's mailbox: mark, drain, look.
func BenchmarkWake(b *testing.B) {
	k := newWaitsKit(b)
	def, id := k.define(pickTask)
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		spec := k.plan(1, "pickTask", def, id, `["main"]`)
		k.register(k.pool, k.job("/"), spec)
		_, err := k.waits.TryNow(k.ctx, spec.Group.Hash())
		k.must(err)
		b.StartTimer()
		k.exec("insert into app.tasks (queue) values ('main')")
		round, err := k.waits.Drain(k.ctx)
		k.must(err)
		if round.Served != 1 {
			b.Fatalf("served %d, want 1", round.Served)
		}
	}
}
