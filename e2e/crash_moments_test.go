package e2e

import (
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"statek/internal/failpoint"
	"statek/internal/pgtest"
)

// TestKill9InHandOver: a worker that was asked to end is killed just before and just after it gives a job back.
func TestKill9InHandOver(t *testing.T) {
	t.Parallel()
	for _, point := range []failpoint.Point{failpoint.HandOverBefore, failpoint.HandOverAfter} {
		t.Run(string(point), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, ledger(files{
				"agents/clerk.md": modelAgent, "agents/clerk.warmup.js": "await note('once')\nconst c = await charge(5)\nexit(c.receipt)\n",
			}))
			w.tools.holding(true)
			c := newConductor(t, func(a failpoint.Announcement) verdict {
				if a.Point == point {
					return kill
				}
				return goOn
			})
			first := &worker{process: w.start("statek-worker", append(w.env, c.env()), "--grace", "200ms")}
			first.begun()
			if !strings.Contains(first.out.String(), "FAILPOINTS ARE ARMED") {
				t.Error("an armed worker does not say so")
			}
			job := w.submit("clerk", nil)
			arrives(t, "the tool call", w.tools.arrived)
			w.tools.holding(false)
			first.signal(syscall.SIGTERM)
			if code := first.code(); code == 0 {
				t.Errorf("the worker ended with %d, want it killed", code)
			}
			released := query[*uuid.UUID](w, "select owner from statek.job_state where job_id = $1", job) == nil
			if want := point == failpoint.HandOverAfter; released != want {
				t.Errorf("the job was given back: %t, want %t", released, want)
			}
			w.worker()
			w.ended(job, `"r1"`)
			if n := query[int](w, "select count(*) from app.ledger where job_id = $1", job); n != 1 {
				t.Errorf("the ledger has %d rows, want 1", n)
			}
			want := []string{"submitted", "cell_started", "call_issued", "call_settled", "call_issued", "call_settled", "cell_ended", "finished"}
			got := slices.DeleteFunc(w.kinds(job), func(kind string) bool { return kind == "taken_over" })
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("history (-want +got):\n%s", diff)
			}
		})
	}
}

// TestZombieInAToolsTransaction: a worker is frozen in the middle of a tool's transaction, with locks. Another takes
// the job over and does the call, while the first is still frozen; when it wakes, what it did does not count.
func TestZombieInAToolsTransaction(t *testing.T) {
	t.Parallel()
	w := newBareWorld(t, pgtest.URL(t))
	w.prepare(nil)
	w.sql("create table app.counter (n integer not null); insert into app.counter values (0); grant select, update on app.counter to statek_tool")
	w.statek(0, "apply", folder(t, ledger(files{
		"agents/clerk.md": modelAgent, "agents/clerk.warmup.js": "exit(await bump())\n",
		"tools/bump.sql": "-- tool: bump()\n-- Counts.\n-- returns: value\nupdate app.counter set n = n + 1 returning n\n",
	})))
	frozen := make(chan struct{}, 1)
	once := true
	c := newConductor(t, func(a failpoint.Announcement) verdict {
		if a.Point == failpoint.ToolDone && once {
			once = false
			frozen <- struct{}{}
			return freeze
		}
		return goOn
	})
	zombie := &worker{process: w.start("statek-worker", append(w.env, c.env()))}
	zombie.begun()
	job := w.submit("clerk", nil)
	arrives(t, "the tool's transaction", frozen)
	began := time.Now()
	w.worker()
	w.ended(job, "1")
	took := time.Since(began)
	t.Logf("another worker made the call %s after the first was frozen", took.Round(10*time.Millisecond))
	before := w.history(job)
	old := zombie.id
	zombie.signal(syscall.SIGCONT)
	zombie.begun()
	if zombie.id == old {
		t.Error("the zombie came back under its old id")
	}
	if n := query[int](w, "select n from app.counter"); n != 1 {
		t.Errorf("the tool has counted to %d, want 1", n)
	}
	if diff := cmp.Diff(before, w.history(job)); diff != "" {
		t.Errorf("the zombie changed history (-before +after):\n%s", diff)
	}
}
