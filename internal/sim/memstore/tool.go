package memstore

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/google/uuid"

	"statek/internal/agents"
	"statek/internal/jobs"
	"statek/internal/temporal"
)

// Effect is what a call of the tool has done: a row of the ledger.
type Effect struct {
	Job  jobs.ID
	Note string
}

// Task is a row of the application's: somebody's when Owner is set.
type Task struct {
	ID     int64
	Queue  string
	Owner  jobs.ID
	locked bool
}

// RunTool implements engine.SQLRunner: the tool writes its note to the ledger, with its record.
func (s *Session) RunTool(ctx context.Context, run agents.SQLRun,
	settle func(value json.RawMessage, fault *jobs.Fault) (jobs.Commit, jobs.Ended, error),
) error {
	note := noteOf(run)
	job, err := uuid.Parse(run.Builtins["job_id"])
	if err != nil {
		return err
	}
	done := Effect{Job: job, Note: note}
	var fault *jobs.Fault
	if run.Begun == nil || !run.Begun.(*begun).take() {
		err = s.do(ctx, Txn{Name: "tool", Job: job, Of: note, Retry: true}, func() error {
			switch {
			case fails(note):
				fault = &jobs.Fault{Name: "SQLError", Code: "23514", Message: "the note is refused"}
			case s.Bugs.EffectBeforeRecord:
				s.ledger = append(s.ledger, done)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	value, _ := json.Marshal(note) // a string
	if fault != nil {
		value = nil
	}
	return s.settled(ctx, Txn{Name: "tool commit", Job: job, Of: note, Commit: true, Retry: true}, func() (jobs.Commit, jobs.Ended, error) {
		return settle(value, fault)
	}, func() {
		if fault == nil && !s.Bugs.EffectBeforeRecord {
			s.ledger = append(s.ledger, done)
		}
	}, func() { s.beginNext(ctx, job, run.Chain) })
}

// beginNext performs the call that follows, if nothing comes in between. What it does is seen when it is recorded.
func (s *Session) beginNext(ctx context.Context, job jobs.ID, chain *agents.Chain) {
	if chain == nil || chain.Next == nil || s.Bugs.EffectBeforeRecord {
		return
	}
	note := noteOf(*chain.Next)
	if fails(note) {
		return
	}
	_ = s.do(ctx, Txn{Name: "next tool", Job: job, Of: note}, func() error {
		s.begun++
		chain.Begun = &begun{db: s.DB}
		return nil
	})
}

// begun is a call that was performed with the commit of the one before.
type begun struct {
	db   *DB
	over bool
}

func (b *begun) take() bool {
	b.db.mu.Lock()
	defer b.db.mu.Unlock()
	if b.over {
		return false
	}
	b.over = true
	b.db.begun--
	return true
}

// Discard implements agents.Begun.
func (b *begun) Discard() { b.take() }

// Begun counts the calls that were performed, and are neither recorded nor discarded.
func (db *DB) Begun() int {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.begun
}

func noteOf(run agents.SQLRun) (note string) {
	_ = json.Unmarshal(run.Values["note"], &note) // a text
	return note
}

func fails(note string) bool { return strings.HasSuffix(note, "fail") }

// GiveBack implements engine.SQLRunner: a claimed task is ready again.
func (s *Session) GiveBack(ctx context.Context, job jobs.ID, _ string, values []temporal.Discard,
	settle func(outcomes []string) (jobs.Commit, jobs.Ended, error),
) error {
	outcomes := make([]string, len(values))
	for i, v := range values {
		if v.Temporal != "" {
			outcomes[i] = "done"
		}
	}
	return s.settled(ctx, Txn{Name: "give back", Job: job, Commit: true, Retry: true}, func() (jobs.Commit, jobs.Ended, error) {
		return settle(outcomes)
	}, func() {
		for i, v := range values {
			if outcomes[i] != "" && !s.Bugs.ForgetLosers {
				s.giveBack(job, v.Value)
			}
		}
	}, func() {})
}

// settled commits a call's effects with its record, and does at once what follows.
func (s *Session) settled(ctx context.Context, t Txn, settle func() (jobs.Commit, jobs.Ended, error), effects, then func()) error {
	c, ended, err := settle()
	if err != nil {
		return err
	}
	released := false
	var w writer
	defer s.rollback(&w)
	if err = s.ends(ctx, c, &w); err == nil {
		err = s.do(ctx, t, func() (err error) {
			if released, err = s.commit(c); err != nil {
				return err
			}
			effects()
			s.publish(&w)
			return nil
		})
	}
	if err == nil {
		then()
	}
	ended(err == nil && released, err)
	return err
}

func (db *DB) giveBack(job jobs.ID, value json.RawMessage) {
	var was struct{ ID int64 }
	_ = json.Unmarshal(value, &was) // a task's row
	for _, t := range db.tasks {
		if t.ID == was.ID && t.Owner == job {
			t.Owner = uuid.Nil
			w := db.write("app.tasks:" + t.Queue)
			db.publish(&w)
		}
	}
}

// AddTask makes a task in a transaction of two parts: between insert and commit a wait may be registered
// that it cannot see.
func (s *Session) AddTask(ctx context.Context, queue string) error {
	var w writer
	err := s.do(ctx, Txn{Name: "insert task", Of: queue}, func() error {
		w = s.write("app.tasks:" + queue)
		return nil
	})
	if err != nil {
		return err
	}
	defer s.rollback(&w)
	return s.do(ctx, Txn{Name: "commit task", Of: queue}, func() error {
		s.tasks = append(s.tasks, &Task{ID: s.id(), Queue: queue})
		s.publish(&w)
		return nil
	})
}

// LockTask locks a ready task of a queue for a while, and tells nobody when it lets it go.
func (s *Session) LockTask(ctx context.Context, queue string) error {
	var task *Task
	err := s.do(ctx, Txn{Name: "lock task", Of: queue}, func() error {
		i := slices.IndexFunc(s.tasks, func(t *Task) bool { return t.Queue == queue && t.Owner == uuid.Nil && !t.locked })
		if i >= 0 {
			task = s.tasks[i]
			task.locked = true
		}
		return nil
	})
	if err != nil || task == nil {
		return err
	}
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		task.locked = false
	}()
	return s.do(ctx, Txn{Name: "unlock task", Of: queue}, func() error { return nil })
}
