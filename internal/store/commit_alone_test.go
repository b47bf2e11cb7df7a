package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"statek/internal/jobs"
	"statek/internal/store"
)

// TestAloneAsInCompany: a commit of one job has a statement of its own, which writes and refuses what the one for many does.
func TestAloneAsInCompany(t *testing.T) {
	t.Parallel()
	k := newJobsKit(t)
	worker := k.worker()
	job := k.job()
	h, other := k.claimed(job, worker), k.claimed(k.job(), worker)
	k.exec("update statek.jobs set key = 'k', open_key = 'k' where id = $1", job)
	k.mail(job, `"read"`)
	k.mail(job, `"unread"`)
	k.exec("update statek.job_state set rung = false where job_id = $1", job)
	mail := int64(k.count("select min(id) from statek.mailbox where job_id = $1", job))
	k.exec(`with g as (insert into statek.wait_groups (kind, name, prefix, args, hash) values ('job', 'job', '/acme', '[]', 'h') returning id)
		insert into statek.wait_deps (dep, group_id) select 'job:' || $1::text, id from g`, job)
	written := func(events ...jobs.Event) jobs.Commit { // each from the same state
		from := *h
		return from.commit(events...)
	}
	company := other.commit(start(1))
	ended := written(start(1), jobs.CellEnded{State: "done", Exit: &jobs.Exit{Result: json.RawMessage(`{"b":1,"a":"\u0000"}`)}},
		jobs.Finished{Outcome: jobs.Succeeded, Result: json.RawMessage(`{"b":1,"a":"\u0000"}`)})
	with := func(c jobs.Commit, change func(*jobs.Commit)) jobs.Commit {
		change(&c)
		return c
	}
	for name, c := range map[string]jobs.Commit{
		"a step":                written(start(1), jobs.Console{Lines: []string{"x"}}),
		"nothing":               written(),
		"trailing":              with(written(start(1)), func(c *jobs.Commit) { c.Trailing = true }),
		"a release":             with(written(start(1)), func(c *jobs.Commit) { c.Release = true }),
		"handed over":           with(written(start(1)), func(c *jobs.Commit) { c.HandOver = true }),
		"the end":               with(ended, func(c *jobs.Commit) { c.Release = true }),
		"mail":                  with(written(start(1)), func(c *jobs.Commit) { c.Mail = []int64{mail} }),
		"blocked":               with(written(start(1)), func(c *jobs.Commit) { c.BlockedOn, c.BlockedWhy = "rate", "waits" }),
		"another owner":         with(written(start(1)), func(c *jobs.Commit) { c.Owner = uuid.New() }),
		"an old epoch":          with(written(start(1)), func(c *jobs.Commit) { c.Epoch-- }),
		"a row that is missing": with(written(start(1), jobs.Console{}), func(c *jobs.Commit) { c.Entries = c.Entries[:1] }),
		"variables": with(written(start(1)), func(c *jobs.Commit) {
			c.Variables = []jobs.Workspace{{Cell: 1, Set: []jobs.Variable{
				{Name: "v", Value: []byte(`{"b":1,"a":2}`), Type: "object"}, {Name: "w", Type: "function", Refused: "it closes over a"},
			}}}
		}),
	} {
		for _, rung := range []bool{false, true} {
			var got [2][]string
			for i := range got {
				got[i] = func() []string {
					tx := k.session()
					defer func() { _ = tx.Rollback(k.ctx) }()
					_, err := tx.Exec(k.ctx, "select set_config('statek.now', '2030-01-01Z', true)")
					k.must(err)
					_, err = tx.Exec(k.ctx, "update statek.job_state set rung = $2 where job_id = $1", job, rung)
					k.must(err)
					list := []jobs.Commit{c}
					if i == 1 {
						list = append(list, company)
					}
					released, err := store.QueueCommits(k.ctx, tx, list...)
					if pg := (*pgconn.PgError)(nil); errors.As(err, &pg) {
						return []string{pg.Code, pg.ConstraintName, pg.Hint}
					}
					k.must(err)
					state := "held"
					if released {
						state = "released"
					}
					var marked, bells int
					k.must(tx.QueryRow(k.ctx, "select count(*), (select count(*) from river.river_job) from statek.dirty").Scan(&marked, &bells))
					rows := slices.DeleteFunc(k.everythingIn(tx, job), func(row string) bool { return strings.HasPrefix(row, "doorbell") })
					return append(rows, state, fmt.Sprint(marked, bells))
				}()
			}
			if diff := cmp.Diff(got[1], got[0]); diff != "" {
				t.Errorf("%s, rung %v (-in company +alone):\n%s", name, rung, diff)
			}
			if len(got[0]) < 3 {
				t.Errorf("%s, rung %v: got %v, which compares nothing", name, rung, got[0])
			}
		}
	}
}
