package app_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"statek/internal/app"
)

// TestRetentionIsSaidAndShown: durations, forever and inherit, at prefixes; what is no duration is refused by name.
func TestRetentionIsSaidAndShown(t *testing.T) {
	t.Parallel()
	k := newKit(t, nil)
	set := func(prefix string, wish app.RetentionWish) app.Retention {
		t.Helper()
		r, err := k.SetRetention(t.Context(), prefix, wish)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	set("/", app.RetentionWish{Failed: "2w"})
	set("/acme", app.RetentionWish{Succeeded: "1d12h", Failed: "forever", Cancelled: "90s"})
	got := set("/acme", app.RetentionWish{Cancelled: "inherit"})
	want := app.Retention{
		Prefix: "/acme", Succeeded: app.Kept{Keep: "1d12h", From: "/acme"}, Failed: app.Kept{Keep: "forever", From: "/acme"}, Cancelled: app.Kept{Keep: "90d"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("/acme (-want +got):\n%s", diff)
	}
	below, err := k.Retention(t.Context(), "/other/place")
	if want.Failed = (app.Kept{Keep: "14d", From: "/"}); err != nil || below.Failed != want.Failed || below.Succeeded.Keep != "30d" {
		t.Errorf("/other/place: %+v, %v", below, err)
	}
	for wish, field := range map[app.RetentionWish]string{
		{}: "succeeded", {Failed: "soon"}: "failed", {Cancelled: "-3d"}: "cancelled", {Succeeded: "10ms"}: "succeeded", {Failed: "30 years"}: "failed",
	} {
		_, err := k.SetRetention(t.Context(), "/acme", wish)
		var refused *app.Error
		if !errors.As(err, &refused) || refused.Kind != app.KindInvalid || len(refused.Fields) != 1 || refused.Fields[0].Field != field {
			t.Errorf("%+v: %v, want %s refused", wish, err, field)
		}
	}
	if _, err := k.SetRetention(t.Context(), "acme", app.RetentionWish{Failed: "1d"}); err == nil {
		t.Error("a relative prefix was taken")
	}
}

// TestWorkersRemoveOldJobs: a worker that is busy with new jobs removes the old ones by itself, those of each prefix when
// their time has come, and touches no object. The clock is the database's.
func TestWorkersRemoveOldJobs(t *testing.T) {
	t.Parallel()
	k := newKit(t, files{"agents/m.md": simpleAgent, "agents/m.warmup.js": "await objects.put('c', String(i), i)\nexit(i)"})
	k.exec("insert into statek.retention (prefix, outcome, keep) values ('/acme', 'succeeded', '3 days')")
	stop := k.work()
	var old []app.Job
	for i := range 5 {
		old = append(old, k.ended(k.submit("m", map[string]any{"i": i}).ID))
	}
	stop()
	doc := k.doctor(false)
	if doc.Retention.Due != 0 || doc.Retention.LappedAt == nil {
		t.Errorf("before: %+v, want nothing due, and a lap done by the worker", doc.Retention)
	}
	k.exec("do $$ begin execute format('alter database %I set statek.now = %L', current_database(), clock_timestamp() + interval '3 days 1 hour'); end $$")
	k.pool.Reset()
	k.work()
	fresh := k.submit("m", map[string]any{"i": 9})
	for _, job := range old {
		k.gone(job)
	}
	if got := k.ended(fresh.ID); got.Outcome != "succeeded" {
		t.Errorf("the new job is %s %s", got.Outcome, got.Error)
	}
	k.is("select count(*) = 6 from statek.objects")
	k.is("select removed = 5 from statek.pruning")
}

// gone waits until there is no such job.
func (k *kit) gone(job app.Job) {
	k.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		_, err := k.GetJob(k.t.Context(), job.ID)
		var missing *app.Error
		if errors.As(err, &missing) && missing.Kind == app.KindNotFound {
			return
		}
		if err != nil || time.Now().After(deadline) {
			k.t.Fatalf("job %s is still there (%v)", job.ID, err)
		}
		if _, err := k.pool.Exec(k.t.Context(), "select pg_sleep(0.01)"); err != nil {
			k.t.Fatal(err)
		}
	}
}

// TestDoctorShowsWhatRetentionLeft: jobs that should have gone are counted, and said when they are a day late.
func TestDoctorShowsWhatRetentionLeft(t *testing.T) {
	t.Parallel()
	k := newKit(t, files{"agents/m.md": simpleAgent, "agents/m.warmup.js": "exit(1)"})
	stop := k.work()
	k.ended(k.submit("m", nil).ID)
	stop()
	k.exec("update statek.job_state set finished_at = finished_at - interval '40 days'")
	k.exec(`with moved as (select id, statek.uuid_at(statek.now() - interval '40 days') as old from statek.jobs),
		copied as (insert into statek.jobs (id, prefix, agent_id, role, agent_version, spec, created_at)
			select m.old, j.prefix, j.agent_id, j.role, j.agent_version, j.spec, j.created_at from statek.jobs j join moved m using (id))
		insert into statek.job_state (job_id, status, outcome, core, seq, finished_at) select m.old, s.status, s.outcome, s.core, s.seq, s.finished_at from statek.job_state s join moved m on m.id = s.job_id`)
	got := k.doctor(false)
	if got.Retention.Due != 1 || got.Retention.AtLeast || got.Retention.DueSince == nil {
		t.Errorf("retention = %+v, want one job due", got.Retention)
	}
	if !complains(got, "1 jobs should have been removed, the oldest 10d ago") {
		t.Errorf("complaints = %+v", got.Complaints)
	}
}
