package store_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"statek/internal/agents"
	"statek/internal/jobs"
)

// note is a call that writes a text; a second one with the same text fails.
func (h *holder) note(text string) agents.SQLRun {
	h.k.Helper()
	tool, err := agents.ParseTool("tools/t.sql", "-- tool: t(x text)\n-- returns: value\ninsert into app.notes (text) values (:x) returning text")
	h.k.must(err)
	value, _ := json.Marshal(text) // a string
	return agents.SQLRun{
		SQLCall: *tool.SQL, Values: map[string]json.RawMessage{"x": value}, Timeout: 5 * time.Second,
		Builtins: map[string]string{"job_id": h.rec.Job.String(), "prefix": "/acme"}, Chain: &agents.Chain{},
	}
}

// run performs a call, records it with the one after it, and says what that is.
func (h *holder) run(call agents.SQLRun, next *agents.SQLRun) (value string, err error) {
	before := h.state
	err = h.k.store.RunTool(h.k.ctx, call, func(v json.RawMessage, f *jobs.Fault) (jobs.Commit, jobs.Ended, error) {
		value, call.Chain.Next = string(v), next
		n := h.state.Cell.Issued
		return h.commit(jobs.CallSettled{Call: n, Name: "t", Value: v, Error: f},
				jobs.CallIssued{Call: n + 1, Name: "t", Class: jobs.Tool, Args: json.RawMessage("[]")}), func(_ bool, err error) {
				if err != nil {
					h.state = before
				}
			}, nil
	})
	return value, err
}

func (k *jobsKit) notes() (n int) {
	k.Helper()
	k.must(k.pool.QueryRow(k.ctx, "select count(*) from app.notes").Scan(&n))
	return n
}

func TestACallBeginsWithTheCommitBefore(t *testing.T) {
	t.Parallel()
	k, h := toolKit(t)
	first, second := h.note("one"), h.note("two")
	if _, err := h.run(first, &second); err != nil || first.Chain.Begun == nil {
		t.Fatalf("error %v, begun %v, want the second call begun", err, first.Chain.Begun)
	}
	if n := k.notes(); n != 1 {
		t.Errorf("others see %d notes, want that of the first call alone", n)
	}
	second.Begun = first.Chain.Begun
	if value, err := h.run(second, nil); err != nil || value != `"two"` {
		t.Errorf("the second call: %s, %v", value, err)
	}
	if n := k.notes(); n != 2 {
		t.Errorf("%d notes, want each call's once", n)
	}
	second.Begun.Discard() // nothing is left of it
	if held := k.pool.Stat().AcquiredConns(); held != 0 {
		t.Errorf("%d connections are held", held)
	}
}

func TestACallThatWasBegunIsUndone(t *testing.T) {
	t.Parallel()
	k, h := toolKit(t)
	for range 20 { // more than there are places and connections
		first, second := h.note(uuid.NewString()), h.note("two")
		_, err := h.run(first, &second)
		k.must(err)
		if first.Chain.Begun == nil {
			t.Fatal("the second call was not begun")
		}
		first.Chain.Begun.Discard()
		first.Chain.Begun.Discard()
	}
	if n := k.notes(); n != 20 {
		t.Errorf("%d notes, want 20", n)
	}
	if held := k.pool.Stat().AcquiredConns(); held != 0 {
		t.Errorf("%d connections are held", held)
	}
}

// TestACallThatCannotBegin: the call before it is committed all the same.
func TestACallThatCannotBegin(t *testing.T) {
	t.Parallel()
	k, h := toolKit(t)
	first, same := h.note("one"), h.note("one")
	if _, err := h.run(first, &same); err != nil || first.Chain.Begun != nil {
		t.Fatalf("error %v, begun %v, want the first committed and nothing begun", err, first.Chain.Begun)
	}
	third := h.note("three")
	if value, err := h.run(third, nil); err != nil || value != `"three"` {
		t.Errorf("the call after: %s, %v", value, err)
	}
	if n, held := k.notes(), k.pool.Stat().AcquiredConns(); n != 2 || held != 0 {
		t.Errorf("%d notes and %d connections held, want 2 and none", n, held)
	}
}

// TestNothingBeginsWithoutACommit: a fenced call takes what follows with it.
func TestNothingBeginsWithoutACommit(t *testing.T) {
	t.Parallel()
	k, h := toolKit(t)
	h.rec.Owner = uuid.New()
	first, second := h.note("one"), h.note("two")
	if _, err := h.run(first, &second); !errors.Is(err, jobs.ErrFenced) || first.Chain.Begun != nil {
		t.Errorf("error %v, begun %v, want ErrFenced and nothing", err, first.Chain.Begun)
	}
	if n, held := k.notes(), k.pool.Stat().AcquiredConns(); n != 0 || held != 0 {
		t.Errorf("%d notes and %d connections held, want none", n, held)
	}
}

// TestFewCallsBegin: what holds a connection and waits for its job is a small part of the pool.
func TestFewCallsBegin(t *testing.T) {
	t.Parallel()
	k, h := toolKit(t)
	most := int(k.pool.Config().MaxConns / 8)
	var held []agents.Begun
	for i := range most + 2 {
		first, second := h.note(uuid.NewString()), h.note(uuid.NewString())
		_, err := h.run(first, &second)
		k.must(err)
		if b := first.Chain.Begun; b != nil {
			held = append(held, b)
		} else if i < most {
			t.Errorf("call %d was not begun, and there are %d places", i, most)
		}
	}
	if len(held) != most {
		t.Errorf("%d calls are begun at once, want %d", len(held), most)
	}
	for _, b := range held {
		b.Discard()
	}
}
