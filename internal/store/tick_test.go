package store_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"statek/internal/jobs"
	"statek/internal/store"
)

const deadAfter = 5 * time.Second

// stray looks for strays, with no doorbell in the queue, and returns what was rung.
func (k *jobsKit) stray() []string {
	k.Helper()
	k.silence()
	_, err := k.store.RingStray(k.ctx, 100)
	k.must(err)
	return k.doorbells()
}

// TestStrayJobsAreRungAfterFiveSeconds, and others are left alone.
func TestStrayJobsAreRungAfterFiveSeconds(t *testing.T) {
	t.Parallel()
	k := newJobsKit(t)
	w := k.worker()
	age := func(job jobs.ID) {
		k.exec("update statek.job_state set freed_at = freed_at - interval '6 seconds' where job_id = $1", job)
		k.exec("update statek.mailbox set created_at = created_at - interval '6 seconds' where job_id = $1", job)
	}
	state := func(set string) jobs.ID {
		job := k.job()
		k.exec("update statek.job_state set "+set+" where job_id = $1", job)
		return job
	}
	mailed := func(set, kind string) jobs.ID {
		job := state(set)
		k.exec("insert into statek.mailbox (job_id, kind) values ($1, $2)", job, kind)
		return job
	}
	const done = "status = 'DONE', outcome = 'succeeded'"
	strays := map[string]jobs.ID{
		"submitted":                            state("epoch = 0"),
		"started":                              state("status = 'STARTED'"),
		"asleep, a wait resolved":              mailed("status = 'SUSPENDED', blocked_on = 'event'", "resolved"),
		"asleep, cancelled":                    mailed("status = 'SUSPENDED', blocked_on = 'event'", "cancel"),
		"asleep in message(), with a message":  mailed("status = 'SUSPENDED', blocked_on = 'event,message'", "message"),
		"paused, resumed":                      mailed("status = 'PAUSED'", "resume"),
		"done, with a message that reopens it": mailed(done, "message"),
	}
	calm := map[string]jobs.ID{
		"owned":                               state("status = 'STARTED', owner = '" + w.String() + "'"),
		"asleep":                              state("status = 'SUSPENDED'"),
		"asleep, with a message nobody wants": mailed("status = 'SUSPENDED', blocked_on = 'event'", "message"),
		"with a timer":                        state("status = 'STARTED', wake_at = now() + interval '1 hour'"),
		"parked":                              state("parked_on = 'agent:a'"),
		"paused":                              state("status = 'PAUSED'"),
		"done":                                state(done),
	}
	if got := k.stray(); len(got) != 0 {
		t.Errorf("%d jobs were rung before their time", len(got))
	}
	for _, group := range []map[string]jobs.ID{strays, calm} {
		for _, job := range group {
			age(job)
		}
	}
	rung := strings.Join(k.stray(), " ")
	for name, job := range strays {
		if !strings.Contains(rung, job.String()) {
			t.Errorf("%s: not rung", name)
		}
	}
	for name, job := range calm {
		if strings.Contains(rung, job.String()) {
			t.Errorf("%s: rung", name)
		}
	}
}

// TestStrayJobsOfABacklogAreNotRungAgain: they have a doorbell somewhere in the queue. Other queues in River's
// tables say nothing about that.
func TestStrayJobsOfABacklogAreNotRungAgain(t *testing.T) {
	t.Parallel()
	k := newJobsKit(t)
	k.job()
	k.exec("update statek.job_state set freed_at = now() - interval '1 minute'")
	for _, step := range []struct {
		queue, age string
		want       int
	}{{"application", "1 day", 1}, {"default", "30 seconds", 1}, {"default", "2 minutes", 0}, {"crowd", "30 seconds", 1}, {"crowd", "2 minutes", 0}} {
		k.exec("delete from river.river_job where queue <> 'application'")
		k.exec(`insert into river.river_job (kind, args, queue, max_attempts, created_at, scheduled_at)
			values ('doorbell', '{}', $1, 25, now() - $2::interval, now() - $2::interval)`, step.queue, step.age)
		if n, err := k.store.RingStray(k.ctx, 10); err != nil || n != step.want {
			t.Errorf("behind one of %s in queue %s: RingStray = %d, %v; want %d", step.age, step.queue, n, err, step.want)
		}
	}
}

func TestTakeOverTakesOnlyFromTheDead(t *testing.T) {
	t.Parallel()
	k := newJobsKit(t)
	live, dead, gone := k.worker(), k.worker(), uuid.New()
	kept, taken, orphan := k.claimed(k.job(), live), k.claimed(k.job(), dead), k.claimed(k.job(), live)
	k.exec("update statek.job_state set owner = $1 where job_id = $2", gone, orphan.rec.Job)
	k.exec("update statek.job_state set rung = true") // rings that the dead have not heeded must not be lost
	k.bury(dead)
	n, err := k.store.TakeOver(k.ctx)
	if err != nil || n != 2 {
		t.Errorf("TakeOver = %d, %v; want 2", n, err)
	}
	want := sorted([]string{taken.rec.Job.String(), orphan.rec.Job.String()})
	if diff := cmp.Diff(want, sorted(k.doorbells())); diff != "" {
		t.Errorf("doorbells (-want +got):\n%s", diff)
	}
	if n, err := k.store.TakeOver(k.ctx); err != nil || n != 0 {
		t.Errorf("TakeOver again = %d, %v; want 0", n, err)
	}
	if released, err := k.store.Commit(k.ctx, kept.commit(start(1))); err != nil || released {
		t.Errorf("the living worker's commit: %v", err)
	}
}

// TestLimitsArePending while there are any, and until the turns of the last have been forgotten.
func TestLimitsArePending(t *testing.T) {
	t.Parallel()
	k := newJobsKit(t)
	pending := func(what string, want bool) {
		t.Helper()
		got, err := k.store.Waits.Pending(k.ctx)
		k.must(err)
		if got.Limits != want {
			t.Errorf("%s: limits are pending: %v, want %v", what, got.Limits, want)
		}
	}
	pending("no limit", false)
	most := int32(1)
	k.must(k.store.SetPrefixLimit(k.ctx, "/", &most))
	pending("a limit", true)
	k.exec("insert into statek.turns (key, prefix, at) values ('prefix /', '/', now() - interval '2 hours')")
	k.must(k.store.SetPrefixLimit(k.ctx, "/", nil))
	pending("turns", true)
	_, err := k.store.SweepSeats(k.ctx)
	k.must(err)
	pending("swept", false)
}

// TestBuryEndsSessionsAndDoorbells: a stopped process in an open transaction must not block its own takeover.
func TestBuryEndsSessionsAndDoorbells(t *testing.T) {
	t.Parallel()
	k := newJobsKit(t)
	zombie, fresh := k.worker(), k.worker()
	h := k.claimed(k.job(), zombie)
	tx := k.session()
	_, err := tx.Exec(k.ctx, "select set_config('application_name', $1, false)", store.WorkerName(zombie))
	k.must(err)
	_, err = tx.Exec(k.ctx, "select from statek.job_state where job_id = $1 for update", h.rec.Job)
	k.must(err)
	for _, w := range []uuid.UUID{zombie, fresh} {
		k.exec(`insert into river.river_job (kind, args, max_attempts, state, attempted_at, attempted_by)
			values ('doorbell', '{}', 25, 'running', now(), array['x', $1::text])`, w)
	}
	all := []uuid.UUID{zombie, fresh}
	if dead, err := k.store.Bury(k.ctx, all, deadAfter); err != nil || len(dead) != 0 {
		t.Fatalf("Bury = %v, %v; want nobody: all have just been heard", dead, err)
	}
	k.exec("update statek.workers set beat_at = beat_at - interval '6 seconds' where id = $1", zombie)
	dead, err := k.store.Bury(k.ctx, all, deadAfter)
	if diff := cmp.Diff([]uuid.UUID{zombie}, dead); diff != "" || err != nil {
		t.Fatalf("Bury: %v (-want +got):\n%s", err, diff)
	}
	soon, cancel := context.WithTimeout(k.ctx, 10*time.Second)
	defer cancel()
	if n, err := k.store.TakeOver(soon); err != nil || n != 1 {
		t.Errorf("TakeOver = %d, %v; want the zombie's job", n, err)
	}
	k.must(k.store.Tidy(k.ctx))
	if got := k.text("select string_agg(attempted_by[2], ',') from river.river_job where state = 'running'"); got != fresh.String() {
		t.Errorf("running doorbells are left of %s, want of %s", got, fresh)
	}
}

// TestBeatTellsWhatTheDatabaseThinks, also to a worker that was declared dead.
func TestBeatTellsWhatTheDatabaseThinks(t *testing.T) {
	t.Parallel()
	k := newJobsKit(t)
	me, silent := k.worker(), k.worker()
	a, b := k.claimed(k.job(), me), k.claimed(k.job(), me)
	k.claim(b.rec.Job, silent, false) // rings
	k.exec("update statek.workers set beat_at = beat_at - interval '6 seconds' where id = $1", silent)
	conn, err := pgx.Connect(k.ctx, k.url)
	k.must(err)
	heart := store.NewHeart(conn)
	defer func() { _ = heart.Close(k.ctx) }()
	got, err := heart.Beat(k.ctx, me, deadAfter)
	k.must(err)
	want := store.Tick{
		Alive: true, Owned: map[jobs.ID]int64{a.rec.Job: a.rec.Epoch, b.rec.Job: b.rec.Epoch},
		Rung: []jobs.ID{b.rec.Job}, Silent: []uuid.UUID{silent},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tick (-want +got):\n%s", diff)
	}
	k.exec("update statek.job_state set wake_at = now() where job_id = $1", a.rec.Job)
	k.bury(me)
	if got, err = heart.Beat(k.ctx, me, deadAfter); err != nil || got.Alive || !got.Wakes {
		t.Errorf("tick of a dead worker = %+v, %v; want it to say so", got, err)
	}
	if n, err := k.store.WakeDue(k.ctx, 10); err != nil || n != 1 {
		t.Errorf("WakeDue = %d, %v; want 1", n, err)
	}
	if n, err := k.store.WakeDue(k.ctx, 10); err != nil || n != 0 {
		t.Errorf("WakeDue again = %d, %v; want 0", n, err)
	}
}

// TestNotifierCoalesces: many rings and changes are few notifications, and none of either is left out.
func TestNotifierCoalesces(t *testing.T) {
	t.Parallel()
	k := newJobsKit(t)
	conn, err := pgx.Connect(k.ctx, k.url)
	k.must(err)
	defer func() { _ = conn.Close(k.ctx) }()
	_, err = conn.Exec(k.ctx, `listen "river.river_insert"; listen statek_changed`)
	k.must(err)
	n := store.NewNotifier(k.pool, 0)
	ids := map[string]bool{}
	for range 100 {
		id := uuid.New()
		ids[id.String()] = true
		n.Rang()
		n.Changed(id, false)
		n.Changed(id, false)
	}
	ctx, cancel := context.WithCancel(k.ctx)
	done := make(chan struct{})
	go func() { defer close(done); _ = n.Run(ctx) }()
	defer func() { cancel(); <-done }()
	rings := 0
	for len(ids) > 0 || rings == 0 {
		got, err := conn.WaitForNotification(k.ctx)
		k.must(err)
		if got.Channel == "statek_changed" {
			for id := range strings.SplitSeq(got.Payload, ",") {
				delete(ids, id)
			}
		} else if rings++; rings > 3 {
			t.Fatalf("%d notifications of rings, want about one", rings)
		}
	}
	for range 1000 { // more than fit into one notification: it says "many"
		n.Changed(uuid.New(), false)
	}
	for {
		got, err := conn.WaitForNotification(k.ctx)
		k.must(err)
		if got.Channel == "statek_changed" && got.Payload == "" {
			return
		}
	}
}

// TestNotifierWaitsForCompany: a job that rests is told of at once, and with it what nobody waits for.
func TestNotifierWaitsForCompany(t *testing.T) {
	t.Parallel()
	k := newJobsKit(t)
	conn, err := pgx.Connect(k.ctx, k.url)
	k.must(err)
	defer func() { _ = conn.Close(k.ctx) }()
	_, err = conn.Exec(k.ctx, `listen statek_changed`)
	k.must(err)
	n := store.NewNotifier(k.pool, time.Hour)
	ctx, cancel := context.WithCancel(k.ctx)
	done := make(chan struct{})
	go func() { defer close(done); _ = n.Run(ctx) }()
	defer func() { cancel(); <-done }()
	grows, rests := uuid.New(), uuid.New()
	n.Changed(grows, false)
	n.Changed(rests, true)
	got, err := conn.WaitForNotification(k.ctx)
	k.must(err)
	ids := strings.Split(got.Payload, ",")
	slices.Sort(ids)
	want := []string{grows.String(), rests.String() + "."}
	slices.Sort(want)
	if diff := cmp.Diff(want, ids); diff != "" {
		t.Errorf("the notification (-want +got):\n%s", diff)
	}
}
