package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"statek/internal/agents"
	"statek/internal/jobs"
)

// other is a call of a tool with a text of its own.
func (h *holder) other(text string) agents.SQLRun {
	h.k.Helper()
	tool, err := agents.ParseTool("tools/t.sql", "-- tool: t()\n-- returns: value\n"+text)
	h.k.must(err)
	call := h.note("")
	call.SQLCall, call.Values = *tool.SQL, map[string]json.RawMessage{}
	return call
}

// locked runs do while another session holds what sql has locked.
func (k *jobsKit) locked(sql string, do func()) {
	k.Helper()
	tx, err := k.pool.Begin(k.ctx)
	k.must(err)
	defer func() { k.must(tx.Rollback(context.WithoutCancel(k.ctx))) }()
	_, err = tx.Exec(k.ctx, sql)
	k.must(err)
	do()
}

// bounded ends what waits for a lock in vain, so that its test fails and does not hang.
func (k *jobsKit) bounded() {
	k.Helper()
	ctx, cancel := context.WithTimeout(k.ctx, 15*time.Second)
	k.Cleanup(cancel)
	k.ctx = ctx
}

// TestACallDoesNotWaitForTheNext: it is committed, and its job must hear of it and of its mail, while the next one waits for a lock.
func TestACallDoesNotWaitForTheNext(t *testing.T) {
	t.Parallel()
	k, h := toolKit(t)
	_, err := h.run(h.note("warm"), nil)
	k.must(err)
	k.bounded()
	k.locked("insert into app.notes (text) values ('two')", func() {
		first, second := h.note("one"), h.note("two")
		second.Timeout = time.Minute
		if _, err := h.run(first, &second); err != nil || first.Chain.Begun != nil {
			t.Errorf("error %v, begun %v, want the first committed and nothing begun", err, first.Chain.Begun)
		}
	})
	if n := k.notes(); n != 2 {
		t.Errorf("%d notes, want 2", n)
	}
}

// TestAStatementIsNotReadBeforeTheCommitThatItFollows: what the connection does not know may wait for its table, or have none, and the
// call before has nothing to do with that.
func TestAStatementIsNotReadBeforeTheCommitThatItFollows(t *testing.T) {
	t.Parallel()
	k, h := toolKit(t)
	k.exec("create table app.busy (n int); grant select on app.busy to statek_tool")
	k.bounded()
	k.locked("lock table app.busy in access exclusive mode", func() {
		busy := h.other("select count(*) from app.busy")
		_, err := h.run(h.note("one"), &busy)
		k.must(err)
	})
	gone := h.other("select count(*) from app.gone")
	_, err := h.run(h.note("two"), &gone)
	k.must(err)
	if n := k.notes(); n != 2 {
		t.Errorf("%d notes, want 2", n)
	}
	var tried int
	k.must(k.pool.QueryRow(k.ctx, "select max(id) from app.notes").Scan(&tried))
	if tried != 2 {
		t.Errorf("the two calls were performed %d times", tried)
	}
}

// TestAStatementThatIsNotKeptAnyMoreBeginsNothing: the driver gives up all statements of a batch that fails.
func TestAStatementThatIsNotKeptAnyMoreBeginsNothing(t *testing.T) {
	t.Parallel()
	k, h := toolKit(t)
	k.exec("create table app.busy (n int); grant select on app.busy to statek_tool")
	k.bounded()
	holder, err := k.pool.Begin(k.ctx) // first, so that all calls have the other connection
	k.must(err)
	defer func() { k.must(holder.Rollback(context.WithoutCancel(k.ctx))) }()
	busy := h.other("select count(*) from app.busy")
	_, err = h.run(busy, nil)
	k.must(err)
	first, owner := h.note("one"), h.rec.Owner
	h.rec.Owner = uuid.New()
	if _, err := h.run(first, &busy); !errors.Is(err, jobs.ErrFenced) {
		t.Fatalf("error %v, want ErrFenced", err)
	}
	h.rec.Owner = owner
	_, err = holder.Exec(k.ctx, "lock table app.busy in access exclusive mode")
	k.must(err)
	if _, err := h.run(first, &busy); err != nil || first.Chain.Begun != nil {
		t.Errorf("error %v, begun %v, want the first committed and nothing begun", err, first.Chain.Begun)
	}
}
