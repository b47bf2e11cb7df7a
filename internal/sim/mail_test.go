package sim

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"statek/internal/jobs"
	"statek/internal/sim/memstore"
)

// asksThenCalls is a job that ends with the call that it makes when it has been told something.
func asksThenCalls() plan {
	return plan{warmup: []program{{Steps: []step{
		{Do: "call", Calls: []call{made("message", map[string]int{"timeout": 600_000})}}, {Do: "call", Calls: []call{made("note", "told")}}, {Do: "exit"},
	}}}}
}

// asked is its history from its sleep on.
var asked = []string{"suspended", "call_settled message", "call_issued", "call_settled note", "cell_ended done", "finished"}

// toldAsleep plays what a process does that leaves a message for a job of asksThenCalls while it sleeps, and returns the job's history.
func toldAsleep(t *testing.T, play func(w *world, put *pending)) []string {
	t.Helper()
	got := tell(t, asksThenCalls(), func(w *world) {
		for w.settled() && w.db.Look(w.ids[0]).Status != jobs.Suspended {
			w.calm()
		}
		w.allBut(nil)
		w.slots[0].put(w.ids[0], "message")
		play(w, w.until("put"))
		w.goOn()
		same(t, "effects", []memstore.Effect{{Job: w.ids[0], Note: "told"}}, w.db.Ledger())
	})
	return slices.DeleteFunc(got[slices.Index(got, "suspended"):], func(kind string) bool { return strings.HasPrefix(kind, "taken_over") })
}

// TestMailBringsItsJob: no doorbell and no claim lie between a message and what is done with it, and the end of the job takes its wait along.
func TestMailBringsItsJob(t *testing.T) {
	t.Parallel()
	got := toldAsleep(t, func(w *world, put *pending) {
		before := len(did(w))
		w.release(put)
		w.release(w.until("tool commit"))
		w.settled()
		v := w.db.Look(w.ids[0])
		same(t, "status, owner and doorbells", []any{jobs.Done, uuid.Nil, 0}, []any{v.Status, v.Owner, len(w.db.Doorbells())})
		same(t, "transactions", []string{"put", "tool", "end", "tool commit"}, did(w)[before:])
	})
	same(t, "history", asked, got)
}

// TestMailWhoseSenderFails: whatever becomes of who was given a job with its mail, the mail is read once.
func TestMailWhoseSenderFails(t *testing.T) {
	t.Parallel()
	for name, play := range map[string]func(w *world, put *pending){
		"it dies": func(w *world, put *pending) {
			w.unpark(put)
			if err := put.run(); err != nil {
				t.Error(err)
			}
			w.crash(w.slots[0])
			put.reply <- errKilled
		},
		"the reply is lost": func(w *world, put *pending) {
			w.unpark(put)
			if err := put.run(); err != nil {
				t.Error(err)
			}
			put.reply <- fmt.Errorf("reply lost: %w", memstore.ErrAway)
		},
		"it is declared dead meanwhile": func(w *world, put *pending) {
			w.db.Silence(w.slots[0].id)
			w.release(put)
		},
		"somebody else rings": func(w *world, put *pending) {
			w.unpark(put)
			if err := put.run(); err != nil {
				t.Error(err)
			}
			w.put(w.ids[0], "resume")
			w.allBut(nil)
			put.reply <- nil
		},
		"the commit of its last call is lost": func(w *world, put *pending) {
			w.release(put)
			commit := w.until("tool commit")
			w.unpark(commit)
			commit.reply <- memstore.ErrConcurrent
		},
	} {
		got := toldAsleep(t, play)
		same(t, name+": history", asked, slices.DeleteFunc(got, func(kind string) bool { return kind == "message_received" }))
	}
}
