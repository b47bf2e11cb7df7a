package app_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"statek/internal/app"
)

// outside is a service that HTTP tools call. It holds calls back while held is set.
type outside struct {
	*httptest.Server
	arrived chan string // the key of every call

	mu   sync.Mutex
	held chan struct{}
}

func newOutside(t *testing.T) *outside {
	t.Helper()
	o := &outside{arrived: make(chan string, 100)}
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.arrived <- r.Header.Get("Idempotency-Key")
		o.mu.Lock()
		held := o.held
		o.mu.Unlock()
		if held != nil {
			select {
			case <-held:
			case <-r.Context().Done():
				return
			}
		}
		_, _ = w.Write([]byte(`{"receipt":"r1"}`))
	}))
	t.Cleanup(o.Close)
	return o
}

// hold keeps calls until the returned function is called.
func (o *outside) hold() (let func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	held := make(chan struct{})
	o.held = held
	return sync.OnceFunc(func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.held = nil
		close(held)
	})
}

func (o *outside) tool(more string) string {
	return "description: Charges.\nmethod: POST\nurl: " + o.URL + "/charge\nparams: [{name: amount, type: number}]\n" + more
}

// next waits for a call and returns its key.
func (o *outside) next(t *testing.T) string {
	t.Helper()
	select {
	case key := <-o.arrived:
		return key
	case <-time.After(20 * time.Second):
		t.Fatal("no call has arrived")
		return ""
	}
}

const chargeWarmup = `print('before')
const first = await count('once')
let got
try { got = await charge(5) } catch (e) { got = e.name + ' ' + e.code }
exit([first, got])
`

// abandon makes it look as if the job's worker had died at this moment: the row belongs to a dead worker, at an
// epoch that the real one does not know.
func (k *kit) abandon(id uuid.UUID) (dead uuid.UUID) {
	k.t.Helper()
	dead = uuid.New()
	k.exec("insert into statek.workers (id, host, pid, version, beat_at, dead_at) values ($1, 'h', 1, 'v', now() - interval '1 minute', now())", dead)
	k.exec("update statek.job_state set owner = $1, epoch = epoch + 1 where job_id = $2", dead, id)
	return dead
}

// TestTakeoverRepeatsTheOpenCallWithItsKey and nothing that is recorded; a tool that may be sent once is not repeated.
func TestTakeoverRepeatsTheOpenCallWithItsKey(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ more, want string }{
		"repeatable": {"", `[1,{"receipt":"r1"}]`},
		"once":       {"once: true\n", `[1,"UnknownOutcomeError unknown_outcome"]`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			service := newOutside(t)
			let := service.hold()
			defer let()
			k := newKit(t, nil)
			k.exec(countSchema)
			k.apply(files{
				"agents/payer.md": simpleAgent, "agents/payer.warmup.js": chargeWarmup,
				"tools/count.sql": countTool, "tools/charge.http.yaml": service.tool(c.more),
			})
			k.work()
			job := k.submit("payer", nil)
			key := service.next(t)
			dead := k.abandon(job.ID)
			if c.more == "" {
				if again := service.next(t); again != key || key != job.ID.String()+"/1/2" {
					t.Errorf("keys %q, then %q; want the same", key, again)
				}
			}
			if c.more != "" { // the first call is still held when the script is told
				if got := k.ended(job.ID); string(got.Result) != c.want {
					t.Errorf("result = %s, want %s", got.Result, c.want)
				}
			}
			let()
			if got := k.ended(job.ID); string(got.Result) != c.want {
				k.dump(job.ID)
				t.Errorf("result = %s, want %s", got.Result, c.want)
			}
			k.wantKinds(job.ID, "submitted", "cell_started", "console", "call_issued", "call_settled", "call_issued", "taken_over",
				"call_settled", "cell_ended", "finished")
			rows, err := k.History(t.Context(), job.ID, 6, 1)
			if err != nil || !strings.Contains(string(rows[0].Payload), dead.String()) {
				t.Errorf("row 7 = %s (%v), want it to name %s", rows[0].Payload, err, dead)
			}
			if n := len(service.arrived); n != 0 {
				t.Errorf("%d more calls have arrived", n)
			}
		})
	}
}

// TestTakeoverInSQLTool: the dead worker's transaction never committed, so the tool runs once.
func TestTakeoverInSQLTool(t *testing.T) {
	t.Parallel()
	k := newKit(t, nil)
	k.exec(countSchema)
	k.apply(files{
		"agents/a.md": simpleAgent, "agents/a.warmup.js": "await event('go')\nconst all = await Promise.all([count('x'), count('y')])\nexit(all.length)",
		"tools/count.sql": countTool,
	})
	k.work()
	job := k.submit("a", nil)
	k.until(job.ID, "SUSPENDED")
	lock, err := k.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Rollback(t.Context()) }()
	if _, err := lock.Exec(t.Context(), "lock table app.counted in exclusive mode"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := k.Emit(t.Context(), "/", "go", "", nil); err != nil {
		t.Fatal(err)
	}
	k.is("select count(*) = 2 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%app.counted%' and pid <> pg_backend_pid()")
	k.abandon(job.ID)
	if err := lock.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := k.ended(job.ID); string(got.Result) != "2" {
		t.Errorf("result = %s, %s", got.Result, got.Error)
	}
	var counted int
	if err := k.pool.QueryRow(t.Context(), "select count(*) from app.counted").Scan(&counted); err != nil || counted != 2 {
		t.Errorf("the tools' effects: %d rows (%v), want 2", counted, err)
	}
}

// TestGracefulStopHandsOver: whatever the job is doing, the worker leaves within its grace and another one finishes it.
func TestGracefulStopHandsOver(t *testing.T) {
	t.Parallel()
	service := newOutside(t)
	let := service.hold()
	defer let()
	k := newKit(t, nil)
	k.exec(countSchema)
	k.apply(files{
		"agents/payer.md": simpleAgent, "agents/payer.warmup.js": chargeWarmup,
		"tools/count.sql": countTool, "tools/charge.http.yaml": service.tool(""),
		"agents/sleeper.md": simpleAgent, "agents/sleeper.warmup.js": "exit(await event('go'))",
		"agents/thinker.md": simpleAgent,
	})
	k.replies["thinker.md"] = reply("<!-- delay: 400ms -->\n```js\nexit('thought')\n```")
	brief := func(c *app.WorkerConfig) { c.Grace = 100 * time.Millisecond }
	stop := k.work(brief)
	payer, sleeper, thinker := k.submit("payer", nil), k.submit("sleeper", nil), k.submit("thinker", nil)
	key := service.next(t)
	k.until(sleeper.ID, "SUSPENDED")
	k.is("select exists (select from statek.history where job_id = $1 and kind = 'model_requested')", thinker.ID)
	began := time.Now()
	stop()
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the worker took %s to leave", took)
	}
	k.is("select count(owner) = 0 and not exists (select from statek.workers) from statek.job_state")
	let()
	k.work()
	if again := service.next(t); again != key {
		t.Errorf("keys %q, then %q; want the same", key, again)
	}
	if _, _, err := k.Emit(t.Context(), "/", "go", "", []byte("1")); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for name, job := range map[string]app.Job{"payer": payer, "sleeper": sleeper, "thinker": thinker} {
		got[name] = string(k.ended(job.ID).Result)
	}
	want := map[string]string{"payer": `[1,{"receipt":"r1"}]`, "sleeper": "1", "thinker": `"thought"`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

// TestJobsOfAWorkerThatIsGoneAreTakenOver although nobody buries it: it left without them, or its sweeper died in between.
func TestJobsOfAWorkerThatIsGoneAreTakenOver(t *testing.T) {
	t.Parallel()
	k := newKit(t, files{"agents/a.md": simpleAgent, "agents/a.warmup.js": "await event('go'); exit(1)"})
	k.work()
	id := k.submit("a", nil).ID
	k.is("select status = 'SUSPENDED' and owner is null from statek.job_state where job_id = $1", id)
	k.exec("update statek.job_state set owner = $2 where job_id = $1", id, uuid.New())
	k.is("select owner is null from statek.job_state where job_id = $1", id)
}
