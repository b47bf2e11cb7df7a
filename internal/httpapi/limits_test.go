package httpapi

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"statek/internal/app"
)

func TestLimits(t *testing.T) {
	t.Parallel()
	fake := newFakeApp(t)
	handler := New(fake, Options{Logger: quiet()})
	for _, x := range []struct {
		method, target, body string
		status               int
		want                 string
	}{
		{"GET", "/v1/limits?prefix=/acme", "", 200, `{"prefix":"/acme","concurrency":5,"running":5,"parked":2}`},
		{"PUT", "/v1/limits", `{"prefix":"/acme","concurrency":20}`, 200, `"limits":[`},
		{"PUT", "/v1/limits", `{"prefix":"/acme","concurrency":null}`, 200, `"limits":[`},
		{"PUT", "/v1/limits", `{"prefix":"/acme","concurrency":0}`, 422, `"location":"body.concurrency"`},
		{"PUT", "/v1/limits", `{"concurrency":1}`, 422, `"location":"body.prefix"`},
	} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), x.method, x.target, strings.NewReader(x.body)))
		if w.Code != x.status || !strings.Contains(w.Body.String(), x.want) {
			t.Errorf("%s %s %s: %d %s, want %d … %s", x.method, x.target, x.body, w.Code, w.Body, x.status, x.want)
		}
	}
	for _, call := range []string{"limit /acme 20", "limit /acme off"} {
		if !strings.Contains(strings.Join(fake.calls, "\n"), call) {
			t.Errorf("calls %q, want %s among them", fake.calls, call)
		}
	}
}

// crowd holds requests until they are let go.
type crowd struct {
	*fakeApp
	in  chan struct{}
	out chan struct{}
}

// GetJob implements App.
func (c crowd) GetJob(ctx context.Context, id uuid.UUID) (app.Job, error) {
	c.in <- struct{}{}
	<-c.out
	return c.fakeApp.GetJob(ctx, id)
}

// WaitJob implements App.
func (c crowd) WaitJob(ctx context.Context, id uuid.UUID, _ time.Duration) (app.Job, error) {
	return c.fakeApp.GetJob(ctx, id)
}

// TestRequestsAreBounded: what is too much is refused with a time to come again, those that wait are counted by
// themselves, and health is told whatever happens.
func TestRequestsAreBounded(t *testing.T) {
	t.Parallel()
	c := crowd{newFakeApp(t), make(chan struct{}), make(chan struct{})}
	handler := New(c, Options{Logger: quiet(), MaxRequests: 2})
	get := func(target string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", target, nil))
		return w
	}
	job := "/v1/jobs/" + doneID.String()
	held := make(chan int, 2)
	for range 2 {
		go func() { held <- get(job).Code }()
		<-c.in
	}
	w := get(job)
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "1" ||
		w.Header().Get("Content-Type") != problemType || !strings.Contains(w.Body.String(), "answers 2 requests at once") {
		t.Errorf("the third request: %d %v %s", w.Code, w.Header(), w.Body)
	}
	if w := get(job + "?wait=1s"); w.Code != http.StatusOK {
		t.Errorf("a request that waits: %d %s", w.Code, w.Body)
	}
	if w := get("/healthz"); w.Code != http.StatusOK {
		t.Errorf("health: %d %s", w.Code, w.Body)
	}
	close(c.out)
	for range 2 {
		if code := <-held; code != http.StatusOK {
			t.Errorf("a held request: %d", code)
		}
	}
	go func() { <-c.in }()
	if w := get(job); w.Code != http.StatusOK {
		t.Errorf("afterwards: %d %s", w.Code, w.Body)
	}
}

// TestBusyPrefixes are told when to come again.
func TestBusyPrefixes(t *testing.T) {
	t.Parallel()
	fake := newFakeApp(t)
	fake.broken = &app.Error{Kind: app.KindBusy, Message: "too much", RetryAfter: 4500 * time.Millisecond}
	w := httptest.NewRecorder()
	New(fake, Options{Logger: quiet()}).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "POST", "/v1/agents/triage_agent/jobs", strings.NewReader("{}")))
	if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "5" || !strings.Contains(w.Body.String(), "too much") {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}
