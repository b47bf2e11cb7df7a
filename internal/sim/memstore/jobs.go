package memstore

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"statek/internal/jobs"
)

// job is the rows of one job: cold, hot, history and variables.
type job struct {
	spec     jobs.Spec
	core     []byte // jobs.Job as JSON, perhaps of an earlier row: what is read shares nothing with what was written
	status   jobs.Status
	outcome  jobs.Outcome
	seq      int64
	epoch    int64
	owner    uuid.UUID
	from     uuid.UUID // the dead worker that it was taken from
	rung     bool
	wasRung  bool // to those whose snapshot is older than the last acknowledgement
	wake     time.Time
	blocked  string
	freed    time.Time // since when nobody owns it
	history  []jobs.Row
	vars     map[string]jobs.Variable
	folded   jobs.Job // of history, as far as it was checked
	consumed int      // mailbox rows, by commits
	received int      // … put
}

// Submit inserts a job and rings it, unless it starts later.
func (s *Session) Submit(ctx context.Context, id jobs.ID, spec jobs.Spec, ev jobs.Submitted) error {
	spec.CreatedAt = s.now().UTC()
	_, _, err := s.SubmitFor(ctx, id, spec, ev, uuid.Nil)
	return err
}

// SubmitFor inserts a job. A taker that lives is given it, unless it starts later; else it is rung. What was written is
// told also when the reply is lost.
func (s *Session) SubmitFor(ctx context.Context, id jobs.ID, spec jobs.Spec, ev jobs.Submitted, taker uuid.UUID) (written, given bool, err error) {
	err = s.do(ctx, Txn{Name: "submit", Job: id}, func() error {
		at := spec.CreatedAt
		state, _, err := jobs.Step(jobs.Job{}, ev, at)
		if err != nil {
			return err
		}
		j := &job{spec: spec, status: state.Status, vars: map[string]jobs.Variable{}, wake: state.Wake(), freed: s.DB.now()}
		if j.core, err = json.Marshal(state); err != nil {
			return err
		}
		if j.history, err = jobs.Rows(1, []jobs.Entry{{At: at, Event: ev}}); err != nil {
			return err
		}
		j.seq = 1
		s.jobs[id] = j
		s.changed[id] = true
		written, given = true, ev.RunAt == 0 && taker != uuid.Nil && s.alive(taker)
		switch {
		case given:
			j.owner, j.epoch = taker, 1
		case ev.RunAt == 0:
			s.ring(id)
		}
		return nil
	})
	return written, given, err
}

// give makes the job a worker's.
func (j *job) give(worker uuid.UUID) {
	j.epoch++
	j.owner, j.from, j.rung = worker, uuid.Nil, false
}

// Claim implements engine.Jobs.
func (s *Session) Claim(ctx context.Context, id jobs.ID, worker uuid.UUID, held bool) (rec jobs.Record, claimed bool, err error) {
	err = s.do(ctx, Txn{Name: "claim", Job: id}, func() error {
		j, ok := s.jobs[id]
		if !ok {
			return fmt.Errorf("claim job %s: %w", id, ErrNotFound)
		}
		if claimed = j.owner == uuid.Nil || !s.alive(j.owner) || j.owner == worker && !held; !claimed {
			j.rung = true
			return nil
		}
		if rec.Previous = j.owner; j.owner == uuid.Nil {
			rec.Previous = j.from
		}
		j.give(worker)
		return s.load(id, &rec)
	})
	if err != nil || !claimed {
		return jobs.Record{}, false, err
	}
	return rec, true, nil
}

// load reads what a claim answers with.
func (s *Session) load(id jobs.ID, rec *jobs.Record) (err error) {
	j := s.jobs[id]
	rec.Hold, rec.Spec = jobs.Hold{Job: id, Epoch: j.epoch, Owner: j.owner}, j.spec
	if err := json.Unmarshal(j.core, &rec.State); err != nil {
		return err
	}
	rec.Seq = j.seq
	behind, err := j.entries(func(r jobs.Row) bool { return r.Seq > rec.State.Seq })
	if err == nil && !s.Bugs.ForgetCalls {
		err = rec.State.CatchUp(behind)
	}
	if err != nil {
		return err
	}
	rec.Mail, rec.Variables = s.mailOf(id), j.variables()
	if rec.State.Status == jobs.Suspended {
		rec.Open, err = j.entries(s.replays(rec.State.Cell.Number, rec.State.Cell.Since))
	}
	return err
}

// Commit implements engine.Jobs. The end of a job probes for those who wait for it before it commits.
func (s *Session) Commit(ctx context.Context, c jobs.Commit) (released bool, err error) {
	var w writer
	defer s.rollback(&w)
	if err := s.ends(ctx, c, &w); err != nil {
		return false, err
	}
	err = s.do(ctx, Txn{Name: "commit", Job: c.Job, Commit: true}, func() error {
		if released, err = s.commit(c); err == nil {
			s.publish(&w)
		}
		return err
	})
	if err != nil {
		return false, err
	}
	return released, nil
}

// ends is the part of a transaction before its commit that looks for those who wait for the end of the job.
func (s *Session) ends(ctx context.Context, c jobs.Commit, w *writer) error {
	if c.State.Status != jobs.Done {
		return nil
	}
	return s.do(ctx, Txn{Name: "end", Job: c.Job}, func() error {
		if err := s.fence(c.Hold); err != nil {
			return err
		}
		*w = s.write("job:" + c.Job.String())
		return nil
	})
}

// commit is one transaction: all or nothing.
func (s *Session) commit(c jobs.Commit) (released bool, err error) {
	if err := s.fence(c.Hold); err != nil {
		return false, err
	}
	j := s.jobs[c.Job]
	core := j.core
	if !c.Trailing {
		if core, err = json.Marshal(c.State); err != nil {
			return false, err
		}
	}
	rows, err := s.rows(j, c)
	if err != nil {
		return false, err
	}
	if err := j.mayKeep(c.Variables); err != nil {
		return false, fmt.Errorf("memstore: commit job %s: %w", c.Job, err)
	}
	j.core, j.status, j.outcome, j.blocked, j.wake = core, c.State.Status, c.State.Outcome, c.BlockedOn, time.Time{}
	if c.Release || c.HandOver {
		j.wake = c.State.Wake()
	}
	j.history = append(j.history, rows...)
	j.seq += int64(len(c.Entries))
	s.changed[c.Job] = true
	for _, w := range c.Variables {
		for _, name := range w.Deleted {
			delete(j.vars, name)
		}
		for _, v := range w.Set {
			v.Value = slices.Clone(v.Value)
			j.vars[v.Name] = v
		}
	}
	for _, w := range c.Withdraw {
		s.withdraw(c.Job, w)
	}
	for _, spec := range c.Waits {
		s.register(c.Job, spec)
	}
	for _, set := range c.Sets {
		s.join(c.Job, set)
	}
	before := len(s.mail)
	s.mail = slices.DeleteFunc(s.mail, func(l *letter) bool { return l.job == c.Job && slices.Contains(c.Mail, l.mail.ID) })
	j.consumed += before - len(s.mail)
	switch {
	case c.HandOver:
		s.handOver(c.Hold)
		return true, nil
	case c.Release:
		return s.release(c.Hold), nil
	}
	return false, nil
}

// mayKeep refuses a value for a name that has one which is not replaced: a name has one open row.
func (j *job) mayKeep(list []jobs.Workspace) error {
	has := map[string]bool{}
	for name := range j.vars {
		has[name] = true
	}
	for _, w := range list {
		for _, name := range slices.Concat(w.Deleted, w.Replaced) {
			has[name] = false
		}
		for _, v := range w.Set {
			if has[v.Name] {
				return fmt.Errorf("variable %s of cell %d has a value already", v.Name, w.Cell)
			}
			has[v.Name] = true
		}
	}
	return nil
}

// rows makes history rows of a commit's entries, whose place is given here.
func (s *Session) rows(j *job, c jobs.Commit) ([]jobs.Row, error) {
	rows, err := jobs.Rows(j.seq+1, c.Entries)
	if last := j.seq + int64(len(c.Entries)); err == nil && c.State.Seq != last {
		err = fmt.Errorf("memstore: commit job %s: the state is at row %d, its history at %d", c.Job, c.State.Seq, last)
	}
	return rows, err
}

func (s *Session) fence(h jobs.Hold) error {
	j, ok := s.jobs[h.Job]
	if !ok || (j.epoch != h.Epoch || j.owner != h.Owner) && !s.Bugs.NoFence {
		return fmt.Errorf("commit job %s: %w", h.Job, jobs.ErrFenced)
	}
	return nil
}

// held reports whether the hold is good. Statements that are not fenced do nothing without it.
func (s *Session) held(h jobs.Hold) *job {
	if j, ok := s.jobs[h.Job]; ok && j.epoch == h.Epoch && j.owner == h.Owner {
		return j
	}
	return nil
}

func (s *Session) release(h jobs.Hold) bool {
	j := s.held(h)
	if j == nil || j.rung && !s.Bugs.ReleaseAnyway {
		return false
	}
	j.owner, j.freed = uuid.Nil, s.DB.now()
	return true
}

func (s *Session) handOver(h jobs.Hold) {
	if j := s.held(h); j != nil {
		j.owner, j.rung, j.freed = uuid.Nil, false, s.DB.now()
	}
	s.ring(h.Job)
}

// Release implements engine.Jobs.
func (s *Session) Release(ctx context.Context, h jobs.Hold) (released bool, err error) {
	err = s.do(ctx, Txn{Name: "release", Job: h.Job}, func() error {
		released = s.release(h)
		return nil
	})
	return released && err == nil, err
}

// Vacate implements engine.Jobs; there are no limits.
func (s *Session) Vacate(context.Context, jobs.ID) error { return nil }

// ClearRung implements engine.Jobs.
func (s *Session) ClearRung(ctx context.Context, h jobs.Hold) error {
	return s.do(ctx, Txn{Name: "clear", Job: h.Job}, func() error {
		if j := s.held(h); j != nil {
			j.rung, j.wasRung = false, j.rung
		}
		return nil
	})
}

// HandOver implements engine.Jobs.
func (s *Session) HandOver(ctx context.Context, h jobs.Hold) error {
	return s.do(ctx, Txn{Name: "hand over", Job: h.Job}, func() error {
		s.handOver(h)
		return nil
	})
}
