package memstore

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"statek/internal/engine"
	"statek/internal/jobs"
	"statek/internal/temporal"
)

const (
	claimBatch     = 16  // waiters that one look serves
	broadcastBatch = 500 // … of an event
	idleGrace      = time.Minute
)

// TryNow implements engine.Waits.
func (s *Session) TryNow(ctx context.Context, specs ...temporal.Spec) error {
	if err := s.stamp(ctx); err != nil {
		return err
	}
	for _, spec := range specs {
		if spec.Group == nil {
			continue
		}
		hash := spec.Group.Hash()
		s.mu.Lock()
		g := s.byHash[string(hash)]
		s.mu.Unlock()
		if g == nil {
			continue
		}
		if _, _, err := s.evaluate(ctx, g.id, false); err != nil {
			return err
		}
	}
	return nil
}

func (s *Session) stamp(ctx context.Context) error {
	return s.do(ctx, Txn{Name: "stamp"}, func() error {
		xid := s.begin()
		for _, c := range s.checks {
			if c.settle == nil {
				c.settle = &xid
			}
		}
		s.end(xid)
		return nil
	})
}

// LookAround implements engine.Chores: it fires, stamps, drains, settles and retries what is due.
func (s *Session) LookAround(ctx context.Context) (engine.Around, error) {
	seen := s.around()
	var err error
	seen.Again, err = s.lookAtWaits(ctx)
	return seen, err
}

func (s *Session) lookAtWaits(ctx context.Context) (time.Duration, error) {
	now := s.now()
	due, unstamped, dirty, settled, retry := s.pending(now)
	if due {
		if err := s.fireTimers(ctx, now); err != nil {
			return 0, err
		}
	}
	if unstamped {
		if err := s.stamp(ctx); err != nil {
			return 0, err
		}
	}
	var groups []int64
	if dirty {
		var err error
		if groups, err = s.drained(ctx); err != nil {
			return 0, err
		}
	}
	if settled || unstamped {
		groups = append(groups, s.groupsWhere(func(g *group) bool { return s.isDue(g.id) })...)
	}
	if retry {
		groups = append(groups, s.groupsWhere(func(g *group) bool { return !g.retry.IsZero() && !g.retry.After(now) })...)
	}
	return s.evaluateAll(ctx, groups)
}

// LookAtMarks implements engine.Chores.
func (s *Session) LookAtMarks(ctx context.Context) (time.Duration, error) {
	groups, err := s.drained(ctx)
	if err != nil {
		return 0, err
	}
	return s.evaluateAll(ctx, groups)
}

// drained drains in a transaction of its own.
func (s *Session) drained(ctx context.Context) (groups []int64, err error) {
	err = s.do(ctx, Txn{Name: "drain"}, func() error {
		groups = s.drain()
		return nil
	})
	return groups, err
}

func (s *Session) evaluateAll(ctx context.Context, groups []int64) (soon time.Duration, err error) {
	for _, id := range groups {
		again, _, err := s.evaluate(ctx, id, false)
		if err != nil {
			return soon, err
		}
		if again > 0 && (soon == 0 || again < soon) {
			soon = again
		}
	}
	return soon, nil
}

func (db *DB) pending(now time.Time) (due, unstamped, dirty, settled, retry bool) {
	db.mu.Lock()
	defer db.mu.Unlock()
	for _, w := range db.waits {
		due = due || w.due != nil && !w.due.After(now)
	}
	for _, c := range db.checks {
		unstamped = unstamped || c.settle == nil
		settled = settled || c.settle != nil && *c.settle <= db.xmin()
	}
	for _, g := range db.groups {
		retry = retry || !g.retry.IsZero() && !g.retry.After(now)
	}
	return due, unstamped, len(db.dirty) > 0, settled, retry
}

func (db *DB) groupsWhere(want func(*group) bool) (ids []int64) {
	db.mu.Lock()
	defer db.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(db.groups)) {
		if want(db.groups[id]) {
			ids = append(ids, id)
		}
	}
	return ids
}

func (db *DB) fires(now time.Time) (list []ending) {
	var due []*wait
	for _, w := range db.waits {
		if w.due != nil && !w.due.After(now) {
			due = append(due, w)
		}
	}
	slices.SortFunc(due, func(a, b *wait) int { return cmp.Or(a.due.Compare(*b.due), cmp.Compare(a.id, b.id)) })
	for _, w := range due {
		kind := "timeout"
		if w.kind == temporal.Sleep || w.kind == temporal.Until {
			kind = "resolved"
		}
		list = append(list, ending{w, kind, json.RawMessage("null")})
	}
	return list
}

func (s *Session) fireTimers(ctx context.Context, now time.Time) error {
	return s.do(ctx, Txn{Name: "timers"}, func() error {
		s.settle(s.fires(now), s.ringAll)
		return nil
	})
}

// drain turns marks into checks that are due.
func (db *DB) drain() (ids []int64) {
	for _, m := range db.dirty {
		for _, id := range slices.Sorted(maps.Keys(db.groups)) {
			if slices.Contains(db.groups[id].Deps, m.dep) && !slices.Contains(ids, id) {
				ids = append(ids, id)
				db.checks = append(db.checks, &check{group: id, settle: new(int64)})
			}
		}
	}
	db.dirty = nil
	return ids
}

func (db *DB) isDue(group int64) bool {
	return slices.ContainsFunc(db.checks, func(c *check) bool {
		return c.group == group && c.settle != nil && *c.settle <= db.xmin()
	})
}

// evaluate looks at a group until nothing more is owed to it.
func (s *Session) evaluate(ctx context.Context, id int64, sweeping bool) (retry time.Duration, served int, err error) {
	for {
		var d temporal.Decision
		owed, may := false, s.Taker != nil && s.Taker.May()
		var taken []jobs.ID
		told := func(bool) {}
		err := s.do(ctx, Txn{Name: "look", Of: fmt.Sprint(id)}, func() error {
			wake := s.ringAll
			if may {
				wake = func(ids []jobs.ID) { taken = append(taken, s.take(ids)...) }
			}
			var n int
			d, n = s.look(id, sweeping, wake)
			served += n
			if len(taken) > 0 {
				told = s.Taker.Taking(s.records(taken))
			}
			owed = slices.ContainsFunc(s.checks, func(c *check) bool { return c.group == id && c.settle != nil && *c.settle == 0 })
			return nil
		})
		told(err == nil)
		if err != nil || !d.Again && !owed {
			return d.Retry, served, err
		}
	}
}

// look is one look at a group.
func (s *Session) look(id int64, sweeping bool, wake func([]jobs.ID)) (temporal.Decision, int) {
	g, ok := s.groups[id]
	if !ok {
		return temporal.Decision{}, 0
	}
	told := s.owed(g)
	xmin := s.xmin()
	s.checks = slices.DeleteFunc(s.checks, func(c *check) bool {
		return c.group == id && (c.settle != nil && *c.settle <= xmin || s.Bugs.TrustFirstLook)
	})
	e := temporal.Evaluation{Last: g.last, Attempts: g.attempts, Recheck: g.Recheck}
	if slices.ContainsFunc(s.waits, func(w *wait) bool { return w.group == id }) {
		e.Waiters = 1
		s.serve(g, &e, wake)
	}
	d := temporal.After(e)
	g.last, g.attempts, g.retry, g.lastAt = d.State, d.Attempts, time.Time{}, s.now()
	if d.Retry > 0 {
		g.retry = s.now().Add(d.Retry)
	}
	if sweeping && !told {
		s.caught += e.Served
	}
	return d, e.Served
}

func (db *DB) serve(g *group, e *temporal.Evaluation, wake func([]jobs.ID)) {
	switch g.Kind {
	case temporal.Event:
		db.broadcast(g, e, wake)
	case temporal.Job:
		kind, payload := db.outcomeOf(g.target(), g.Prefix)
		if kind == "" {
			return
		}
		var list []ending
		for _, w := range db.heads(g, broadcastBatch) {
			list = append(list, ending{w, kind, payload})
		}
		e.Served = db.settle(list, wake)
	default:
		db.serveClaims(g, e, wake)
	}
}

// target is the job that a group waits for.
func (g *group) target() uuid.UUID {
	var args struct{ ID uuid.UUID }
	_ = json.Unmarshal(g.Args, &args) // written by temporal.Plan
	return args.ID
}

// queue is the queue that a group's waiters claim from.
func (g *group) queue() string {
	var args struct{ Queue string }
	_ = json.Unmarshal(g.Args, &args) // written by temporal.Plan
	return args.Queue
}

// heads are the first waiters.
func (db *DB) heads(g *group, most int) (list []*wait) {
	for _, w := range db.waits {
		if w.group == g.id && len(list) < most {
			list = append(list, w)
		}
	}
	return list
}

// broadcast gives each waiter the oldest fact that its job has not had; one of a job's waits at a time.
func (db *DB) broadcast(g *group, e *temporal.Evaluation, wake func([]jobs.ID)) {
	var list []ending
	eligible, seen := 0, map[uuid.UUID]bool{}
	for _, w := range db.heads(g, broadcastBatch) {
		f := db.nextFact(g, w)
		if f == nil {
			continue
		}
		eligible++
		if seen[w.job] {
			continue
		}
		seen[w.job] = true
		f.delivered[w.job] = true
		list = append(list, ending{w, "resolved", f.payload})
	}
	e.Served = db.settle(list, wake)
	e.Full = e.Served < eligible
}

func (db *DB) nextFact(g *group, w *wait) *fact {
	var args struct {
		Name string
		Key  *string
	}
	_ = json.Unmarshal(g.Args, &args) // written by temporal.Plan
	since := db.jobs[w.job].spec.CreatedAt
	if w.since != nil {
		since = *w.since
	}
	var best *fact
	for _, f := range db.facts {
		if !f.reaches(g, args.Name, args.Key) || f.delivered[w.job] || f.at.Before(since) {
			continue
		}
		if best == nil || cmp.Or(f.at.Compare(best.at), cmp.Compare(f.id, best.id)) < 0 {
			best = f
		}
	}
	return best
}

// serveClaims gives waiters, first come first served, a task of their own.
func (db *DB) serveClaims(g *group, e *temporal.Evaluation, wake func([]jobs.ID)) {
	ready := func() bool {
		return slices.ContainsFunc(db.tasks, func(t *Task) bool { return t.Queue == g.queue() && t.Owner == uuid.Nil })
	}
	if !ready() {
		return
	}
	heads, won := db.heads(g, claimBatch), map[int64]bool{}
	for _, w := range heads {
		if w.set != 0 && won[w.set] {
			continue
		}
		i := slices.IndexFunc(db.tasks, func(t *Task) bool { return t.Queue == g.queue() && t.Owner == uuid.Nil && !t.locked })
		if i < 0 {
			e.Ready = ready()
			return
		}
		t := db.tasks[i]
		t.Owner = w.job
		payload, _ := json.Marshal(map[string]any{"id": t.ID, "queue": t.Queue})
		won[w.set] = true
		e.Served += db.settle([]ending{{w, "resolved", payload}}, wake)
	}
	e.Full = len(heads) == claimBatch
}

// SweepWaits implements engine.Chores: it looks at groups that nothing tells to look at.
func (s *Session) SweepWaits(ctx context.Context) (int, error) {
	before := s.caught
	for _, id := range s.groupsWhere(func(g *group) bool { return g.retry.IsZero() && !s.owed(g) }) {
		if _, _, err := s.evaluate(ctx, id, true); err != nil {
			return 0, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.caught - before, nil
}

// Tidy implements engine.Chores: it deletes groups that nobody waits in.
func (s *Session) Tidy(ctx context.Context) error {
	return s.do(ctx, Txn{Name: "collect"}, func() error {
		for id, g := range s.groups {
			if g.lastAt.Before(s.now().Add(-idleGrace)) && len(s.heads(g, 1)) == 0 {
				delete(s.groups, id)
				delete(s.byHash, string(g.Hash()))
			}
		}
		s.checks = slices.DeleteFunc(s.checks, func(c *check) bool { return s.groups[c.group] == nil })
		return nil
	})
}
