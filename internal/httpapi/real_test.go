package httpapi_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"statek/internal/app"
	"statek/internal/httpapi"
	"statek/internal/pgtest"
)

// newRealAPI serves the use cases over a database with one agent, without workers.
func newRealAPI(t *testing.T) http.Handler {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	a, err := app.Open(t.Context(), app.Config{DatabaseURL: pgtest.URL(t), Logger: logger, MaxConns: 4})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	definitions := fstest.MapFS{
		"agents/clerk.md":        {Data: []byte("# MODEL: gpt-5-mini\n# System Prompt\nYou file things.\n")},
		"agents/clerk.warmup.js": {Data: []byte("print(ticket)\n")},
	}
	if _, err := a.Apply(t.Context(), definitions, "/acme"); err != nil {
		t.Fatal(err)
	}
	return httpapi.New(a, httpapi.Options{Logger: logger})
}

func ask(handler http.Handler, method, target, key, body string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, target, strings.NewReader(body))
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	res := httptest.NewRecorder()
	handler.ServeHTTP(res, req)
	return res
}

// TestRealUseCases holds the fake of the other tests to what the use cases do.
func TestRealUseCases(t *testing.T) {
	t.Parallel()
	api := newRealAPI(t)
	const good = `{"prefix":"/acme/a","shared_vars":{"ticket":{"n":1}}}`
	first := ask(api, "POST", "/v1/agents/clerk/jobs", "order-1", good)
	if first.Code != 201 {
		t.Fatalf("got status %d: %s", first.Code, first.Body)
	}
	job := first.Header().Get("Location")
	missing := "/v1/jobs/01993e80-6c5e-7cc4-b5d5-0d3c0a3f6a13"
	for _, c := range []struct {
		name, method, target, key, body string
		status                          int
		says                            string
	}{
		{"replay", "POST", "/v1/agents/clerk/jobs", "order-1", " " + good, 200, `"agent":"clerk"`},
		{"another request under the key", "POST", "/v1/agents/clerk/jobs", "order-1", strings.Replace(good, "1", "2", 1), 409, "header.Idempotency-Key"},
		{"missing variable", "POST", "/v1/agents/clerk/jobs?prefix=/acme", "", "", 422, "body.shared_vars.ticket"},
		{"unknown agent", "POST", "/v1/agents/nobody/jobs", "", "{}", 404, "nobody"},
		{"agent out of sight", "POST", "/v1/agents/clerk/jobs?prefix=/other", "", "{}", 404, "clerk"},
		{"wrong prefix", "POST", "/v1/agents/clerk/jobs", "", `{"prefix":"acme"}`, 422, "body.prefix"},
		{"warmup that is no code", "POST", "/v1/agents/clerk/jobs", "", `{"prefix":"/acme","warmup":"let = ;","shared_vars":{"ticket":1}}`, 422, "body.warmup"},
		{"NUL in a text", "POST", "/v1/agents/clerk/jobs", "", `{"prefix":"/acme","source":"a\u0000b","shared_vars":{"ticket":1}}`, 201, `"READY"`},
		{"batch", "POST", "/v1/agents/clerk/jobs/batch?prefix=/acme", "batch-1", `{"jobs":[{"shared_vars":{"ticket":1}},{"shared_vars":{"ticket":2}}]}`, 201, `{"jobs":[`},
		{"batch again", "POST", "/v1/agents/clerk/jobs/batch?prefix=/acme", "batch-1", `{"jobs":[{"shared_vars":{"ticket":1}},{"shared_vars":{"ticket":2}}]}`, 200, `"existing":true`},
		{"batch with a fault", "POST", "/v1/agents/clerk/jobs/batch?prefix=/acme", "", `{"jobs":[{"shared_vars":{"ticket":1}},{}]}`, 422, "body.jobs[1].shared_vars.ticket"},
		{"agent event", "POST", "/v1/agents/clerk/events?prefix=/acme", "", `{"event":{"n":9}}`, 201, `"status":"READY"`},
		{"agent event without a place", "POST", "/v1/agents/clerk/events?prefix=/acme", "", `{"event":1,"shared_vars":{"ticket":1}}`, 422, "body.event"},
		{"job", "GET", job, "", "", 200, `"prefix":"/acme/a"`},
		{"history", "GET", job + "/history", "", "", 200, `"kind":"submitted"`},
		{"variables", "GET", job + "/variables", "", "", 200, `"name":"ticket"`},
		{"explain", "GET", job + "/explain", "", "", 200, `"waits":[]`},
		{"wait", "GET", job + "?wait=10ms", "", "", 200, `"status":"READY"`},
		{"list", "GET", "/v1/jobs?prefix=/acme&limit=2", "", "", 200, `"next":"`},
		{"wrong cursor", "GET", "/v1/jobs?cursor=wrong", "", "", 422, "query.cursor"},
		{"no such job", "GET", missing, "", "", 404, missing[len("/v1/jobs/"):]},
		{"history of no job", "GET", missing + "/history", "", "", 404, ""},
		{"variables of no job", "GET", missing + "/variables", "", "", 404, ""},
		{"message to no job", "POST", missing + "/messages", "", `{"payload":1}`, 404, ""},
		{"cancel no job", "POST", missing + "/cancel", "", "", 404, ""},
		{"resume a job that runs", "POST", job + "/resume", "", "", 409, ""},
		{"message", "POST", job + "/messages", "", `{"payload":"hello"}`, 202, job[len("/v1/jobs/"):]},
		{"emit", "POST", "/v1/events/paid", "", `{"key":"k","payload":{"n":1}}`, 201, `"created":true`},
		{"emit again", "POST", "/v1/events/paid", "", `{"key":"k"}`, 200, `"created":false`},
		{"put agent", "PUT", "/v1/agents/other", "", `{"prompt":"# MODEL: gpt-5\n# System Prompt\nHi."}`, 201, `"changed":true`},
		{"put agent again", "PUT", "/v1/agents/other", "", `{"prompt":"# MODEL: gpt-5\n# System Prompt\nHi."}`, 200, `"changed":false`},
		{"put a broken agent", "PUT", "/v1/agents/other", "", `{"prompt":"# TEMPERATURE: hot\n# System Prompt\nHi."}`, 422, "body.prompt"},
		{"agent", "GET", "/v1/agents/clerk?prefix=/acme/deep/down", "", "", 200, `"prefix":"/acme"`},
		{"agents", "GET", "/v1/agents?prefix=/acme", "", "", 200, `"role":"clerk"`},
		{"ready", "GET", "/readyz", "", "", 200, `"ready":true`},
	} {
		res := ask(api, c.method, c.target, c.key, c.body)
		if res.Code != c.status || !strings.Contains(res.Body.String(), c.says) {
			t.Errorf("%s: got status %d and %s; want %d and %q", c.name, res.Code, res.Body, c.status, c.says)
		}
	}
}
