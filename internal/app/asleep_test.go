package app_test

import (
	"bytes"
	"log/slog"
	"testing"

	"statek/internal/app"
)

// TestASleepingJobIsLetGoOnce: a job that falls asleep is released by the commit that says so. Nothing is written for it
// afterwards, which would be refused, and told as the loss of the job.
func TestASleepingJobIsLetGoOnce(t *testing.T) {
	t.Parallel()
	k := newKit(t, files{"agents/e.md": simpleAgent, "agents/e.warmup.js": "const a = await event('a'); const b = await event('b'); exit(a + b)"})
	var log bytes.Buffer
	stop := k.work(func(c *app.WorkerConfig) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	job := k.submit("e", nil)
	for _, name := range []string{"a", "b"} {
		k.is("select exists (select from statek.job_state s join statek.waits w using (job_id) where job_id = $1 and s.owner is null and w.call = $2)",
			job.ID, map[string]int{"a": 1, "b": 2}[name])
		k.exec("select statek.emit('/acme', $1, '1')", name)
	}
	if got := k.ended(job.ID); string(got.Result) != "2" {
		t.Errorf("got %s, want 2", got.Result)
	}
	stop() // the log is whole, and nobody writes to it
	if bytes.Contains(log.Bytes(), []byte("job dropped")) {
		t.Errorf("the worker thinks that it has lost a job:\n%s", log.String())
	}
}
