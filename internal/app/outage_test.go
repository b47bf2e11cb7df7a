package app_test

import (
	"encoding/json"
	"testing"
	"time"

	"statek/internal/app"
)

// TestOutageOfTheDatabase: jobs that slept, thought or called when the database went away continue by themselves
// when it is back, and what is asked meanwhile is refused as unavailable.
func TestOutageOfTheDatabase(t *testing.T) {
	t.Parallel()
	service := newOutside(t)
	let := service.hold()
	defer let()
	k := newKitThrough(t, nil, files{
		"agents/payer.md": simpleAgent, "agents/payer.warmup.js": "const r = await charge(5)\nexit(r.receipt)",
		"tools/charge.http.yaml": service.tool(""),
		"agents/sleeper.md":      simpleAgent, "agents/sleeper.warmup.js": "await sleep('5s'); exit(await event('go'))",
		"agents/thinker.md": simpleAgent, "replies/thinker.md": "<!-- delay: 3s -->\n```js\nexit('thought')\n```",
	})
	k.work()
	payer, sleeper, thinker := k.submit("payer", nil), k.submit("sleeper", nil), k.submit("thinker", nil)
	key := service.next(t)
	k.until(sleeper.ID, "SUSPENDED")
	k.thinking(thinker.ID, 1)
	k.wire.Cut()
	let() // the tool answers while nothing can be recorded
	began := time.Now()
	for time.Since(began) < 7*time.Second {
		if _, err := k.GetJob(t.Context(), payer.ID); err == nil || fields(err) != "unavailable: the database is not available; try again shortly" {
			t.Fatalf("during the outage: %v, want it refused as unavailable", err)
		}
		k.exec("select pg_sleep(0.1)") // directly
	}
	k.wire.Restore()
	restored := time.Now()
	if _, _, err := k.Emit(t.Context(), "/", "go", "", json.RawMessage("1")); err != nil {
		t.Fatal(err)
	}
	for job, want := range map[*app.Job]string{&payer: `"r1"`, &sleeper: "1", &thinker: `"thought"`} {
		if got := k.ended(job.ID); string(got.Result) != want {
			k.dump(job.ID)
			t.Errorf("%s: %s with %s (%s), want %s", job.Agent, got.Status, got.Result, got.BlockedWhy, want)
		}
	}
	t.Logf("all continued within %s", time.Since(restored).Round(10*time.Millisecond))
	if again := service.next(t); again != key {
		t.Errorf("keys %q, then %q; want the same", key, again)
	}
}

// TestLockedJobIsNotBlamed: somebody holds the job's row for longer than the lock timeout.
func TestLockedJobIsNotBlamed(t *testing.T) {
	t.Parallel()
	k := newKit(t, files{"agents/a.md": simpleAgent, "replies/a.md": "<!-- delay: 300ms -->\n```js\nexit('patient')\n```"})
	k.work()
	job := k.submit("a", nil)
	k.thinking(job.ID, 1)
	lock, err := k.pool.Begin(t.Context())
	k.must(err)
	defer func() { _ = lock.Rollback(t.Context()) }()
	_, err = lock.Exec(t.Context(), "select from statek.job_state where job_id = $1 for update", job.ID)
	k.must(err)
	// The commit of the reply waits, and gives up after 5 s.
	k.is("select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%commit_job%')")
	k.is("select not exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%commit_job%')")
	k.must(lock.Rollback(t.Context()))
	if got := k.ended(job.ID); string(got.Result) != `"patient"` {
		k.dump(job.ID)
		t.Errorf("%s: %s", got.Status, got.BlockedWhy)
	}
}
