package app_test

import (
	"testing"

	"github.com/google/uuid"
)

// TestFewAreRunByWhoWakesThem: a woken job needs no doorbell, but a crowd is for all workers.
func TestFewAreRunByWhoWakesThem(t *testing.T) {
	t.Parallel()
	k := newKit(t, nil)
	k.apply(files{"agents/a.md": simpleAgent, "agents/a.warmup.js": "exit(await event(name))"})
	k.work()
	k.work()
	sleeping := func(name string, n int) []uuid.UUID {
		ids := make([]uuid.UUID, n)
		for i := range ids {
			ids[i] = k.submit("a", map[string]any{"name": name}).ID
		}
		for _, id := range ids {
			k.until(id, "SUSPENDED")
		}
		return ids
	}
	rings := func(ids []uuid.UUID) int {
		n := 0
		for _, id := range ids {
			n += k.one("select count(*) from river.river_job where args ->> 'job_id' = '" + id.String() + "'")
		}
		return n
	}
	for _, crowd := range []struct {
		name string
		n    int
		rung int // doorbells for waking them
	}{{"few", 1, 0}, {"some", 4, 0}, {"many", 12, 12}} {
		ids := sleeping(crowd.name, crowd.n)
		k.is("select not exists (select from statek.job_state where owner is not null)") // they have looked once more
		k.exec("delete from river.river_job where state = 'completed'")
		before := rings(ids)
		k.exec("select statek.emit('/', $1, '7')", crowd.name)
		for _, id := range ids {
			if job := k.ended(id); string(job.Result) != "7" {
				t.Errorf("%s: result %s", crowd.name, job.Result)
			}
		}
		if got := rings(ids) - before; got != crowd.rung {
			t.Errorf("%s: %d doorbells for %d jobs, want %d", crowd.name, got, crowd.n, crowd.rung)
		}
	}
}
