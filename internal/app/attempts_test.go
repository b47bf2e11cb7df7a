package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"statek/internal/app"
	"statek/internal/providers"
	"statek/internal/store"
)

// moody is a service that answers as it is told, one handler for each request; then it is well.
type moody struct {
	*httptest.Server

	mu    sync.Mutex // guards what follows
	moods []http.HandlerFunc
	keys  []string
	times []time.Time
}

func newMoody(t *testing.T, moods ...http.HandlerFunc) *moody {
	t.Helper()
	m := &moody{moods: moods}
	m.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // a server notices that its client has gone when it has read everything
		if mood := m.note(r); mood != nil {
			mood(w, r)
			return
		}
		_, _ = w.Write([]byte(`"well"`))
	}))
	t.Cleanup(m.Close)
	return m
}

func (m *moody) note(r *http.Request) (mood http.HandlerFunc) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keys, m.times = append(m.keys, r.Header.Get("Idempotency-Key")), append(m.times, time.Now())
	if len(m.moods) > 0 {
		mood, m.moods = m.moods[0], m.moods[1:]
	}
	return mood
}

// calls counts the requests, which must all have had one key.
func (m *moody) calls(t *testing.T) int {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, key := range m.keys {
		if key != m.keys[0] || key == "" {
			t.Errorf("keys %v, want one", m.keys)
		}
	}
	return len(m.keys)
}

// tool is a definition that calls the service.
func (m *moody) tool(more string) string { return "method: POST\nurl: " + m.URL + "/\n" + more }

func status(code int, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		http.Error(w, "no", code)
	}
}

// hangUp ends the connection without an answer.
func hangUp(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

const askWarmup = `let got; try { got = await ask() } catch (e) { got = e.name + ' ' + e.code + ': ' + e.message } exit(got)`

// asks is a job that calls the service once, with a worker.
func asks(t *testing.T, m *moody, more string) (*kit, app.Job) {
	t.Helper()
	k := newKit(t, files{"agents/a.md": simpleAgent, "agents/a.warmup.js": askWarmup, "tools/ask.http.yaml": m.tool(more)})
	k.work()
	return k, k.submit("a", nil)
}

const quickly = "retry: {attempts: 3, backoff: 10ms}\n"

// TestCallsAreMadeAgain when what went wrong may pass, under the same key, and history shows each attempt.
func TestCallsAreMadeAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		moods []http.HandlerFunc
		more  string
		calls int
		want  string
	}{
		"too busy, then broken":     {[]http.HandlerFunc{status(429), status(500)}, quickly, 3, `"well"`},
		"too late, then too early":  {[]http.HandlerFunc{status(408), status(425)}, quickly, 3, `"well"`},
		"no answer":                 {[]http.HandlerFunc{hangUp, hangUp}, quickly, 3, `"well"`},
		"refused":                   {[]http.HandlerFunc{status(400)}, quickly, 1, `"HTTPError 400: `},
		"in conflict":               {[]http.HandlerFunc{status(409)}, quickly, 1, `"HTTPError 409: `},
		"redirected without a goal": {[]http.HandlerFunc{status(304)}, quickly, 1, `"HTTPError 304: `},
		"exhausted":                 {[]http.HandlerFunc{status(503), status(503), status(503)}, quickly, 3, `"HTTPError 503: ask answered 503: no\n"`},
		"switched off":              {[]http.HandlerFunc{status(503)}, "retry: {attempts: 1}\n", 1, `"HTTPError 503: `},
		"once, refused":             {[]http.HandlerFunc{status(503)}, quickly + "once: true\n", 1, `"HTTPError 503: `},
		"once, no answer":           {[]http.HandlerFunc{hangUp}, quickly + "once: true\n", 1, `"UnknownOutcomeError unknown_outcome: ask did not answer (`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMoody(t, c.moods...)
			k, job := asks(t, m, c.more)
			job = k.ended(job.ID)
			if job.Outcome != "succeeded" || !strings.HasPrefix(string(job.Result), c.want) {
				k.dump(job.ID)
				t.Errorf("%s with %s, want %s", job.Outcome, job.Result, c.want)
			}
			if got := m.calls(t); got != c.calls {
				t.Errorf("%d calls, want %d", got, c.calls)
			}
			want := []string{"submitted", "cell_started", "call_issued"}
			for range c.calls - 1 {
				want = append(want, "call_failed", "call_retried")
			}
			k.wantKinds(job.ID, append(want, "call_settled", "cell_ended", "finished")...)
		})
	}
}

// TestTimeouts: a call that was not answered in time is made again; of one that may be sent once the outcome is unknown.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		more  string
		calls int
		want  string
	}{
		"repeatable": {"", 2, `"well"`},
		"once":       {"once: true\n", 1, `"UnknownOutcomeError unknown_outcome: ask did not answer (ask did not answer within 200ms)`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMoody(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
			k, job := asks(t, m, quickly+"timeout: 200ms\n"+c.more)
			job = k.ended(job.ID)
			if got := m.calls(t); !strings.HasPrefix(string(job.Result), c.want) || got != c.calls {
				k.dump(job.ID)
				t.Errorf("%s after %d calls, want %s after %d", job.Result, got, c.want, c.calls)
			}
		})
	}
}

// TestWhatWasNotSentIsMadeAgain, also when it may be sent once: nobody has seen it.
func TestWhatWasNotSentIsMadeAgain(t *testing.T) {
	t.Parallel()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := closed.Addr().String()
	_ = closed.Close()
	k := newKit(t, files{
		"agents/a.md": simpleAgent, "agents/a.warmup.js": askWarmup,
		"tools/ask.http.yaml": "method: POST\nurl: http://" + address + "/\nonce: true\nretry: {attempts: 3, backoff: 10ms}\non_exhausted: pause\n",
	})
	k.work()
	job := k.ended(k.submit("a", nil).ID)
	if job.Status != "PAUSED" || !strings.Contains(job.BlockedWhy, "ask failed at its last attempt (3): NetworkError: ask: ") {
		k.dump(job.ID)
		t.Fatalf("%s: %s", job.Status, job.BlockedWhy)
	}
	k.wantKinds(job.ID, "submitted", "cell_started", "call_issued", "call_failed", "call_retried", "call_failed", "call_retried", "call_failed", "paused")
}

// TestLongPausesAreSlept: what the other side asks for is obeyed, and meanwhile the job is rows that any worker finds.
func TestLongPausesAreSlept(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]func() string{
		"seconds": func() string { return "3" },
		"a date":  func() string { return time.Now().Add(4 * time.Second).UTC().Format(http.TimeFormat) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMoody(t, func(w http.ResponseWriter, r *http.Request) { status(503, "Retry-After", after())(w, r) })
			k := newKit(t, files{"agents/a.md": simpleAgent, "agents/a.warmup.js": "print('once')\n" + askWarmup, "tools/ask.http.yaml": m.tool(quickly)})
			stop := k.work()
			job := k.until(k.submit("a", nil).ID, "SUSPENDED")
			k.await("the job let go", "select owner is null and wake_at is not null from statek.job_state where job_id = $1", job.ID)
			if job.BlockedOn != "retry" || !strings.HasPrefix(job.BlockedWhy, "waits for attempt 2 of ask() at 2") {
				t.Errorf("blocked on %s: %s", job.BlockedOn, job.BlockedWhy)
			}
			stop()
			k.work() // another worker
			job = k.ended(job.ID)
			if got := m.calls(t); string(job.Result) != `"well"` || got != 2 {
				k.dump(job.ID)
				t.Errorf("%s after %d calls", job.Result, got)
			}
			if pause := m.times[1].Sub(m.times[0]); pause < 2900*time.Millisecond {
				t.Errorf("called again after %s, before it was asked to", pause)
			}
			k.wantKinds(job.ID, "submitted", "cell_started", "console", "call_issued", "call_failed", "suspended", "call_retried", "call_settled", "cell_ended", "finished")
			if text := k.text(job.ID); !strings.Contains(text, "ask failed (attempt 1): HTTPError: ask answered 503: no; the next attempt is due at 2") ||
				!strings.Contains(text, "called ask again, attempt 2") {
				t.Errorf("the timeline says:\n%s", text)
			}
		})
	}
}

// TestExhaustedToolPausesItsJob: resume grants fresh attempts of the same call.
func TestExhaustedToolPausesItsJob(t *testing.T) {
	t.Parallel()
	m := newMoody(t, status(503), status(503), status(503), status(503))
	k, job := asks(t, m, "retry: {attempts: 3, backoff: 10ms}\non_exhausted: pause\n")
	job = k.ended(job.ID)
	if want := "paused: ask failed at its last attempt (3): HTTPError: ask answered 503: no\n"; job.Status != "PAUSED" || job.BlockedWhy != want {
		k.dump(job.ID)
		t.Fatalf("%s: %q, want %q", job.Status, job.BlockedWhy, want)
	}
	k.must(k.Resume(t.Context(), job.ID, "ada"))
	k.await("the end", "select status = 'DONE' from statek.job_state where job_id = $1", job.ID)
	if job = k.ended(job.ID); string(job.Result) != `"well"` || m.calls(t) != 5 {
		k.dump(job.ID)
		t.Errorf("%s after %d calls", job.Result, m.calls(t))
	}
}

// TestPauseLetsOtherCallsEnd: what runs beside a call without attempts left is not cut off, and its result is not lost.
func TestPauseLetsOtherCallsEnd(t *testing.T) {
	t.Parallel()
	service, m := newOutside(t), newMoody(t, status(503))
	let := service.hold()
	k := newKit(t, files{
		"agents/a.md":            simpleAgent,
		"agents/a.warmup.js":     "const both = await Promise.all([charge(1), ask()]); exit(both)",
		"tools/ask.http.yaml":    m.tool("retry: {attempts: 1}\non_exhausted: pause\n"),
		"tools/charge.http.yaml": service.tool("once: true\n"),
	})
	k.work()
	id := k.submit("a", nil).ID
	service.next(t)
	k.await("a call of the moody service", "select true")
	for m.calls(t) == 0 {
		k.await("a call of the moody service", "select pg_sleep(0.01) is not null")
	}
	let()
	job := k.ended(id)
	if job.Status != "PAUSED" {
		k.dump(id)
		t.Fatalf("%s: %s", job.Status, job.Result)
	}
	k.must(k.Resume(t.Context(), id, ""))
	k.await("the end", "select status = 'DONE' from statek.job_state where job_id = $1", id)
	if job = k.ended(id); string(job.Result) != `[{"receipt":"r1"},"well"]` {
		k.dump(id)
		t.Errorf("result %s", job.Result)
	}
}

// TestCellsEndAfterTheirCalls: a call that nobody awaits is made again before its cell ends, even much later; waits beside
// a call that sleeps wake the cell, and it sleeps on.
func TestCellsEndAfterTheirCalls(t *testing.T) {
	t.Parallel()
	for name, code := range map[string]string{
		"nobody awaits it":       "ask(); 1",
		"exit before it":         "ask(); await sleep('1s'); exit('early')",
		"a wait beside it wakes": "const slow = ask(); print(await event('go')); print('then', await slow)",
		"a timer beside it":      "await Promise.all([ask(), sleep('1s')])",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMoody(t, status(503, "Retry-After", "3"))
			k := newKit(t, files{
				"agents/a.md": simpleAgent, "agents/a.warmup.js": code, "replies/a.md": "```js\nexit('early')\n```",
				"tools/ask.http.yaml": m.tool(quickly),
			})
			k.work()
			id := k.submit("a", nil).ID
			k.until(id, "SUSPENDED")
			k.emit("go", "7")
			job := k.ended(id)
			if string(job.Result) != `"early"` || m.calls(t) != 2 {
				k.dump(id)
				t.Errorf("%s with %s after %d calls", job.Status, job.Result, m.calls(t))
			}
			k.is(`select array_agg(kind order by seq) filter (where kind in ('call_failed', 'call_retried', 'call_settled', 'cell_ended') and call in (0, 1))
				@> '{call_failed,call_retried,call_settled,cell_ended}' from statek.history_entries where job_id = $1`, id)
			k.is(`select min(seq) filter (where kind = 'call_settled' and call = 1) < min(seq) filter (where kind = 'cell_ended') from statek.history_entries where job_id = $1`, id)
		})
	}
}

// TestSleepingCallIsCancelledAndPaused: mail reaches a job that waits for a call's next attempt.
func TestSleepingCallIsCancelledAndPaused(t *testing.T) {
	t.Parallel()
	m := newMoody(t, status(503, "Retry-After", "3600"), status(503, "Retry-After", "3600"))
	k, job := asks(t, m, quickly)
	k.until(job.ID, "SUSPENDED")
	k.must(k.Pause(t.Context(), job.ID, "a break"))
	k.until(job.ID, "PAUSED")
	k.must(k.Resume(t.Context(), job.ID, "")) // at once: the hour is over when a person says so
	k.await("the second call", "select count(*) = 2 from statek.history where job_id = $1 and kind = 'call_failed'", job.ID)
	k.until(job.ID, "SUSPENDED")
	k.must(k.Cancel(t.Context(), job.ID, "enough"))
	if job = k.ended(job.ID); job.Outcome != "cancelled" || m.calls(t) != 2 {
		t.Errorf("%s after %d calls", job.Outcome, m.calls(t))
	}
}

// TestLostRingOfASleepingCall: the ring that its timer caused was lost with a worker; the timer goes off again.
func TestLostRingOfASleepingCall(t *testing.T) {
	t.Parallel()
	m := newMoody(t, status(503, "Retry-After", "2.5"))
	k := newKit(t, files{"agents/a.md": simpleAgent, "agents/a.warmup.js": askWarmup, "tools/ask.http.yaml": m.tool(quickly)})
	stop := k.work()
	job := k.until(k.submit("a", nil).ID, "SUSPENDED")
	stop()
	k.exec("update statek.job_state set wake_at = clock_timestamp() - interval '1 second' where job_id = $1", job.ID)
	woken, err := store.New(k.pool, store.NewNotifier(k.pool, 0), time.Now).WakeDue(t.Context(), 10)
	k.must(err)
	if woken != 1 {
		t.Fatalf("%d jobs woken", woken)
	}
	k.exec("delete from river.river_job")
	k.is("select wake_at between clock_timestamp() and clock_timestamp() + interval '11 seconds' from statek.job_state where job_id = $1", job.ID)
	k.exec("update statek.job_state set wake_at = clock_timestamp() where job_id = $1", job.ID) // ten seconds later
	k.work()
	if job = k.ended(job.ID); string(job.Result) != `"well"` {
		t.Errorf("result %s", job.Result)
	}
}

// TestGoToolsSayWhatMayPass: only errors that say so are repeated.
func TestGoToolsSayWhatMayPass(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		once  bool
		err   error
		calls int
		want  string
	}{
		"says nothing":           {false, errors.New("plain"), 1, `"ToolError undefined: plain"`},
		"may pass":               {false, &app.ToolFailure{Retryable: true, Err: errors.New("busy")}, 2, `"well"`},
		"may pass, wrapped":      {false, fmt.Errorf("called: %w", &app.ToolFailure{Retryable: true, Err: errors.New("busy")}), 2, `"well"`},
		"will not pass":          {false, &app.ToolFailure{Name: "CardError", Code: "declined", Err: errors.New("no money")}, 1, `"CardError declined: no money"`},
		"once, may pass":         {true, &app.ToolFailure{Retryable: true, Err: errors.New("busy")}, 1, `"ToolError undefined: busy"`},
		"once, nothing was sent": {true, &app.ToolFailure{Retryable: true, NotSent: true, Err: errors.New("busy")}, 2, `"well"`},
		"broken data":            {false, &app.ToolFailure{Data: json.RawMessage("{"), Err: errors.New("odd")}, 1, `"ToolError undefined: odd"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			calls := 0
			ask := tool(func() (json.RawMessage, error) {
				if calls++; calls == 1 {
					return nil, c.err
				}
				return json.RawMessage(`"well"`), nil
			})
			k := newKit(t, files{"agents/a.md": simpleAgent, "agents/a.warmup.js": askWarmup})
			k.must(k.DefineTools(t.Context(), "/", []app.ToolDefinition{{Name: "ask", Once: c.once, Retry: app.ToolRetry{Backoff: 10 * time.Millisecond}}}))
			k.work(func(w *app.WorkerConfig) { w.Tools = map[string]app.GoTool{"ask": ask} })
			job := k.ended(k.submit("a", nil).ID)
			if diff := cmp.Diff(c.want, string(job.Result)); diff != "" || calls != c.calls {
				k.dump(job.ID)
				t.Errorf("%d calls, want %d; result (-want +got):\n%s", calls, c.calls, diff)
			}
		})
	}
}

// TestLosingSQLToolPausesItsJob, when it says so, and goes on when others have let go.
func TestLosingSQLToolPausesItsJob(t *testing.T) {
	t.Parallel()
	k := newKit(t, nil)
	k.exec(`create schema game; grant usage on schema game to statek_tool;
		create function game.play() returns text language plpgsql as $$ begin raise exception 'lost' using errcode = '40001'; end $$`)
	k.apply(files{
		"agents/a.md": simpleAgent, "agents/a.warmup.js": askWarmup,
		"tools/ask.sql": "-- tool: ask()\n-- returns: value\n-- retry: attempts=4 backoff=1ms\n-- on_exhausted: pause\nselect game.play()\n",
	})
	k.work()
	job := k.ended(k.submit("a", nil).ID)
	if job.Status != "PAUSED" || !strings.Contains(job.BlockedWhy, "lost to concurrent transactions 4 times") {
		k.dump(job.ID)
		t.Fatalf("%s: %s", job.Status, job.BlockedWhy)
	}
	k.exec("create or replace function game.play() returns text language sql as $$ select 'won'::text $$")
	k.must(k.Resume(t.Context(), job.ID, ""))
	k.await("the end", "select status = 'DONE' from statek.job_state where job_id = $1", job.ID)
	if job = k.ended(job.ID); string(job.Result) != `"won"` {
		k.dump(job.ID)
		t.Errorf("result %s", job.Result)
	}
}

// forgetful is a provider whose first answer never comes.
type forgetful struct {
	asked chan int

	mu sync.Mutex // guards n
	n  int
}

// Name implements providers.Provider.
func (f *forgetful) Name() string { return "FORGETFUL" }

// Complete implements providers.Provider.
func (f *forgetful) Complete(ctx context.Context, _ providers.Request) (providers.Reply, error) {
	f.mu.Lock()
	f.n++
	n := f.n
	f.mu.Unlock()
	f.asked <- n
	switch n {
	case 1:
		<-ctx.Done()
		return providers.Reply{}, &providers.Error{Provider: "FORGETFUL", Message: "cut off", Err: ctx.Err()}
	case 2:
		return providers.Reply{}, &providers.Error{Provider: "FORGETFUL", Status: 503, Retryable: true, Message: "busy"}
	default:
		return providers.Reply{Text: "```js\nexit('asked')\n```", Usage: providers.Usage{InputTokens: 5, OutputTokens: 5}}, nil
	}
}

// TestWastedRepliesAreCounted: a request that is repeated because its worker died, and not one that failed.
func TestWastedRepliesAreCounted(t *testing.T) {
	t.Parallel()
	k := newKit(t, files{"agents/a.md": "# MODEL: forgetful/x/test\n# RETRY: attempts=3 backoff=10ms\n# System Prompt\nYou help.\n"})
	f := &forgetful{asked: make(chan int, 10)}
	reg, err := providers.NewRegistry(map[string]providers.Provider{"FORGETFUL": f}, "FORGETFUL")
	k.must(err)
	k.reg = reg
	k.work()
	job := k.submit("a", nil)
	<-f.asked
	k.abandon(job.ID)
	job = k.ended(job.ID)
	if string(job.Result) != `"asked"` {
		k.dump(job.ID)
		t.Fatalf("%s: %s", job.Status, job.BlockedWhy)
	}
	k.is("select n = 1 and note = 'job ' || $1 from statek.counters where name = 'wasted_replies'", job.ID.String())
	k.is("select attempts = 3 from statek.usage where job_id = $1", job.ID)
	c, err := k.Doctor(t.Context(), false)
	k.must(err)
	if c.Wasted != 1 || c.Retries != 1 {
		t.Errorf("the doctor counts %d wasted replies and %d retries, want 1 and 1", c.Wasted, c.Retries)
	}
	if text := k.text(job.ID); !strings.Contains(text, "attempt 2; an interruption lost the answer to the one before") {
		t.Errorf("the timeline says:\n%s", text)
	}
}

// TestModelAttemptsAreRenewedByResume: exhausted attempts pause the job, and resuming grants as many again.
func TestModelAttemptsAreRenewedByResume(t *testing.T) {
	t.Parallel()
	k := newKit(t, files{"agents/a.md": "# MODEL: forgetful/x/test\n# RETRY: attempts=1\n# System Prompt\nYou help.\n"})
	f := &forgetful{asked: make(chan int, 10), n: 1}
	reg, err := providers.NewRegistry(map[string]providers.Provider{"FORGETFUL": f}, "FORGETFUL")
	k.must(err)
	k.reg = reg
	k.work()
	job := k.ended(k.submit("a", nil).ID)
	if want := "paused: model request failed (attempt 1): provider FORGETFUL: status 503: busy"; job.Status != "PAUSED" || job.BlockedWhy != want {
		k.dump(job.ID)
		t.Fatalf("%s: %q, want %q", job.Status, job.BlockedWhy, want)
	}
	k.must(k.Resume(t.Context(), job.ID, "ada"))
	k.await("the end", "select status = 'DONE' from statek.job_state where job_id = $1", job.ID)
	if job = k.ended(job.ID); string(job.Result) != `"asked"` {
		t.Errorf("result %s", job.Result)
	}
}
