package app_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"statek/internal/app"
	"statek/internal/providers"
)

func TestRunOfALostJobEndsItsCalls(t *testing.T) {
	t.Parallel()
	arrived, gone := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // a server notices a client that left only then
		close(arrived)
		<-r.Context().Done()
		close(gone)
	}))
	t.Cleanup(server.Close)
	k := newKit(t, files{
		"agents/caller.md":        simpleAgent,
		"agents/caller.warmup.js": "exit(await slow())",
		"tools/slow.http.yaml":    "description: Slow.\nmethod: POST\nurl: " + server.URL + "\n",
	})
	k.work()
	job := k.submit("caller", nil)
	wait(t, arrived, "the call")
	other := uuid.New()
	_, err := k.pool.Exec(t.Context(), "insert into statek.workers (id, host, pid, version, beat_at) values ($1, 'elsewhere', 1, '', now() + interval '1 hour')", other)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.pool.Exec(t.Context(), "update statek.job_state set epoch = epoch + 1, owner = $1 where job_id = $2", other, job.ID); err != nil {
		t.Fatal(err)
	}
	wait(t, gone, "the call of the lost job to be cancelled")
}

func wait(t *testing.T, ch <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(20 * time.Second):
		t.Fatalf("waited 20 s for %s", what)
	}
}

// odd fails in a way that is not a provider's.
type odd struct{}

func (odd) Name() string { return "ODD" }
func (odd) Complete(context.Context, providers.Request) (providers.Reply, error) {
	return providers.Reply{}, errors.New("the dice are lost")
}

func TestOddProviderErrorIsAFailedRequest(t *testing.T) {
	t.Parallel()
	k := newKit(t, files{"agents/o.md": "# MODEL: odd//m\n# System Prompt\nHelp.\n"})
	reg, err := providers.NewRegistry(map[string]providers.Provider{"ODD": odd{}}, "ODD")
	if err != nil {
		t.Fatal(err)
	}
	k.work(func(c *app.WorkerConfig) { c.Providers = reg })
	job := k.ended(k.submit("o", nil).ID)
	if job.Status != "PAUSED" || !strings.Contains(job.BlockedWhy, "the dice are lost") || strings.Contains(job.BlockedWhy, "internal error") {
		k.dump(job.ID)
		t.Errorf("job is %s: %s", job.Status, job.BlockedWhy)
	}
}
