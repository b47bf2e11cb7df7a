package memstore

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"statek/internal/jobs"
	"statek/internal/temporal"
)

// Check reports what must never be so, whatever has happened:
//
//   - a job's row that is not the fold of its history, which is dense, up to the last row that is more than a call,
//   - mail that has gone without a commit that consumed it,
//   - an open wait in a cell's history that nobody would wake: it is not registered, and no mail ends it,
//   - a group whose waiters could be served and to which nobody owes a look.
func (db *DB) Check() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	for _, id := range db.sorted() {
		if db.changed[id] {
			if err := db.checkFold(id); err != nil {
				return err
			}
		}
		j := db.jobs[id]
		left := 0
		for _, l := range db.mail {
			if l.job == id {
				left++
			}
		}
		if j.received != j.consumed+left {
			return fmt.Errorf("job %s: %d rows of mail came, %d were consumed by commits and %d are left", id, j.received, j.consumed, left)
		}
		if call := db.unregistered(id); call != 0 {
			return fmt.Errorf("job %s: call %d waits, and nobody knows", id, call)
		}
	}
	clear(db.changed)
	for _, g := range db.groups {
		if db.ready(g) && !db.owed(g) {
			return fmt.Errorf("a wake-up is lost: %s%s at %s is ready, has waiters, and nobody owes it a look", g.Name, g.Args, g.Prefix)
		}
	}
	return nil
}

// checkFold folds what is new of a history.
func (db *DB) checkFold(id jobs.ID) error {
	j := db.jobs[id]
	entries, err := j.entries(func(r jobs.Row) bool { return r.Seq > j.folded.Seq })
	if err != nil {
		return err
	}
	var row jobs.Job
	if err := json.Unmarshal(j.core, &row); err != nil {
		return err
	}
	known := len(entries) - int(j.seq-row.Seq) // what follows trails
	if known < 0 || !jobs.Trails(entries[known:]) {
		known = len(entries)
	}
	if err := j.folded.CatchUp(entries[:known]); err != nil {
		return fmt.Errorf("job %s: %w", id, err)
	}
	core, err := json.Marshal(j.folded)
	if err != nil {
		return err
	}
	if !bytes.Equal(core, j.core) {
		return fmt.Errorf("job %s is %s, and its history folds to %s", id, j.core, core)
	}
	now := j.folded
	if err := now.CatchUp(entries[known:]); err != nil {
		return fmt.Errorf("job %s: %w", id, err)
	}
	if now.Seq != j.seq {
		return fmt.Errorf("job %s is at %d, and its history has %d facts", id, j.seq, now.Seq)
	}
	if now.Status != j.status {
		return fmt.Errorf("job %s is %s for everybody, and %s by its history", id, j.status, now.Status)
	}
	return nil
}

// unregistered finds an open wait that has neither a row nor mail; 0: there is none. Of a set it is enough when one has:
// a message wins before its commit.
func (db *DB) unregistered(id jobs.ID) int {
	cell := db.jobs[id].folded.Cell
	if cell == nil {
		return 0
	}
	known := func(call int) bool {
		return slices.ContainsFunc(db.waits, func(w *wait) bool { return w.job == id && w.cell == cell.Number && w.call == call }) ||
			slices.ContainsFunc(db.mail, func(l *letter) bool { return l.job == id && l.mail.Cell == cell.Number && l.mail.Call == call })
	}
	for _, p := range cell.Open {
		in := []int{p.Call}
		for _, set := range cell.Sets {
			if slices.Contains(set.Calls, p.Call) {
				in = set.Calls
			}
		}
		if p.Class == jobs.Wait && !slices.ContainsFunc(in, known) {
			return p.Call
		}
	}
	return 0
}

// owed reports that somebody is going to look at the group: a check, a mark or a time says so.
func (db *DB) owed(g *group) bool {
	return !g.retry.IsZero() ||
		slices.ContainsFunc(db.checks, func(c *check) bool { return c.group == g.id }) ||
		slices.ContainsFunc(db.dirty, func(m mark) bool { return slices.Contains(g.Deps, m.dep) })
}

// ready reports that a look would serve somebody.
func (db *DB) ready(g *group) bool {
	heads := db.heads(g, broadcastBatch)
	if len(heads) == 0 {
		return false
	}
	switch g.Kind {
	case temporal.Event:
		return slices.ContainsFunc(heads, func(w *wait) bool { return db.nextFact(g, w) != nil })
	case temporal.Job:
		kind, _ := db.outcomeOf(g.target(), g.Prefix)
		return kind != ""
	default:
		return slices.ContainsFunc(db.tasks, func(t *Task) bool { return t.Queue == g.queue() && t.Owner == uuid.Nil && !t.locked })
	}
}

// Unrung lists the jobs that have work, no owner and no doorbell.
func (db *DB) Unrung() (list []jobs.ID) {
	db.mu.Lock()
	defer db.mu.Unlock()
	rung := map[jobs.ID]bool{}
	for _, b := range db.bells {
		rung[b.Job] = true
	}
	always := db.now().Add(time.Hour)
	for _, id := range db.sorted() {
		if !rung[id] && db.hasWork(id, db.jobs[id], always) {
			list = append(list, id)
		}
	}
	return list
}

// View is a job as a test sees it.
type View struct {
	Status   jobs.Status
	Outcome  jobs.Outcome
	Owner    uuid.UUID
	Epoch    int64
	Mail     int
	Kinds    string // of mail
	Waits    int
	Sleeping string // what it is blocked on
}

// Look shows a job.
func (db *DB) Look(id jobs.ID) View {
	db.mu.Lock()
	defer db.mu.Unlock()
	j := db.jobs[id]
	v := View{Status: j.status, Outcome: j.outcome, Owner: j.owner, Epoch: j.epoch, Sleeping: j.blocked}
	for _, l := range db.mail {
		if l.job == id {
			v.Mail++
			v.Kinds += l.mail.Kind + " "
		}
	}
	for _, w := range db.waits {
		if w.job == id {
			v.Waits++
		}
	}
	return v
}

// History reads all rows of a job.
func (db *DB) History(id jobs.ID) ([]jobs.Entry, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.jobs[id].entries(func(jobs.Row) bool { return true })
}

// Ledger lists what calls of the tool have done.
func (db *DB) Ledger() []Effect {
	db.mu.Lock()
	defer db.mu.Unlock()
	return slices.Clone(db.ledger)
}

// Tasks lists the application's tasks.
func (db *DB) Tasks() []Task {
	db.mu.Lock()
	defer db.mu.Unlock()
	list := make([]Task, len(db.tasks))
	for i, t := range db.tasks {
		list[i] = *t
	}
	return list
}
