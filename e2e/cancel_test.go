package e2e

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
	"time"

	"statek/internal/providers/providertest"
)

// TestCancelReachesRunningModelRequest: the model service sees the connection closed.
func TestCancelReachesRunningModelRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ledger(files{"agents/clerk.md": modelAgent}))
	gone := make(chan time.Time, 1)
	w.env = append(w.env, "LOCAL_API_URL="+watched(t, w.model, gone))
	w.model.Queue(providertest.Answer{Hang: true})
	w.worker()
	job := w.submit("clerk", nil)
	arrives(t, "the model request", w.model.Arrived())

	cancelled := time.Now()
	if _, err := w.rest.Control(t.Context(), job, "cancel", "enough"); err != nil {
		t.Fatal(err)
	}
	took := arrives(t, "the end of the model request", gone).Sub(cancelled)
	t.Logf("the request ended %s after the cancel", took.Round(time.Millisecond))
	if took > 3*time.Second { // the promise is 1.5 s; a busy machine may be late
		t.Errorf("the request ended %s after the cancel", took)
	}
	done, err := w.rest.Job(t.Context(), job, patience)
	if err != nil {
		t.Fatal(err)
	}
	if done.Outcome != "cancelled" || done.Error != "enough" {
		w.dump(job)
		t.Errorf("got outcome %q and error %q, want cancelled and enough", done.Outcome, done.Error)
	}
	if n := count(w.history(job), "model_replied"); n != 0 {
		t.Errorf("history has %d replies, want none", n)
	}
}

// watched stands before the model service and tells when a client has hung up; it returns the base URL.
func watched(t *testing.T, model *providertest.Server, gone chan<- time.Time) string {
	t.Helper()
	behind, err := url.Parse(model.URL())
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: behind.Scheme, Host: behind.Host})
	proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) {}
	proxy.ErrorLog = log.New(io.Discard, "", 0)
	transport := &http.Transport{DisableKeepAlives: true}
	proxy.Transport = transport
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proxy.ServeHTTP(w, r)
		if r.Context().Err() != nil {
			gone <- time.Now()
		}
	}))
	t.Cleanup(func() {
		model.Close()
		server.Close()
	})
	return server.URL + behind.Path
}
