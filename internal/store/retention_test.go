package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"statek/internal/store"
)

// old makes a job by hand that was submitted and, unless its state is another one, ended so many days ago. It has rows in
// every table that retention empties. state is an outcome, or a status.
func (k *jobsKit) old(name, prefix, state string, days float64, parent *uuid.UUID) uuid.UUID {
	k.Helper()
	var id uuid.UUID
	k.scan("select overlay(statek.uuid_at(statek.now() - make_interval(secs => $1::float8 * 86400))::text placing substr(gen_random_uuid()::text, 25) from 25)::uuid", &id, days)
	k.exec(`insert into statek.jobs (id, prefix, agent_id, role, agent_version, spec, source, parent_id, created_at)
		values ($1, $2, $3, 'a', 1, '{}', $4, $5, statek.now() - make_interval(secs => $6::float8 * 86400))`, id, prefix, k.agent, name, parent, days)
	k.exec(`insert into statek.job_state (job_id, status, outcome, core, seq, finished_at)
		select $1, case when ended then 'DONE' else $2 end, case when ended then $2 end, '{"seq":2}', 2,
			case when ended then statek.now() - make_interval(secs => $3::float8 * 86400) end
		from (select $2 in ('succeeded', 'failed', 'cancelled')) x(ended)`, id, state, days)
	k.exec("insert into statek.history (job_id, seq, kind, at, payload) select $1, n, 'console', now(), '{}' from generate_series(1, 2) n", id)
	k.exec("insert into statek.variables (job_id, name, cell_from, value, type, bytes) values ($1, 'v', 1, '1', 'number', 1)", id)
	k.exec("insert into statek.usage (job_id, seq, at, provider, model) values ($1, 2, now(), 'p', 'm')", id)
	k.exec("insert into statek.approvals (job_id, cell, call, prefix, title, status) values ($1, 1, 1, $2, 't', 'decided')", id, prefix)
	return id
}

// left lists the names of the jobs that there are.
func (k *jobsKit) left() []string {
	k.Helper()
	var names []string
	k.scan("select coalesce(array_agg(source order by source), '{}') from statek.jobs", &names)
	return names
}

// lap prunes until there is nothing to do, and returns the number of steps.
func (k *jobsKit) lap() int {
	k.Helper()
	for n := 1; ; n++ {
		p, err := k.store.Prune(k.ctx)
		k.must(err)
		if !p.More {
			return n
		}
	}
}

// TestOldJobsAreRemoved: those, and only those, that ended long enough ago and that nobody needs; with all their rows.
func TestOldJobsAreRemoved(t *testing.T) {
	t.Parallel()
	k := newJobsKit(t)
	k.old("a gone: succeeded", "/acme", "succeeded", 31, nil)
	k.old("b young", "/acme", "succeeded", 29, nil)
	k.old("c failures are kept for longer", "/acme", "failed", 31, nil)
	k.old("d gone: failed", "/acme", "failed", 91, nil)
	k.old("e gone: cancelled", "/", "cancelled", 91, nil)
	k.old("f still waits", "/acme", "SUSPENDED", 400, nil)
	k.old("g paused", "/acme", "PAUSED", 400, nil)
	mailed := k.old("h about to be reopened", "/acme", "succeeded", 31, nil)
	k.exec("insert into statek.mailbox (job_id, kind) values ($1, 'message')", mailed)
	told := k.old("i somebody is being told of its end", "/acme", "succeeded", 31, nil)
	k.exec(`with g as (insert into statek.wait_groups (prefix, kind, name, args, hash) values ('/', 'job', 'job', '[]', 'h') returning id)
		insert into statek.wait_deps (dep, group_id) select 'job:' || $1, id from g`, told)
	busy := k.old("j parent that goes on", "/acme", "STARTED", 40, nil)
	k.old("k child of j", "/acme", "succeeded", 31, &busy)
	done := k.old("l parent of m", "/acme", "succeeded", 40, nil)
	k.old("m child that goes on", "/acme", "STARTED", 31, &done)
	over := k.old("n gone: parent", "/acme", "succeeded", 40, nil)
	k.old("o young child of n", "/acme", "succeeded", 2, &over)
	held := k.old("p owned", "/acme", "succeeded", 31, nil)
	k.exec("update statek.job_state set owner = $2 where job_id = $1", held, k.worker())
	k.lap()
	want := []string{
		"b young", "c failures are kept for longer", "f still waits", "g paused", "h about to be reopened", "i somebody is being told of its end",
		"j parent that goes on", "k child of j", "l parent of m", "m child that goes on", "o young child of n", "p owned",
	}
	if diff := cmp.Diff(want, k.left()); diff != "" {
		t.Errorf("jobs (-want +got):\n%s", diff)
	}
	for table, each := range map[string]int{"job_state": 1, "history": 2, "variables": 1, "usage": 1, "approvals": 1, "pruned": 0} {
		if got := k.count("select count(*) from statek." + table); got != each*len(want) {
			t.Errorf("%d rows in %s, want %d", got, table, each*len(want))
		}
		if n := k.count("select count(*) from statek." + table + " x where not exists (select from statek.jobs j where j.id = x.job_id)"); n != 0 {
			t.Errorf("%d rows of removed jobs in %s", n, table)
		}
	}
	if b, err := k.store.Backlog(k.ctx); err != nil || b.Removed != 4 || b.LappedAt == nil || b.Leftover != 0 {
		t.Errorf("backlog = %+v, %v; want 4 removed and a lap", b, err)
	}
}

// TestRetentionIsInherited: the nearest prefix that says something about an outcome holds, and the default where none does.
func TestRetentionIsInherited(t *testing.T) {
	t.Parallel()
	k := newJobsKit(t)
	k.must(k.store.SetRetention(k.ctx, "/acme", "1 hour", "forever", ""))
	k.must(k.store.SetRetention(k.ctx, "/acme/audit", "forever", "2 days", ""))
	k.must(k.store.SetRetention(k.ctx, "/acme/audit/tmp", "inherit", "1 minute", "1 minute"))
	k.must(k.store.SetRetention(k.ctx, "/acme/audit/tmp", "", "inherit", ""))
	for prefix, want := range map[string]string{
		"/":               `[["succeeded","720:00:00","-"],["failed","2160:00:00","-"],["cancelled","2160:00:00","-"]]`,
		"/acmes":          `[["succeeded","720:00:00","-"],["failed","2160:00:00","-"],["cancelled","2160:00:00","-"]]`,
		"/acme/dev":       `[["succeeded","01:00:00","/acme"],["failed","forever","/acme"],["cancelled","2160:00:00","-"]]`,
		"/acme/audit":     `[["succeeded","forever","/acme/audit"],["failed","48:00:00","/acme/audit"],["cancelled","2160:00:00","-"]]`,
		"/acme/audit/tmp": `[["succeeded","forever","/acme/audit"],["failed","48:00:00","/acme/audit"],["cancelled","00:01:00","/acme/audit/tmp"]]`,
	} {
		got := k.text(`select json_agg(json_build_array(outcome, coalesce(make_interval(secs => extract(epoch from keep))::text, 'forever'),
			coalesce(from_prefix, '-')))::text from statek.retention_at($1)`, prefix)
		var g, w any
		k.must(errors.Join(json.Unmarshal([]byte(got), &g), json.Unmarshal([]byte(want), &w)))
		if diff := cmp.Diff(w, g); diff != "" {
			t.Errorf("%s (-want +got):\n%s", prefix, diff)
		}
	}
	k.old("gone", "/acme/dev", "succeeded", 0.1, nil)
	k.old("kept for ever", "/acme/audit", "succeeded", 4000, nil)
	k.old("kept for ever too", "/acme", "failed", 4000, nil)
	k.old("young", "/acmes", "succeeded", 1, nil)
	k.lap()
	if diff := cmp.Diff([]string{"kept for ever", "kept for ever too", "young"}, k.left()); diff != "" {
		t.Errorf("jobs (-want +got):\n%s", diff)
	}
	for _, wish := range []string{"soon", "-1 day", "0s"} {
		err := k.store.SetRetention(k.ctx, "/acme", wish, "", "")
		var refused *pgconn.PgError
		if !errors.As(err, &refused) || refused.Code != "ST422" || !strings.Contains(refused.Message, "succeeded is kept for '"+wish+"'") || refused.Hint == "" {
			t.Errorf("%s: %v, want it refused by name with a remedy", wish, err)
		}
	}
}

// TestRemovalGoesInSmallSteps: no step removes more than a few hundred jobs and a few thousand rows, however many there are
// of either, and each job is looked at once in a lap.
func TestRemovalGoesInSmallSteps(t *testing.T) {
	t.Parallel()
	k := newJobsKit(t)
	k.exec(`with j as (
			insert into statek.jobs (id, prefix, agent_id, role, agent_version, spec, created_at)
			select overlay(statek.uuid_at(statek.now() - interval '50 days')::text placing substr(gen_random_uuid()::text, 25) from 25)::uuid,
				case when n % 10 = 0 then '/kept' else '/acme' end, $1, 'a', 1, '{}', statek.now() - interval '50 days'
			from generate_series(1, 5000) n returning id)
		insert into statek.job_state (job_id, status, outcome, core, seq, finished_at)
			select id, 'DONE', 'succeeded', '{"seq":1}', 1, statek.now() - interval '50 days' from j`, k.agent)
	k.must(k.store.SetRetention(k.ctx, "/kept", "forever", "", ""))
	long := k.old("long", "/acme", "succeeded", 60, nil)
	k.exec("insert into statek.history (job_id, seq, kind, at, payload) select $1, n, 'console', now(), '{}' from generate_series(10, 30000) n", long)
	jobs, rows := 0, 0
	for more, steps := true, 0; more; steps++ {
		p, err := k.store.Prune(k.ctx)
		k.must(err)
		if p.Jobs > 200 || p.Rows > 20_000 || steps > 60 {
			t.Fatalf("step %d: %+v", steps, p)
		}
		jobs, rows, more = jobs+p.Jobs, rows+p.Rows, p.More
	}
	if left := k.count("select count(*) from statek.jobs"); jobs != 4501 || left != 500 {
		t.Errorf("%d jobs removed and %d left, want 4501 and 500", jobs, left)
	}
	if left := k.count("select count(*) from statek.history") + k.count("select count(*) from statek.pruned"); left != 0 || rows != 29_995 {
		t.Errorf("%d rows removed and %d left, want 29995 and none", rows, left)
	}
}

// TestRemovalWaitsForNobody: what others hold is passed over, one worker removes at a time, and who writes to a job that is
// being removed learns that it is gone.
func TestRemovalWaitsForNobody(t *testing.T) {
	t.Parallel()
	k := newJobsKit(t)
	mailed := k.old("being mailed", "/acme", "succeeded", 31, nil)
	claimed := k.old("being claimed", "/acme", "succeeded", 31, nil)
	k.old("gone", "/acme", "succeeded", 31, nil)
	sender, claimer := k.session(), k.session()
	_, err := sender.Exec(k.ctx, "insert into statek.mailbox (job_id, kind) values ($1, 'message')", mailed)
	k.must(err)
	_, err = claimer.Exec(k.ctx, "select from statek.job_state where job_id = $1 for no key update", claimed)
	k.must(err)
	k.lap()
	if diff := cmp.Diff([]string{"being claimed", "being mailed"}, k.left()); diff != "" {
		t.Errorf("while held (-want +got):\n%s", diff)
	}
	k.must(sender.Commit(k.ctx))
	k.must(claimer.Rollback(k.ctx))
	k.lap()
	if diff := cmp.Diff([]string{"being mailed"}, k.left()); diff != "" {
		t.Errorf("afterwards (-want +got):\n%s", diff)
	}

	last := k.old("last", "/acme", "succeeded", 31, nil)
	other := k.session()
	_, err = other.Exec(k.ctx, "select statek.prune(100, 100, 100)")
	k.must(err)
	if p, err := k.store.Prune(k.ctx); err != nil || p != (store.Pruned{}) {
		t.Errorf("beside another worker: %+v, %v; want nothing done", p, err)
	}
	told := make(chan error, 1)
	go func() { told <- put(k.ctx, k.store, last, `"hi"`) }()
	k.blocked(1)
	k.must(other.Commit(k.ctx))
	if err := <-told; !errors.Is(err, store.ErrNotFound) {
		t.Errorf("mail for a removed job: %v, want ErrNotFound", err)
	}
}

// TestEmptyMonthsAreDropped: a month whose jobs are gone loses its partitions; one that is in use is left for another time.
func TestEmptyMonthsAreDropped(t *testing.T) {
	t.Parallel()
	k := newJobsKit(t)
	k.exec("select statek.ensure_partitions(statek.now() - interval '10 months', 3)")
	months := func() (n int) {
		return k.count(`select count(*) from pg_inherits where inhparent in ('statek.history'::regclass, 'statek.variables'::regclass, 'statek.usage'::regclass)`)
	}
	before := months()
	var at time.Time
	k.scan("select date_trunc('month', statek.now() - interval '9 months') + interval '10 days'", &at)
	k.old("kept", "/acme", "SUSPENDED", time.Since(at).Hours()/24, nil)
	reader := k.session()
	_, err := reader.Exec(k.ctx, "select from statek.history limit 1")
	k.must(err)
	drop := func() (names []string) {
		for {
			name, err := k.store.DropEmptyPartition(k.ctx)
			k.must(err)
			if name == "" {
				return names
			}
			names = append(names, name)
		}
	}
	if got := drop(); len(got) != 0 {
		t.Errorf("dropped %v while somebody reads history", got)
	}
	k.must(reader.Commit(k.ctx))
	var want []string
	for _, ago := range []int{10, 8} {
		for _, table := range []string{"history", "usage", "variables"} {
			want = append(want, fmt.Sprintf("%s_%s", table, k.text("select to_char(statek.now() at time zone 'utc' - make_interval(months => $1), 'YYYYMM')", ago)))
		}
	}
	if diff := cmp.Diff(want, drop()); diff != "" {
		t.Errorf("dropped (-want +got):\n%s", diff)
	}
	if got := months(); got != before-6 {
		t.Errorf("%d partitions are left, want %d", got, before-6)
	}
	k.exec("select statek.ensure_partitions()") // this month's and the next ones are there still
	if got := months(); got != before-6 {
		t.Errorf("%d partitions after making this month's anew, want %d", got, before-6)
	}
}

// TestMessagesAndRemovalRace: of a message and the removal of its job one comes first, and nothing is half done.
func TestMessagesAndRemovalRace(t *testing.T) {
	t.Parallel()
	k := newJobsKit(t)
	for i := range 40 {
		job := k.old(fmt.Sprint("job ", i), "/acme", "succeeded", 31, nil)
		done := make(chan error, 2)
		go func() { done <- put(context.WithoutCancel(k.ctx), k.store, job, `"hi"`) }()
		go func() { _, err := k.store.Prune(k.ctx); done <- err }()
		var refused error
		for range 2 {
			if err := <-done; err != nil {
				refused = err
			}
		}
		exists, mail := k.count("select count(*) from statek.jobs where id = $1", job), k.count("select count(*) from statek.mailbox where job_id = $1", job)
		switch {
		case refused == nil && (exists != 1 || mail != 1):
			t.Errorf("the message was taken, but there are %d jobs and %d messages", exists, mail)
		case refused != nil && (!errors.Is(refused, store.ErrNotFound) || exists != 0):
			t.Errorf("the message was refused (%v), and there are %d jobs", refused, exists)
		}
	}
}
