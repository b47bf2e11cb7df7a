package store_test

import (
	"testing"
	"time"
)

// TestCollectGoesThroughAllGroups, of very many a part each time, and deletes those alone in which nobody waits.
func TestCollectGoesThroughAllGroups(t *testing.T) {
	t.Parallel()
	k := newWaitsKit(t)
	def, id := k.define(pickTask)
	waits := 0
	register := func(queue string) {
		waits++
		k.register(k.pool, k.job("/"), k.plan(1, "pickTask", def, id, `["`+queue+`"]`))
	}
	many := func(n int) {
		k.exec(`insert into statek.wait_groups (hash, prefix, kind, name, args)
			select sha256(i::text::bytea), '/', 'event', 'e', '{}' from generate_series(1, $1) i`, n)
	}
	register("first")
	many(41_000)
	register("last")
	k.quiesce()
	k.offset.Add(int64(time.Hour))
	for _, want := range []int{39_999, 1001, 0} {
		if n, err := k.waits.Collect(k.ctx); err != nil || n != want {
			t.Errorf("collected %d, %v; want %d", n, err, want)
		}
	}
	many(1)
	if n, err := k.waits.Collect(k.ctx); err != nil || n != 1 { // it has begun again
		t.Errorf("collected %d, %v; want 1", n, err)
	}
	if n := k.count("select count(*) from statek.wait_groups g where exists (select from statek.waits w where w.group_id = g.id)"); n != waits {
		t.Errorf("%d groups are left in which somebody waits, want %d", n, waits)
	}
}
