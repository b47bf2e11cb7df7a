package memstore

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"statek/internal/jobs"
)

// letter is one mailbox row.
type letter struct {
	job  jobs.ID
	mail jobs.Mail
}

// put leaves mail; the caller rings.
func (db *DB) put(id jobs.ID, m jobs.Mail) {
	m.ID, m.At = db.id(), db.now()
	db.mail = append(db.mail, &letter{id, m})
	db.jobs[id].received++
}

// Put leaves mail for a job and rings it. Messages to jobs that have failed or were cancelled are refused.
func (s *Session) Put(ctx context.Context, id jobs.ID, kind string, payload json.RawMessage) (accepted bool, err error) {
	accepted, _, err = s.PutFor(ctx, id, kind, payload, uuid.Nil)
	return accepted && err == nil, err
}

// PutFor leaves mail for a job. A taker that lives is given the job with it if nobody has it; else it is rung. What was written is
// told also when the reply is lost.
func (s *Session) PutFor(ctx context.Context, id jobs.ID, kind string, payload json.RawMessage, taker uuid.UUID) (accepted bool, given *jobs.Record, err error) {
	err = s.do(ctx, Txn{Name: "put", Job: id, Of: kind}, func() error {
		j := s.jobs[id]
		if accepted = kind != "message" || j.outcome == "" || j.outcome == jobs.Succeeded; !accepted {
			return nil
		}
		s.put(id, jobs.Mail{Kind: kind, Payload: payload})
		if taker == uuid.Nil || j.owner != uuid.Nil || !s.alive(taker) {
			s.ring(id)
			return nil
		}
		given = &jobs.Record{Previous: j.from}
		j.give(taker)
		return s.load(id, given)
	})
	return accepted, given, err
}

// Mail implements engine.Jobs.
func (s *Session) Mail(ctx context.Context, id jobs.ID) ([]jobs.Mail, error) {
	var list []jobs.Mail
	err := s.do(ctx, Txn{Name: "mail", Job: id}, func() error {
		list = s.mailOf(id)
		return nil
	})
	return list, err
}

func (db *DB) mailOf(id jobs.ID) (list []jobs.Mail) {
	for _, l := range db.mail {
		if l.job == id {
			list = append(list, l.mail)
		}
	}
	if db.Bugs.EatMail {
		db.mail = slices.DeleteFunc(db.mail, func(l *letter) bool { return l.job == id })
	}
	return list
}

func (j *job) variables() (list []jobs.Variable) {
	for _, name := range slices.Sorted(maps.Keys(j.vars)) {
		v := j.vars[name]
		v.Value = slices.Clone(v.Value)
		list = append(list, v)
	}
	return list
}

// Kinds of history rows that a replay and the model need.
var (
	replayed = []string{"cell_started", "call_issued", "waits_joined", "call_settled", "called", "console", "suspended", "value_discarded"}
	shown    = []string{
		"cell_started", "console", "cell_ended", "call_issued", "call_settled", "called", "model_replied", "message_received", "value_discarded",
		"finished", "resumed",
	}
)

// CellHistory implements engine.Jobs.
func (s *Session) CellHistory(ctx context.Context, id jobs.ID, cell int, since int64) ([]jobs.Entry, error) {
	return s.read(ctx, "cell", id, s.replays(cell, since))
}

// replays picks what a replay of a cell needs.
func (db *DB) replays(cell int, since int64) func(jobs.Row) bool {
	return func(r jobs.Row) bool {
		return r.Cell == cell && r.Seq >= since && slices.Contains(replayed, r.Kind) && (!db.Bugs.ForgetJoins || r.Kind != "waits_joined")
	}
}

// ModelHistory implements engine.Jobs.
func (s *Session) ModelHistory(ctx context.Context, id jobs.ID) ([]jobs.Entry, error) {
	return s.read(ctx, "dialogue", id, func(r jobs.Row) bool { return slices.Contains(shown, r.Kind) })
}

// LastReply implements engine.Jobs.
func (s *Session) LastReply(ctx context.Context, id jobs.ID) (jobs.ModelReplied, error) {
	list, err := s.read(ctx, "reply", id, func(r jobs.Row) bool { return r.Kind == "model_replied" })
	if err != nil || len(list) == 0 {
		return jobs.ModelReplied{}, err
	}
	reply, _ := list[len(list)-1].Event.(jobs.ModelReplied)
	return reply, nil
}

func (s *Session) read(ctx context.Context, name string, id jobs.ID, want func(jobs.Row) bool) (list []jobs.Entry, err error) {
	err = s.do(ctx, Txn{Name: name, Job: id}, func() error {
		list, err = s.jobs[id].entries(want)
		return err
	})
	return list, err
}

func (j *job) entries(want func(jobs.Row) bool) ([]jobs.Entry, error) {
	var rows []jobs.Row
	for _, r := range j.history {
		if want(r) {
			r.At = r.At.UTC().Truncate(time.Microsecond)
			rows = append(rows, r)
		}
	}
	return jobs.Entries(rows)
}
