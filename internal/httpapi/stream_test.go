package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"statek/internal/app"
)

const streamOfDone = `retry: 1000

id: 2
event: cell
data: {"seq":2,"kind":"cell","at":"2025-09-12T10:00:00Z","text":"cell happened","payload":{}}

id: 3
event: done
data: {"seq":3,"kind":"done","at":"2025-09-12T10:00:00Z","text":"done happened","payload":{}}

event: end
data: {"status":"DONE","outcome":"succeeded"}

`

func TestStreamGoesOnAfterTheLastEvent(t *testing.T) {
	t.Parallel()
	handler := New(newFakeApp(t), Options{Logger: quiet()})
	res := send(handler, "GET /v1/jobs/"+doneID.String()+"/history\nAccept: text/event-stream\nLast-Event-ID: 1")
	if diff := cmp.Diff(streamOfDone, res.Body.String()); diff != "" {
		t.Errorf("stream (-want +got):\n%s", diff)
	}
	if got := res.Header().Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("got content type %q", got)
	}
}

// serve runs the handler until stop, which returns what Serve returned.
func serve(t *testing.T, handler http.Handler) (base string, stop func() error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, listener, handler, ServeConfig{Logger: quiet(), Grace: 5 * time.Second}) }()
	stopped := false
	stop = func() error {
		stopped = true
		cancel()
		return <-served
	}
	t.Cleanup(func() {
		if !stopped {
			_ = stop()
		}
	})
	return "http://" + listener.Addr().String(), stop
}

func newTestClient(t *testing.T, base string) *Client {
	t.Helper()
	c, err := NewClient(base)
	if err != nil {
		t.Fatal(err)
	}
	c.http.Transport = &http.Transport{}
	t.Cleanup(c.http.CloseIdleConnections)
	return c
}

func TestFollowSeesRowsAsTheyCome(t *testing.T) {
	t.Parallel()
	fake := newFakeApp(t)
	base, _ := serve(t, New(fake, Options{Logger: quiet()}))
	var got []int64
	err := newTestClient(t, base).Follow(t.Context(), runningID, 0, func(row app.HistoryRow) error {
		got = append(got, row.Seq)
		if row.Seq < 4 {
			fake.add(runningID, app.HistoryRow{Seq: row.Seq + 1, Kind: "cell", Payload: json.RawMessage("1")}, row.Seq == 3)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int64{1, 2, 3, 4}, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

// TestFollowConnectsAgain breaks every connection after its first row.
func TestFollowConnectsAgain(t *testing.T) {
	t.Parallel()
	fake := newFakeApp(t)
	whole := New(fake, Options{Logger: quiet()})
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Header.Get("Last-Event-ID"))
		if len(asked) == 2 {
			writeProblem(w, newProblem(http.StatusServiceUnavailable, "away for a moment"))
			return
		}
		whole.ServeHTTP(&breaking{ResponseWriter: w}, r)
	}))
	t.Cleanup(server.Close)
	var got []int64
	err := newTestClient(t, server.URL).Follow(t.Context(), doneID, 0, func(row app.HistoryRow) error {
		got = append(got, row.Seq)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int64{1, 2, 3}, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"", "1", "1", "2"}, asked); diff != "" {
		t.Errorf("Last-Event-ID (-want +got):\n%s", diff)
	}
}

// breaking lets one row through and then fails.
type breaking struct {
	http.ResponseWriter
	rows int
}

func (b *breaking) Unwrap() http.ResponseWriter { return b.ResponseWriter }

func (b *breaking) Write(text []byte) (int, error) {
	if strings.HasPrefix(string(text), "id:") {
		b.rows++
	}
	if b.rows > 1 {
		return 0, io.ErrClosedPipe
	}
	return b.ResponseWriter.Write(text)
}

// TestFollowLeavesASilentConnection: a server that was cut off without a word must not be waited for.
func TestFollowLeavesASilentConnection(t *testing.T) {
	t.Parallel()
	whole := New(newFakeApp(t), Options{Logger: quiet()})
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked++; asked > 1 {
			whole.ServeHTTP(w, r)
			return
		}
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	client := newTestClient(t, server.URL)
	client.silence = 20 * time.Millisecond
	rows := 0
	err := client.Follow(t.Context(), doneID, 0, func(app.HistoryRow) error { rows++; return nil })
	if err != nil || rows != 3 || asked != 2 {
		t.Errorf("got %d rows over %d connections and %v, want 3 over 2", rows, asked, err)
	}
}

func TestFollowStopsAtARefusal(t *testing.T) {
	t.Parallel()
	base, _ := serve(t, New(newFakeApp(t), Options{Logger: quiet()}))
	err := newTestClient(t, base).Follow(t.Context(), missingID, 0, func(app.HistoryRow) error { return nil })
	refusal := (*ProblemError)(nil)
	if !errors.As(err, &refusal) || refusal.Problem.Status != http.StatusNotFound {
		t.Errorf("got %v, want a problem with status 404", err)
	}
}

func TestIdleStreamGetsComments(t *testing.T) {
	t.Parallel()
	base, _ := serve(t, New(newFakeApp(t), Options{Logger: quiet(), Heartbeat: 5 * time.Millisecond}))
	res, err := newTestClient(t, base).send(t.Context(), request{path: jobPath(runningID, "/history"), header: http.Header{"Accept": {"text/event-stream"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var text strings.Builder
	for buf := make([]byte, 256); !strings.Contains(text.String(), ": still here\n\n"); {
		n, err := res.Body.Read(buf)
		if err != nil {
			t.Fatalf("stream ended with %v after %q", err, text.String())
		}
		text.Write(buf[:n])
	}
}

// TestStoppingServerLetsNobodyWait ends a long poll with the job as it is, and a stream for another replica
// to continue.
func TestStoppingServerLetsNobodyWait(t *testing.T) {
	t.Parallel()
	fake := newFakeApp(t)
	base, stop := serve(t, New(fake, Options{Logger: quiet()}))
	client := newTestClient(t, base)

	res, err := client.send(t.Context(), request{path: jobPath(runningID, "/history"), header: http.Header{"Accept": {"text/event-stream"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	type answer struct {
		job app.Job
		err error
	}
	polled := make(chan answer, 1)
	go func() {
		job, err := client.Job(t.Context(), runningID, time.Minute)
		polled <- answer{job, err}
	}()
	waitFor(t, fake, "WaitJob 1m0s")
	if err := stop(); err != nil {
		t.Errorf("Serve: %v", err)
	}
	got := <-polled
	if got.err != nil || got.job.Status != "SUSPENDED" {
		t.Errorf("got job %q and error %v from the long poll, want SUSPENDED", got.job.Status, got.err)
	}
	text, err := io.ReadAll(res.Body)
	if err != nil || strings.Contains(string(text), "event: end") {
		t.Errorf("got %v and %q, want a clean end without the event end", err, text)
	}
}

// waitFor blocks until the fake was called.
func waitFor(t *testing.T, fake *fakeApp, call string) {
	t.Helper()
	for t.Context().Err() == nil {
		fake.mu.Lock()
		seen := strings.Contains(strings.Join(fake.calls, "\n"), call)
		fake.mu.Unlock()
		if seen {
			return
		}
		select {
		case <-time.After(time.Millisecond):
		case <-t.Context().Done():
		}
	}
	t.Fatalf("%s was never called", call)
}

func TestClientRoundTrips(t *testing.T) {
	t.Parallel()
	base, _ := serve(t, New(newFakeApp(t), Options{Logger: quiet()}))
	c := newTestClient(t, base)
	ctx := t.Context()
	job, err := c.Submit(ctx, "triage_agent", "k", Submission{SharedVars: map[string]json.RawMessage{"event": json.RawMessage(`1`)}, Limits: &app.Limits{Turns: 3}})
	if err != nil || job.ID != runningID {
		t.Fatalf("Submit: got %v, %v", job.ID, err)
	}
	for name, do := range map[string]func() error{
		"Job":       func() error { _, err := c.Job(ctx, doneID, time.Second); return err },
		"Jobs":      func() error { _, err := c.Jobs(ctx, app.ListFilter{Status: "DONE", Limit: 3}); return err },
		"History":   func() error { _, err := c.History(ctx, doneID, 1); return err },
		"Variables": func() error { _, err := c.Variables(ctx, doneID, nil); return err },
		"Explain":   func() error { _, err := c.Explain(ctx, doneID); return err },
		"Send":      func() error { _, err := c.Send(ctx, runningID, Message{Payload: json.RawMessage(`"hi"`)}); return err },
		"Control":   func() error { _, err := c.Control(ctx, runningID, "pause", ""); return err },
		"Emit":      func() error { _, err := c.Emit(ctx, "paid", Fact{}); return err },
		"Agents":    func() error { _, err := c.Agents(ctx, "/acme"); return err },
	} {
		if err := do(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = c.Job(ctx, uuid.Nil, 0)
	if want := "there is no such job (404)"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if _, err := NewClient("127.0.0.1:8080"); err == nil {
		t.Error("NewClient took an address without a scheme")
	}
}
