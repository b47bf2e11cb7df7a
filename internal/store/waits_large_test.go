package store_test

import (
	"strings"
	"testing"
)

// TestAClaimThatCannotBeGivenIsNotMade: a row that is too large for any code to get stays free, its group says why, alone and in company,
// and is served once the row is smaller.
func TestAClaimThatCannotBeGivenIsNotMade(t *testing.T) {
	t.Parallel()
	for name, n := range map[string]int{"alone": 1, "in company": 12} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newWaitsKit(t)
			jobs := k.queueOf(strings.Replace(pickTask, "returning id, queue, amount", "returning id, queue, repeat('\"', note::int) as text", 1), "q", n)
			k.exec("insert into app.tasks (queue, note) select 'q' || i, 131060 + i from generate_series(0, $1 - 1) i", n)
			k.quiesce()
			if served := k.woken(jobs); served != 0 {
				t.Errorf("%d jobs were woken by rows that cannot be given", served)
			}
			const want = "keep the complement's row: 54000: it has 2621"
			if said := k.count("select count(*) from statek.wait_groups where last_result = 'failed' and last_error like $1 || '%'", want); said != n {
				var got string
				k.scan("select string_agg(distinct last_error, '; ') from statek.wait_groups", &got)
				t.Errorf("%d groups say why, want %d: %s", said, n, got)
			}
			if taken := k.count("select count(*) from app.tasks where state <> 'ready'"); taken != 0 {
				t.Errorf("%d rows were claimed", taken)
			}
			k.exec("update app.tasks set note = id")
			k.offset.Add(int64(1e12))
			k.quiesce()
			if served := k.woken(jobs); served != n {
				t.Errorf("%d jobs were woken once the rows were smaller, want %d", served, n)
			}
		})
	}
}
