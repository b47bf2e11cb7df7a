package app_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"
)

// TestListenerThatDiesComesBack: a wake-up whose notification nobody hears comes by polling; then the worker listens
// again. The timeline says what woke the job.
func TestListenerThatDiesComesBack(t *testing.T) {
	t.Parallel()
	k := newKit(t, nil)
	k.exec(reviewSchema + "grant select, update on app.tasks to statek_tool")
	k.apply(files{
		"temporals/t.sql": temporalFile(), "agents/w.md": simpleAgent, "agents/w.warmup.js": "exit((await t(queue)).id)",
	})
	k.work()
	const listening = `select count(*) from pg_stat_activity where datname = current_database() and application_name like 'statek worker %'
		and query like 'listen "statek_dirty"%'`
	k.awaits(listening + " having count(*) = 1")
	var before int
	for round := range 2 {
		queue := []string{"unheard", "heard"}[round]
		job := k.submit("w", map[string]any{"queue": queue})
		k.until(job.ID, "SUSPENDED")
		k.awaits("select from statek.wait_groups where last_result = 'idle' and args ->> 'queue' = '" + queue + "' and not exists (select from statek.wait_checks)")
		if round == 0 {
			if err := k.pool.QueryRow(t.Context(), "select pid from pg_stat_activity where query like 'listen \"statek_dirty\"%' and datname = current_database()").Scan(&before); err != nil {
				t.Fatal(err)
			}
			k.exec("select pg_terminate_backend($1)", before)
		}
		k.exec("insert into app.tasks (id, queue) values ($1, $2)", round, queue)
		if got := k.ended(job.ID); got.Outcome != "succeeded" {
			k.dump(job.ID)
			t.Errorf("%s: %s %s", queue, got.Outcome, got.Error)
		}
		if text := k.text(job.ID); !strings.Contains(text, "(woken by a change of app.tasks[queue="+queue+"])") {
			t.Errorf("%s: the timeline does not say what woke the job:\n%s", queue, text)
		}
		k.awaits(listening + " having count(*) = 1")
	}
	if n := k.doctor(false); len(n.Complaints) != 0 {
		t.Errorf("doctor: %+v, want nothing", n.Complaints)
	}
}

// awaits returns when a query has a row.
func (k *kit) awaits(query string) {
	k.t.Helper()
	for {
		var n int
		err := k.pool.QueryRow(k.t.Context(), "select count(*) from (select pg_sleep(0.01), x.* from ("+query+") x) y").Scan(&n)
		if err != nil {
			k.t.Fatal(err)
		}
		if n > 0 {
			return
		}
	}
}

// text is the history as sentences.
func (k *kit) text(id uuid.UUID) string {
	k.t.Helper()
	rows, err := k.History(k.t.Context(), id, 0, 0)
	if err != nil {
		k.t.Fatal(err)
	}
	var lines []string
	for _, r := range rows {
		lines = append(lines, r.Text)
	}
	return strings.Join(lines, "\n")
}
