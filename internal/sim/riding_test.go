package sim

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"statek/internal/jobs"
	"statek/internal/sim/memstore"
)

// The end of a job goes with the commit of its last call. Told step by step, like the other stories.

// lastCall is a job whose last call ends it, and a turn that does the same for whoever opens it again.
func lastCall() plan {
	cell := func(note string) program {
		return program{Name: note, Steps: []step{{Do: "call", Calls: []call{made("note", note)}}, {Do: "keep"}, {Do: "print"}, {Do: "exit"}}}
	}
	return plan{warmup: []program{cell("first")}, turns: []program{cell("second")}}
}

// rode is how a cell with its end is recorded, whether it rode or not.
var rode = []string{"cell_started", "call_issued", "call_settled note", "console", "cell_ended done", "finished"}

// reopened is what a message to a job that has ended makes of it.
var reopened = slices.Concat(rode, []string{"message_received", "model_requested", "model_replied"}, rode)

// did lists what has been done about the story's job since its submission: transactions, in their order.
func did(w *world) (list []string) {
	for _, line := range w.trace {
		if rest, ok := strings.CutPrefix(line, "w0.1 "); ok {
			if what, _, ok := strings.Cut(rest, " j0 "); ok {
				list = append(list, what)
			}
		}
	}
	return list
}

func same(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// TestTheEndRides: a job alone is claimed, and its call and its end are one commit, after which nobody owns it.
func TestTheEndRides(t *testing.T) {
	t.Parallel()
	got := tell(t, lastCall(), func(w *world) {
		w.release(w.until("tool commit"))
		w.settled()
		v := w.db.Look(w.ids[0])
		same(t, "status and owner", []any{jobs.Done, uuid.Nil}, []any{v.Status, v.Owner})
		w.allBut(nil)
		same(t, "transactions", []string{"claim", "tool", "end", "tool commit"}, did(w))
	})
	same(t, "history", rode, got)
}

// TestTheEndRidesWithAFailure: the code catches what its last call throws, and ends.
func TestTheEndRidesWithAFailure(t *testing.T) {
	t.Parallel()
	p := lastCall()
	p.warmup[0].Steps[0].Calls[0] = made("note", "fail")
	got := tell(t, p, func(w *world) {
		w.release(w.until("tool commit"))
		w.allBut(nil)
		same(t, "transactions", []string{"claim", "tool", "end", "tool commit"}, did(w))
		same(t, "effects", 0, len(w.db.Ledger()))
	})
	same(t, "history", rode, got)
}

// TestNothingRidesBesideSomethingElse: another call is open, a wait stays behind, or the job goes on after the cell.
func TestNothingRidesBesideSomethingElse(t *testing.T) {
	t.Parallel()
	note := func(what string) step { return step{Do: "call", Calls: []call{made("note", what)}} }
	exit := step{Do: "exit"}
	for name, c := range map[string]struct {
		p    plan
		left int // calls that are held while the first is committed
	}{
		"another call": {plan{warmup: []program{{Steps: []step{{Do: "call", Calls: []call{made("note", "a"), made("note", "b")}}, exit}}}}, 1},
		"a wait":       {plan{warmup: []program{{Steps: []step{{Do: "open", Calls: []call{made("event", "e0")}}, note("a"), exit}}}}, 0},
		"another cell": {plan{warmup: []program{{Steps: []step{note("a")}}, {Steps: []step{note("b"), exit}}}}, 1},
		"a later call": {plan{warmup: []program{{Steps: []step{note("a"), note("b"), exit}}}}, 1},
	} {
		got := tell(t, c.p, func(w *world) {
			w.release(w.until("tool commit"))
			w.settled()
			if v := w.db.Look(w.ids[0]); v.Status == jobs.Done || v.Owner == uuid.Nil {
				t.Errorf("%s: the job is %s with owner %s after the first commit", name, v.Status, v.Owner)
			}
		})
		if last := got[len(got)-1]; last != "finished" || strings.Count(strings.Join(got, " "), "finished") != 1 {
			t.Errorf("%s: history is %v", name, got)
		}
	}
}

// TestACallThatNobodyAwaitsIsCommittedAtOnce: when the code is over, there is nothing to wait for.
func TestACallThatNobodyAwaitsIsCommittedAtOnce(t *testing.T) {
	t.Parallel()
	cell := program{Steps: []step{
		{Do: "open", Calls: []call{made("note", "a")}}, {Do: "call", Calls: []call{made("note", "b")}}, {Do: "exit"},
	}}
	got := tell(t, plan{warmup: []program{cell}}, func(w *world) {
		slow := w.until("tool") // of a
		w.release(w.untilWith("tool commit", slow))
		w.settled()
		w.release(slow)
		w.settled()
		if len(w.parked) != 1 || w.parked[0].what != "tool commit" {
			t.Error("the call waits for code that is over before it is committed")
		}
	})
	same(t, "history", []string{"cell_started", "call_issued", "call_issued", "call_settled note", "call_settled note", "cell_ended done", "finished"}, got)
}

// TestMailBesideTheLastCall: whenever mail comes, it is neither lost nor left with a job that nobody comes for; the simulation
// looks after every event.
func TestMailBesideTheLastCall(t *testing.T) {
	t.Parallel()
	unread := slices.Concat(rode[:5], reopened[len(rode):])
	for name, c := range map[string]struct {
		play func(*world)
		want []string
	}{
		"during the call, and read": {func(w *world) {
			tool := w.until("tool")
			w.put(w.ids[0], "message")
			w.allBut(tool)
		}, unread},
		"during the call, and its doorbell not answered": {func(w *world) {
			tool := w.until("tool")
			w.put(w.ids[0], "message")
			w.release(tool)
			w.release(w.until("tool commit"))
			w.settled()
			if v := w.db.Look(w.ids[0]); v.Status != jobs.Done || v.Owner != uuid.Nil || len(w.db.Doorbells()) != 1 {
				t.Errorf("the job is %s of %s with %d doorbells", v.Status, v.Owner, len(w.db.Doorbells()))
			}
		}, reopened},
		"before the commit, and the doorbell found the job held": {func(w *world) {
			commit := w.until("tool commit")
			w.put(w.ids[0], "message")
			w.allBut(commit)
			w.release(commit)
			w.settled()
			if v := w.db.Look(w.ids[0]); v.Status != jobs.Done || v.Owner == uuid.Nil {
				t.Errorf("the job is %s of %s, want it to have ended and to be held", v.Status, v.Owner)
			}
		}, reopened},
		"after the commit": {func(w *world) {
			w.release(w.until("tool commit"))
			w.put(w.ids[0], "message")
		}, reopened},
		"and the doorbell is taken down while the call is committed": {func(w *world) {
			tool := w.until("tool")
			w.put(w.ids[0], "message")
			clear := w.untilWith("clear", tool)
			w.release(tool)
			w.settled()
			w.sleep(10 * time.Millisecond) // no code answers: it reads mail
			commit := w.untilWith("tool commit", clear)
			w.release(clear)
			w.settled()
			w.release(commit)
			w.settled()
			if v := w.db.Look(w.ids[0]); v.Status == jobs.Done || v.Owner == uuid.Nil {
				t.Errorf("the job is %s of %s while its mail is being read", v.Status, v.Owner)
			}
		}, unread},
	} {
		var all []string
		got := tell(t, lastCall(), func(w *world) {
			c.play(w)
			w.goOn()
			all = did(w)
		})
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: history (-want +got):\n%s\n%s", name, diff, strings.Join(all, ", "))
		}
	}
}

// TestACommitWithAnEndThatIsLost: the end happens once, whatever becomes of its commit and of who has made it.
func TestACommitWithAnEndThatIsLost(t *testing.T) {
	t.Parallel()
	concurrent, unknown := memstore.ErrConcurrent, fmt.Errorf("reply lost: %w", jobs.ErrUnknownOutcome)
	for name, c := range map[string]struct {
		done, dies bool
		reply      error
	}{
		"the process dies after it":                {true, true, errKilled},
		"the process dies before it":               {false, true, errKilled},
		"done, and the reply is lost":              {true, false, unknown},
		"not done, and the reply is lost":          {false, false, unknown},
		"it lost to a concurrent transaction":      {false, false, concurrent},
		"the database was away before it could be": {false, false, memstore.ErrAway},
	} {
		got := tell(t, lastCall(), func(w *world) {
			commit := w.until("tool commit")
			w.unpark(commit)
			if c.done {
				if err := commit.run(); err != nil {
					t.Error(err)
				}
			}
			if c.dies {
				w.crash(w.slots[0])
			}
			commit.reply <- c.reply
			w.settled()
			if v := w.db.Look(w.ids[0]); (v.Status == jobs.Done) != c.done {
				t.Errorf("%s: the job is %s", name, v.Status)
			}
			w.goOn()
			same(t, name+": effects", []memstore.Effect{{Job: w.ids[0], Note: "first"}}, w.db.Ledger())
		})
		got = slices.DeleteFunc(got, func(kind string) bool { return strings.HasPrefix(kind, "taken_over") })
		same(t, name+": history", rode, got)
	}
}

// TestAnEndThatWasRefusedIsMadeWithoutWaiting: code is asked once for what it makes of a call's result.
func TestAnEndThatWasRefusedIsMadeWithoutWaiting(t *testing.T) {
	t.Parallel()
	tell(t, lastCall(), func(w *world) {
		commit := w.until("tool commit")
		w.unpark(commit)
		commit.reply <- memstore.ErrConcurrent
		w.release(w.until("tool"))
		w.settled()
		if len(w.parked) != 1 || w.parked[0].what != "tool commit" {
			t.Error("the second attempt waits for the code before it commits")
		}
		w.release(w.until("tool commit"))
		w.settled()
		if v := w.db.Look(w.ids[0]); v.Status == jobs.Done {
			t.Error("the second attempt has ended the job")
		}
		w.goOn()
		same(t, "transactions", []string{"claim", "tool", "end", "tool", "tool commit", "end", "commit"}, did(w))
	})
}

// TestAJobThatIsOpenedAgainRidesAgain: the run that has ended its job and was rung goes on with it, and its next end rides too.
func TestAJobThatIsOpenedAgainRidesAgain(t *testing.T) {
	t.Parallel()
	got := tell(t, lastCall(), func(w *world) {
		commit := w.until("tool commit")
		w.put(w.ids[0], "message")
		w.allBut(commit)
		w.release(commit)
		epoch := w.db.Look(w.ids[0]).Epoch
		w.release(w.until("tool commit"))
		w.settled()
		v := w.db.Look(w.ids[0])
		same(t, "status, owner and epoch", []any{jobs.Done, uuid.Nil, epoch}, []any{v.Status, v.Owner, v.Epoch})
		before := len(did(w))
		w.goOn()
		same(t, "transactions after it", 0, len(did(w))-before)
	})
	same(t, "history", reopened, got)
}

// goOn lets everything happen until the job has ended and nobody has it.
func (w *world) goOn() {
	for range 1000 {
		if !w.settled() || w.finished() {
			return
		}
		w.calm()
	}
}

// untilWith is until, with another that is held as well.
func (w *world) untilWith(what string, held *pending) *pending {
	for w.settled() {
		if i := slices.IndexFunc(w.parked, func(c *pending) bool { return c.what == what }); i >= 0 {
			return w.parked[i]
		}
		if !w.passBy(held) {
			w.sleep(time.Millisecond)
		}
	}
	return nil
}
