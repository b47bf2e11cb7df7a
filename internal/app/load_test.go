package app_test

import (
	"errors"
	"runtime"
	"strings"
	"testing"

	"statek/internal/app"
)

// TestBusyPrefixRefusesMore, until its jobs have been run; other prefixes are not concerned, and sleepers do not count.
func TestBusyPrefixRefusesMore(t *testing.T) {
	t.Parallel()
	k := newKit(t, files{"agents/a.md": simpleAgent, "agents/a.warmup.js": "exit(1)", "agents/s.md": simpleAgent, "agents/s.warmup.js": "await event('never')"})
	limited, err := app.Open(t.Context(), app.Config{DatabaseURL: k.url, MaxConns: 2, MaxQueued: 3})
	k.must(err)
	t.Cleanup(limited.Close)
	submit := func(prefix string, n int) error {
		reqs := make([]app.SubmitRequest, n)
		for i := range reqs {
			reqs[i] = app.SubmitRequest{Prefix: prefix}
		}
		_, err := limited.SubmitBatch(t.Context(), "a", reqs)
		return err
	}
	k.must(submit("/p", 2))
	var busy *app.Error
	if err := submit("/p", 2); !errors.As(err, &busy) || busy.Kind != app.KindBusy || busy.RetryAfter <= 0 ||
		!strings.Contains(busy.Message, "prefix /p has 2 jobs that wait to be run, and 2 more would be over the limit of 3") {
		t.Errorf("got %v", err)
	}
	k.must(submit("/q", 3))
	k.work()
	for range 5 {
		k.until(k.submit("s", nil).ID, "SUSPENDED")
	}
	k.is("select count(*) = 5 from statek.job_state where status = 'DONE'")
	k.exec("select pg_sleep(1)") // longer than a count is believed
	k.must(submit("/p", 3))
}

// TestManyQueuedJobsAreNotInMemory: a worker takes as many doorbells as it may drive, however many wait.
func TestManyQueuedJobsAreNotInMemory(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("submits 100,000 jobs")
	}
	k := newKit(t, files{"agents/a.md": simpleAgent, "agents/a.warmup.js": "await event('never')"})
	const most, queued = 20, 100_000
	for range queued / app.MaxBatch {
		_, err := k.SubmitBatch(t.Context(), "a", make([]app.SubmitRequest, app.MaxBatch))
		k.must(err)
	}
	before, heap := usage()
	k.work(func(c *app.WorkerConfig) { c.MaxJobs = most })
	highest := 0
	for slept := 0; slept < 300; slept = k.one("select count(*) from statek.job_state where status = 'SUSPENDED'") {
		owned := k.one("select count(*) from statek.job_state where owner is not null")
		if owned > most {
			t.Fatalf("%d jobs are driven at once, want at most %d", owned, most)
		}
		now, _ := usage()
		highest = max(highest, now-before)
	}
	if _, after := usage(); after > heap+(64<<20) {
		t.Errorf("the heap grew from %d to %d MiB", heap>>20, after>>20)
	}
	// Each job that is driven has a handful of goroutines; the worker itself has some dozens.
	if highest > 200+20*most {
		t.Errorf("%d goroutines more with %d jobs in the queue", highest, queued)
	}
}

// usage is what this process has: goroutines, and bytes that are in use.
func usage() (goroutines int, heap uint64) {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return runtime.NumGoroutine(), m.HeapAlloc
}
