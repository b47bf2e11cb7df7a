package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"statek/internal/jobs"
)

// check is what must hold after every event.
func (w *world) check() error {
	if err := w.db.Check(); err != nil {
		return err
	}
	for _, id := range w.db.Unrung() {
		if w.excused[id] || w.answered(id) {
			continue
		}
		return fmt.Errorf("a ring is lost:%s (%s) has work, no owner and no doorbell", w.job(id), w.db.Look(id).Status)
	}
	return nil
}

// answered reports that some process has taken a doorbell of the job and is about to claim it.
func (w *world) answered(id jobs.ID) bool {
	for _, p := range w.processes {
		if !p.dead && slices.ContainsFunc(p.rings, func(a *answering) bool { return a.job == id && !a.claimed }) {
			return true
		}
	}
	return false
}

// verdict is what must hold in the end.
func (w *world) verdict() error {
	notes := map[string]int{}
	for _, e := range w.db.Ledger() {
		notes[e.Note]++
	}
	claims := map[int64]map[string]bool{} // of tasks, by the calls that claimed them; true: given back
	recorded := map[string]int{}
	for _, id := range w.ids {
		entries, err := w.db.History(id)
		if err != nil {
			return err
		}
		l := ledger{w: w, gone: map[[2]int]bool{}, id: id, calls: map[[2]int]jobs.CallIssued{}, notes: recorded, claims: claims, said: map[string]int{}, facts: map[string]int{}}
		for _, e := range entries {
			if err := l.read(e); err != nil {
				return fmt.Errorf("%s: %w", w.job(id), err)
			}
		}
		if v := w.db.Look(id); v.Waits > 0 {
			return fmt.Errorf("%s has ended and still waits %d times", w.job(id), v.Waits)
		}
		if err := l.unseen(); err != nil {
			return fmt.Errorf("%s: %w", w.job(id), err)
		}
		for _, text := range w.said[id] {
			if l.said[text] != 1 {
				return fmt.Errorf("%s: message %s is %d times in history", w.job(id), text, l.said[text])
			}
		}
	}
	for note := range notes {
		if notes[note] != recorded[note] {
			return fmt.Errorf("%q is %d times in the ledger and %d times in history", note, notes[note], recorded[note])
		}
	}
	for note := range recorded {
		if notes[note] != recorded[note] {
			return fmt.Errorf("%q is %d times in the ledger and %d times in history", note, notes[note], recorded[note])
		}
	}
	for _, t := range w.db.Tasks() {
		var holders []string
		for by, back := range claims[t.ID] {
			if !back {
				holders = append(holders, by[:36])
			}
		}
		var want []string
		if t.Owner != uuid.Nil {
			want = []string{t.Owner.String()}
		}
		if !slices.Equal(want, holders) {
			return fmt.Errorf("task %d is owned by %q, and histories have it with %q", t.ID, want, holders)
		}
	}
	for key := range w.once {
		if w.performed[key] > 1 {
			return fmt.Errorf("call %s is to be made at most once, and was made %d times", key, w.performed[key])
		}
	}
	return nil
}

// ledger adds up what one history says has happened.
type ledger struct {
	w      *world
	id     jobs.ID
	calls  map[[2]int]jobs.CallIssued
	notes  map[string]int
	claims map[int64]map[string]bool
	said   map[string]int  // messages
	given  [][2]int        // waits that have got a value
	gone   map[[2]int]bool // … that was discarded
	facts  map[string]int
}

func (l *ledger) read(e jobs.Entry) error {
	switch ev := e.Event.(type) {
	case jobs.CallIssued:
		l.calls[[2]int{e.Cell, ev.Call}] = ev
	case jobs.CallSettled:
		if ev.Value != nil {
			return l.settled(e.Cell, ev)
		}
	case jobs.ValueDiscarded:
		return l.discarded(ev)
	case jobs.MessageReceived:
		l.said[string(ev.Payload)]++
	case jobs.CellEnded:
		if ev.Error != nil && ev.Error.Name == "DivergedError" {
			return errors.New(ev.Error.Message)
		}
	case jobs.Halted:
		if strings.HasPrefix(ev.Reason, "internal error") {
			return errors.New(ev.Reason)
		}
	}
	return nil
}

// settled follows a value that a call has got.
func (l *ledger) settled(cell int, ev jobs.CallSettled) error {
	if l.calls[[2]int{cell, ev.Call}].Class == jobs.Wait {
		l.given = append(l.given, [2]int{cell, ev.Call})
	}
	switch ev.Name {
	case "note":
		var args []string
		if err := json.Unmarshal(l.calls[[2]int{cell, ev.Call}].Args, &args); err != nil {
			return err
		}
		l.notes[args[0]]++
	case "ping", "pingOnce":
		if key := fmt.Sprintf("%s/%d/%d", l.id, cell, ev.Call); l.w.performed[key] == 0 {
			return fmt.Errorf("call %s is recorded and was never made", key)
		}
	case "message":
		l.said[string(ev.Value)]++
	case "pick":
		return l.claim(ev.Value, cell, ev.Call, false)
	case "event":
		return l.heard(ev.Value)
	}
	return nil
}

// heard: a job gets a fact once.
func (l *ledger) heard(value json.RawMessage) error {
	if l.facts[string(value)]++; l.facts[string(value)] > 1 {
		return fmt.Errorf("fact %s came twice", value)
	}
	return nil
}

// claim notes that a call has claimed a task, or given it back.
func (l *ledger) claim(value json.RawMessage, cell, call int, back bool) error {
	var task struct{ ID int64 }
	if err := json.Unmarshal(value, &task); err != nil {
		return err
	}
	if l.claims[task.ID] == nil {
		l.claims[task.ID] = map[string]bool{}
	}
	l.claims[task.ID][fmt.Sprintf("%s/%d/%d", l.id, cell, call)] = back
	return nil
}

// discarded follows a value that no code has seen. One that was never given to a call is new here.
func (l *ledger) discarded(ev jobs.ValueDiscarded) error {
	l.gone[[2]int{ev.Cell, ev.Call}] = true
	switch {
	case ev.Name == "event" && l.calls[[2]int{ev.Cell, ev.Call}].Name == "":
		return l.heard(ev.Value)
	case ev.Name != "pick":
		return nil
	case ev.Release != "done":
		return fmt.Errorf("call %d of cell %d: the value %s was not given back: %q", ev.Call, ev.Cell, ev.Value, ev.Release)
	}
	return l.claim(ev.Value, ev.Cell, ev.Call, true)
}

// unseen finds a value that was given to a wait, and that neither code has seen nor a record says so. Sleeps give none.
func (l *ledger) unseen() error {
	if l.w.Machine != nil {
		return nil // only the small machine tells what it was given
	}
	for _, at := range l.given {
		name := l.calls[at].Name
		if name != "sleep" && !l.gone[at] && l.w.seen[[3]int{l.w.plans[l.id].n, at[0], at[1]}] == 0 {
			return fmt.Errorf("the value of call %d of cell %d, %s, is neither seen nor discarded", at[1], at[0], name)
		}
	}
	return nil
}
