package store_test

import (
	"fmt"
	"testing"
)

// BenchmarkInsert is what a watch costs the application: one autocommitted insert, with others waiting for other
// keys. Without fsync, so that the disk does not hide the difference.
func BenchmarkInsert(b *testing.B) {
	for _, waiters := range []int{0, 100, 100_000} {
		for _, c := range []struct{ name, setup, queue string }{
			{"unwatched", "select statek.unwatch('app.tasks', 'queue')", "none"},
			{"nobody waits", "select 1", "none"},
			{"somebody waits", "select statek.watch('app.tasks', 'queue', notify => false)", "main"},
			{"somebody waits, notify", "select 1", "main"},
		} {
			b.Run(fmt.Sprintf("%s/%d others", c.name, waiters), func(b *testing.B) {
				k := newWaitsKit(b)
				k.exec(c.setup)
				def, id := k.define(pickTask)
				k.register(k.pool, k.job("/"), k.plan(1, "pickTask", def, id, `["main"]`))
				k.exec(`insert into statek.wait_groups (prefix, kind, name, args, hash)
					select '/', 'sql', 'x', '{}', i::text::bytea from generate_series(1, $1) i`, waiters)
				k.exec("insert into statek.wait_deps select 'app.tasks:x' || id, id from statek.wait_groups where name = 'x'")
				k.exec("vacuum (analyze)")
				conn := k.session()
				b.ResetTimer()
				for b.Loop() {
					_, err := conn.Exec(k.ctx, "insert into app.tasks (queue) values ($1)", c.queue)
					k.must(err)
				}
			})
		}
	}
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
