package sim

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"statek/internal/jobs"
	"statek/internal/sim/memstore"
)

// What the simulation once found, told step by step: unlike a seed, a story stays the same when the simulation changes. Each
// is one job on one worker.

// TestAMessageThatWasThereIsFound: a message was in the mailbox before the cell asked for it, and a SQL tool of the same
// drain committed the wait.
func TestAMessageThatWasThereIsFound(t *testing.T) {
	t.Parallel()
	cell := program{Steps: []step{
		{Do: "call", Calls: []call{made("note", "a")}},
		{Do: "call", Calls: []call{made("message", map[string]int{"timeout": 60_000}), made("note", "b")}},
		{Do: "exit"},
	}}
	got := tell(t, plan{warmup: []program{cell}}, func(w *world) {
		tool := w.until("tool")
		w.put(w.ids[0], "message")
		w.allBut(tool)
	})
	want := []string{
		"cell_started", "call_issued", "call_settled note", "call_issued", "call_issued", "call_settled note", "suspended",
		"call_settled message", "cell_ended done", "finished",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
}

// TestKeptMailIsReadWhenItsCellIsEnded: what was left for a cell to ask for is shown at once when something later ends it.
func TestKeptMailIsReadWhenItsCellIsEnded(t *testing.T) {
	t.Parallel()
	cell := program{Steps: []step{{Do: "call", Calls: []call{made("sleep", 60_000)}}, {Do: "exit"}}}
	for end, want := range map[string][]string{
		"cancel":    {"suspended", "finished", "message_received"},
		"interrupt": {"suspended", "cell_ended aborted", "message_received", "message_received", "model_requested"},
	} {
		got := tell(t, plan{turns: []program{cell, cell}}, func(w *world) {
			for w.settled() && w.db.Look(w.ids[0]).Status != jobs.Suspended {
				w.calm()
			}
			w.allBut(nil)
			w.put(w.ids[0], "message")
			w.put(w.ids[0], end)
		})
		if i := slices.Index(got, "suspended"); i < 0 || len(got) < i+len(want) || !slices.Equal(got[i:i+len(want)], want) {
			t.Errorf("after %s: history is %v, want %v in it", end, got, want)
		}
	}
}

// TestAnUnknownCommitEndsTheRun: an interrupt has ended the cell of a tool whose commit then loses its reply.
func TestAnUnknownCommitEndsTheRun(t *testing.T) {
	t.Parallel()
	cell := program{Steps: []step{{Do: "call", Calls: []call{made("note", "a")}}, {Do: "exit"}}}
	for _, done := range []bool{true, false} {
		got := tell(t, plan{turns: []program{cell, cell}}, func(w *world) {
			commit := w.until("tool commit")
			w.put(w.ids[0], "interrupt")
			w.allBut(commit)
			w.unpark(commit)
			if done {
				if err := commit.run(); err != nil {
					t.Error(err)
				}
			}
			commit.reply <- fmt.Errorf("reply lost: %w", jobs.ErrUnknownOutcome)
		})
		if last := got[len(got)-1]; last != "finished" || slices.Contains(got, "paused") {
			t.Errorf("committed: %t: history is %v", done, got)
		}
	}
}

// TestAValueForACellThatIsNotLoadedIsGivenBack: a task was claimed for a wait that its set had just withdrawn; the worker dies,
// and the next one finds it together with what the sleeping cell waits for.
func TestAValueForACellThatIsNotLoadedIsGivenBack(t *testing.T) {
	t.Parallel()
	cell := program{Steps: []step{
		{Do: "open", Calls: []call{made("pick", "q0")}},
		{Do: "call", Calls: []call{made("note", "a")}},
		{Do: "set", Mode: "first", Calls: []call{made("job", "no id")}},
		{Do: "call", Calls: []call{made("sleep", 1000)}},
		{Do: "exit"},
	}}
	got := tell(t, plan{warmup: []program{cell}}, func(w *world) {
		w.release(w.until("tool commit"))
		slept := w.until("commit")
		look := func(ctx context.Context, s *memstore.Session) error {
			_, err := s.LookAround(ctx)
			return err
		}
		w.outside(func(ctx context.Context, s *memstore.Session) error { return s.AddTask(ctx, "q0") })
		w.outside(look)
		w.release(slept)
		w.settled()
		w.crash(w.slots[0])
		w.sleep(2 * time.Second)
		w.outside(look)
		if v := w.db.Look(w.ids[0]); v.Kinds != "resolved resolved " {
			t.Errorf("the mailbox has %q, want the task and the end of the sleep", v.Kinds)
		}
	})
	t.Log(got)
	if !slices.Contains(got, "value_discarded pick done") {
		t.Errorf("history is %v, want the task given back", got)
	}
}

// TestAResultIsDeliveredOnce: a wait of a paused job ended, and the run that committed this is resumed before it has released
// the job.
func TestAResultIsDeliveredOnce(t *testing.T) {
	t.Parallel()
	cell := program{Steps: []step{
		{Do: "call", Calls: []call{made("event", "e0", map[string]int{"timeout": 1000})}},
		{Do: "call", Calls: []call{made("sleep", 1000)}},
		{Do: "call", Calls: []call{made("sleep", 1000)}},
		{Do: "exit"},
	}}
	got := tell(t, plan{warmup: []program{cell}}, func(w *world) {
		for w.settled() && w.db.Look(w.ids[0]).Status != jobs.Suspended {
			w.calm()
		}
		w.put(w.ids[0], "pause")
		w.allBut(nil)
		w.sleep(2 * time.Second)
		w.outside(func(ctx context.Context, s *memstore.Session) error {
			_, err := s.LookAround(ctx)
			return err
		})
		commit := w.until("commit")
		w.put(w.ids[0], "resume")
		w.allBut(commit)
	})
	want := []string{
		"cell_started", "call_issued", "suspended", "paused", "call_settled event", "resumed", "call_issued", "suspended",
		"call_settled sleep", "call_issued", "suspended", "call_settled sleep", "cell_ended done", "finished",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
}

// tell plays a story to its end and returns the kinds of its history, with what matters of them.
func tell(t *testing.T, p plan, play func(*world)) (kinds []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1, Options{})
		w.faults = faults{}
		w.slots, w.ids = make([]*process, 1), w.ids[:1]
		w.plans = map[jobs.ID]*plan{w.ids[0]: &p}
		w.start(0)
		w.submit(w.ids[0])
		play(w)
		w.finish()
		if w.err != nil {
			t.Errorf("%v\n%s", w.err, strings.Join(w.trace, "\n"))
		}
		entries, err := w.db.History(w.ids[0])
		if err != nil {
			t.Error(err)
		}
		for _, e := range entries {
			kinds = append(kinds, kind(e.Event))
		}
	})
	return kinds[1:]
}

func kind(ev jobs.Event) string {
	var more struct{ Name, State, Release string }
	text, _ := jobs.Encode(ev)
	_ = json.Unmarshal(text, &more)
	if _, issued := ev.(jobs.CallIssued); issued {
		return ev.Kind()
	}
	return strings.Join(slices.DeleteFunc([]string{ev.Kind(), more.Name, more.State, more.Release}, func(s string) bool { return s == "" }), " ")
}

// until goes on until somebody waits to do something, and holds it.
func (w *world) until(what string) *pending {
	for w.settled() {
		if i := slices.IndexFunc(w.parked, func(c *pending) bool { return c.what == what }); i >= 0 {
			return w.parked[i]
		}
		w.calm()
	}
	return nil
}

// passBy lets somebody go on who is not held; false: nobody can.
func (w *world) passBy(held *pending) bool {
	rest := slices.DeleteFunc(slices.Clone(w.parked), func(c *pending) bool { return c == held })
	switch {
	case len(rest) > 0:
		w.release(rest[0])
	case len(w.db.Doorbells()) > 0:
		w.slots[0].answer(w.db.TakeDoorbell(0).Job)
	default:
		return false
	}
	return true
}

// allBut lets everybody go on but one, until nobody can.
func (w *world) allBut(held *pending) {
	for w.settled() {
		if !w.passBy(held) {
			return
		}
	}
}
