package memstore

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/google/uuid"

	"statek/internal/jobs"
	"statek/internal/temporal"
)

type wait struct {
	id, group, set int64 // 0: none
	job            jobs.ID
	cell, call     int
	kind           temporal.Kind
	due            *time.Time
	since          *time.Time
}

type group struct {
	id int64
	temporal.Group
	retry    time.Time
	attempts int
	last     temporal.State
	lastAt   time.Time
}

// check is a look that is owed to a group, once every transaction before settle is over; 0: now; nil: not stamped.
type check struct {
	group  int64
	settle *int64
}

type mark struct{ dep string }

// writer is an open transaction of somebody who writes what others wait for.
type writer struct {
	xid  int64
	deps []string // those that somebody waited for when it wrote
}

// write probes for waits, as a trigger does in the writer's transaction.
func (db *DB) write(deps ...string) writer {
	w := writer{xid: db.begin()}
	for _, dep := range deps {
		if slices.ContainsFunc(mapValues(db.groups), func(g *group) bool { return slices.Contains(g.Deps, dep) }) {
			w.deps = append(w.deps, dep)
		}
	}
	return w
}

// publish is the writer's commit: its marks are seen with its data.
func (db *DB) publish(w *writer) {
	for _, dep := range w.deps {
		db.dirty = append(db.dirty, mark{dep})
	}
	db.end(w.xid)
	*w = writer{}
}

// rollback ends a writer that has not committed.
func (db *DB) rollback(w *writer) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.end(w.xid)
}

// register is one wait of a commit.
func (db *DB) register(job jobs.ID, spec temporal.Spec) {
	w := &wait{
		id: db.id(), job: job, cell: spec.Cell, call: spec.Call, kind: spec.Kind, due: spec.Due, since: spec.Since,
	}
	if spec.Group != nil {
		hash := string(spec.Group.Hash())
		g, ok := db.byHash[hash]
		if !ok {
			g = &group{id: db.id(), Group: *spec.Group}
			db.byHash[hash], db.groups[g.id] = g, g
		}
		w.group = g.id
		db.checks = append(db.checks, &check{group: g.id})
	}
	db.waits = append(db.waits, w)
}

// of finds the open waits of a cell: all, or those of some calls.
func (db *DB) of(job jobs.ID, cell int, calls []int) (list []*wait) {
	for _, w := range db.waits {
		if w.job == job && w.cell == cell && (calls == nil || slices.Contains(calls, w.call)) {
			list = append(list, w)
		}
	}
	return list
}

// join makes a set of waits; if one of them has ended and that decides, the others are gone.
func (db *DB) join(job jobs.ID, set temporal.Set) {
	list := db.of(job, set.Cell, set.Calls)
	if len(list) == 0 {
		return
	}
	resolved := slices.ContainsFunc(db.mail, func(l *letter) bool {
		m := l.mail
		return l.job == job && m.Kind == "resolved" && m.Cell == set.Cell && slices.Contains(set.Calls, m.Call)
	})
	if len(list) < len(set.Calls) && (set.Mode == temporal.First || resolved) {
		db.drop(list)
		return
	}
	id := db.id()
	db.sets[id] = set.Mode
	for _, w := range list {
		w.set = id
	}
}

func (db *DB) withdraw(job jobs.ID, x temporal.Withdrawal) {
	db.drop(db.of(job, x.Cell, x.Calls))
	for id := range db.sets {
		if !slices.ContainsFunc(db.waits, func(w *wait) bool { return w.set == id }) {
			delete(db.sets, id)
		}
	}
}

func (db *DB) drop(list []*wait) {
	db.waits = slices.DeleteFunc(db.waits, func(w *wait) bool { return slices.Contains(list, w) })
}

// ending is how a wait ends.
type ending struct {
	wait    *wait
	kind    string
	payload json.RawMessage
}

// settle ends waits: mail, rings, and the losers of decided sets are withdrawn. Of several of one set the first that
// decides wins. It returns how many got their mail.
func (db *DB) settle(list []ending, wake func([]jobs.ID)) (n int) {
	var woken []jobs.ID
	decided := map[int64]bool{}
	for _, e := range list {
		w := e.wait
		if w.set != 0 && decided[w.set] {
			continue
		}
		db.put(w.job, jobs.Mail{Kind: e.kind, Cell: w.cell, Call: w.call, Payload: e.payload})
		if !slices.Contains(woken, w.job) {
			woken = append(woken, w.job)
		}
		db.drop([]*wait{w})
		n++
		if w.set != 0 && (db.sets[w.set] == temporal.First || e.kind == "resolved") && !db.Bugs.ForgetSets {
			decided[w.set] = true
			db.dropSet(w.set)
		}
	}
	wake(woken)
	return n
}

func (db *DB) ringAll(ids []jobs.ID) {
	for _, id := range ids {
		db.ring(id)
	}
}

// mostTaken is how many woken jobs one worker may keep for itself.
const mostTaken = 4

// take keeps those of a few woken jobs that sleep and that nobody owns, and rings the others.
func (s *Session) take(ids []jobs.ID) (taken []jobs.ID) {
	for _, id := range ids {
		j := s.jobs[id]
		if len(ids) > mostTaken || j.owner != uuid.Nil || j.status != jobs.Suspended {
			s.ring(id)
			continue
		}
		j.give(s.Taker.Worker)
		taken = append(taken, id)
	}
	return taken
}

// records are jobs that have just been taken.
func (s *Session) records(ids []jobs.ID) []jobs.Record {
	list := make([]jobs.Record, len(ids))
	for i, id := range ids {
		if err := s.load(id, &list[i]); err != nil {
			panic(err) // the simulation wrote it
		}
	}
	return list
}

func (db *DB) dropSet(set int64) {
	db.waits = slices.DeleteFunc(db.waits, func(w *wait) bool { return w.set == set })
	delete(db.sets, set)
}

// TakeMessage implements engine.Jobs.
func (s *Session) TakeMessage(ctx context.Context, h jobs.Hold, cell, call int) (won bool, err error) {
	err = s.do(ctx, Txn{Name: "take message", Job: h.Job}, func() error {
		if s.held(h) == nil {
			return jobs.ErrFenced
		}
		list := s.of(h.Job, cell, []int{call})
		if won = len(list) > 0; won && list[0].set != 0 {
			set := list[0].set
			list[0].set, list[0].due = 0, nil
			s.dropSet(set)
		}
		return nil
	})
	return won && err == nil, err
}

// fact is what was emitted.
type fact struct {
	id        int64
	prefix    string
	name      string
	key       *string
	payload   json.RawMessage
	at        time.Time
	delivered map[jobs.ID]bool
}

// Emit tells of a fact, in a transaction of two parts. It is false when there was one with the key.
func (s *Session) Emit(ctx context.Context, prefix, name string, key *string, payload json.RawMessage) (fresh bool, err error) {
	f := &fact{prefix: prefix, name: name, key: key, payload: payload, delivered: map[jobs.ID]bool{}}
	var w writer
	err = s.do(ctx, Txn{Name: "emit", Of: name}, func() error {
		deps := []string{"fact:" + prefix + ":" + name}
		if key != nil {
			deps = append(deps, deps[0]+"#"+temporal.DepKey(*key))
		}
		f.id, f.at = s.id(), s.DB.now()
		w = s.write(deps...)
		return nil
	})
	if err != nil {
		return false, err
	}
	defer s.rollback(&w)
	err = s.do(ctx, Txn{Name: "emitted", Of: name}, func() error {
		fresh = !slices.ContainsFunc(s.facts, func(x *fact) bool {
			return key != nil && x.key != nil && *x.key == *key && x.prefix == prefix && x.name == name
		})
		if fresh {
			s.facts = append(s.facts, f)
			s.publish(&w)
		}
		return nil
	})
	return fresh && err == nil, err
}

func (f *fact) reaches(g *group, name string, key *string) bool {
	return f.name == name && (key == nil || f.key != nil && *f.key == *key) && slices.Contains(temporal.Ancestors(g.Prefix), f.prefix)
}

// outcomeOf is how a job stands, for those who wait for it; an empty kind while it goes on.
func (db *DB) outcomeOf(id jobs.ID, prefix string) (kind string, payload json.RawMessage) {
	j, ok := db.jobs[id]
	if !ok || !slices.Contains(temporal.Ancestors(j.spec.Prefix), prefix) {
		return "rejected", json.RawMessage(`{"name":"NotFoundError","code":"not_found","message":"there is no such job"}`)
	}
	if j.status != jobs.Done {
		return "", nil
	}
	var state jobs.Job
	_ = json.Unmarshal(j.core, &state) // written by a commit
	payload, _ = json.Marshal(map[string]any{"id": id, "outcome": state.Outcome, "result": state.Result, "error": state.Error})
	return "resolved", payload
}

func mapValues[K comparable, V any](m map[K]V) []V {
	list := make([]V, 0, len(m))
	for _, v := range m {
		list = append(list, v)
	}
	return list
}
