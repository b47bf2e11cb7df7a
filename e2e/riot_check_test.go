package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"statek/internal/jobs"
)

// check compares the application's books, the bank's, and the histories.
func (r *riot) check() {
	r.t.Helper()
	for what, wrong := range map[string]string{
		"jobs have not succeeded": "select from statek.job_state where outcome is distinct from 'succeeded'",
		"accounts differ from the sum of their moves": `select from app.accounts a where balance <> 1000
			+ coalesce((select sum(amount) from app.moves where payee = a.id), 0) - coalesce((select sum(amount) from app.moves where payer = a.id), 0)`,
		"sums of money are not what there was": "select from app.accounts having sum(balance) <> 40000",
		"moves are not recorded once, by the job that made them": `select from app.moves m
			full join (select job_id, (payload ->> 'value')::bigint as id from statek.history_entries
				where kind = 'call_settled' and payload ->> 'name' = 'move' and payload ->> 'value' is not null) h on h.id = m.id
			group by coalesce(m.id, h.id) having count(m.id) <> 1 or count(h.id) <> 1 or bool_or(m.job_id <> h.job_id)`,
		"steps were made twice or not at all": `select from app.moves group by job_id, step having count(*) <> 1`,
		"waits, sets and letters are left":    "select from statek.waits union all select from statek.wait_sets union all select from statek.mailbox",
		"wake-ups were lost or marks failed":  "select from statek.counters where name = 'sweep_caught' and n > 0 union all select where statek.watch_failed() > 0",
		"jobs are still held":                 "select from statek.job_state where owner is not null",
	} {
		if n := query[int](r.world, "select count(*) from ("+wrong+") as wrong"); n != 0 {
			r.t.Errorf("%d %s", n, what)
		}
	}
	if n := query[int](r.world, "select count(*) from statek.jobs"); n != len(r.jobs) {
		r.t.Errorf("there are %d jobs, %d were submitted", n, len(r.jobs))
	}
	r.checkPayments()
	r.checkOutages()
}

// checkPayments holds every recorded payment against what the bank has seen under its key. All jobs have ended, so
// there is no payment of which no job knows.
func (r *riot) checkPayments() {
	r.t.Helper()
	recorded, seen := map[string]string{}, map[string]string{}
	for _, job := range r.jobs {
		entries := r.entries(job)
		if err := r.folds(job); err != nil {
			r.t.Errorf("job %s: %v", job, err)
		}
		moved, paid := 0, 0
		for _, e := range entries {
			ev, ok := e.Event.(jobs.CallSettled)
			if !ok || ev.Value == nil {
				continue
			}
			switch ev.Name {
			case "move":
				moved++
			case "charge":
				var got struct{ Receipt string }
				if err := json.Unmarshal(ev.Value, &got); err != nil {
					r.t.Fatal(err)
				}
				recorded[fmt.Sprintf("%s/%d/%d", job, e.Cell, e.Call)] = got.Receipt
				n, err := strconv.Atoi(strings.TrimPrefix(got.Receipt, "r"))
				if err != nil {
					r.t.Fatal(err)
				}
				paid += n
			}
		}
		if got, want := query[string](r.world, "select result::text from statek.job_state where job_id = $1", job), fmt.Sprintf(`{"moved":%d,"paid":%d}`, moved, paid); got != want {
			r.dump(job)
			r.t.Errorf("job %s ends with %s, its history says %s", job, got, want)
		}
	}
	for key, p := range r.bank.books() {
		seen[key] = fmt.Sprintf("r%d", p.Amount)
		r.tally["payments"]++
		r.tally["payments asked for again"] += p.Times - 1
	}
	if diff := cmp.Diff(recorded, seen); diff != "" {
		r.t.Errorf("payments (-recorded +seen by the bank):\n%s", diff)
	}
}

// checkOutages: when the database comes back, nobody takes over more than what was held when it went.
func (r *riot) checkOutages() {
	r.t.Helper()
	for _, o := range r.outages {
		if o.quick {
			continue
		}
		most, all := 0, 0
		row := r.pool.QueryRow(r.t.Context(), `select coalesce(max(n), 0), coalesce(sum(n), 0) from (
			select count(*) as n from statek.history where kind = 'taken_over' and at between $1 and $2 group by job_id) as takeovers`, o.ended, o.calm)
		if err := row.Scan(&most, &all); err != nil {
			r.t.Fatal(err)
		}
		r.t.Logf("outage of %s: %d jobs were held, %d were taken over after it", o.ended.Sub(o.began).Round(time.Second), o.held, all)
		if most > 1 || all > o.held {
			r.t.Errorf("after the outage one job was taken over %d times, and %d in all of %d that were held: a storm", most, all, o.held)
		}
	}
}

// recoveries are the times from a kill to the next progress of the jobs that the worker held. Kills around an outage do
// not count: nobody can recover without a database. Nor do those after which the next owner was lost too, before
// it had written anything: they are tallied.
func (r *riot) recoveries() []time.Duration {
	r.t.Helper()
	var list []time.Duration
	for _, s := range r.samples {
		if slices.ContainsFunc(r.outages, func(o outage) bool {
			return s.killed.After(o.began.Add(-10*time.Second)) && s.killed.Before(o.calm)
		}) {
			continue
		}
		var at time.Time
		var from string
		err := r.pool.QueryRow(r.t.Context(), `select at, coalesce(payload ->> 'worker', '') from statek.history
			where job_id = $1 and seq > $2 order by seq limit 1`, s.job, s.seq).Scan(&at, &from)
		switch {
		case err != nil:
			r.t.Errorf("job %s has made no progress since its worker was killed: %v", s.job, err)
		case from != "" && from != s.worker.String():
			r.tally["jobs whose next owner was lost too"]++
		default:
			list = append(list, max(0, at.Sub(s.killed)))
		}
	}
	slices.Sort(list)
	return list
}

// report shows how it went, and wants kills to be recovered from within 8 s.
func (r *riot) report(seconds int) {
	r.t.Helper()
	took := r.recoveries()
	quantile := func(q float64) time.Duration {
		if len(took) == 0 {
			return 0
		}
		return took[int(q*float64(len(took)-1))].Round(10 * time.Millisecond)
	}
	for _, one := range r.workers {
		r.tally["replies lost"] += one.wire.Lost()
	}
	r.tally["takeovers recorded"] = query[int](r.world, "select count(*) from statek.history where kind = 'taken_over'")
	r.tally["claims"] = query[int](r.world, "select sum(epoch) from statek.job_state")
	r.tally["moves"] = query[int](r.world, "select count(*) from app.moves")
	lines := []string{
		fmt.Sprintf("| %-34s | %10s |", "riot", fmt.Sprintf("%d s", seconds)), "|---|---:|",
		fmt.Sprintf("| %-34s | %10d |", "jobs, all succeeded", len(r.jobs)),
		fmt.Sprintf("| %-34s | %10s |", "from the first to the last", r.took.Round(time.Second)),
	}
	for _, name := range []string{
		"moves", "payments", "payments asked for again", "workers killed", "workers stopped", "stopped in a tool's transaction", "sessions ended",
		"networks cut", "networks stalled", "replies lost", "APIs killed", "restarts of the database", "outages of the database", "claims",
		"takeovers recorded",
	} {
		lines = append(lines, fmt.Sprintf("| %-34s | %10d |", name, r.tally[name]))
	}
	lines = append(lines,
		fmt.Sprintf("| %-34s | %10d |", "jobs whose next owner was lost too", r.tally["jobs whose next owner was lost too"]),
		fmt.Sprintf("| %-34s | %10d |", "other jobs held by killed workers", len(took)),
		fmt.Sprintf("| %-34s | %10s |", "kill to next progress, p50", quantile(0.5)),
		fmt.Sprintf("| %-34s | %10s |", "kill to next progress, p99", quantile(0.99)),
		fmt.Sprintf("| %-34s | %10s |", "kill to next progress, most", quantile(1)),
	)
	r.t.Log("\n" + strings.Join(lines, "\n"))
	if os.Getenv("CRASH_SECONDS") != "" {
		fmt.Println(strings.Join(lines, "\n")) // also without -v
	}
	most := patience // of a few on a machine that does other things too, one may be late
	if len(took) >= 100 {
		most = 8 * time.Second
	}
	if quantile(0.99) > most {
		r.t.Errorf("recovery from kills: p99 is %s, want at most %s", quantile(0.99), most)
	}
	for _, must := range []string{"workers killed", "takeovers recorded"} {
		if r.tally[must] == 0 {
			r.t.Errorf("%s: none: the riot did not rage", must)
		}
	}
}
