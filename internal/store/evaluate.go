package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"

	"statek/internal/failpoint"
	"statek/internal/store/db"
	"statek/internal/temporal"
)

const (
	// lookBatch is how many waiters of an SQL temporal one transaction serves: what they claimed stays
	// locked until it commits.
	lookBatch = 16
	// broadcastBatch is the same for events, where nothing is locked.
	broadcastBatch = 500
	// looksAtOnce bounds the connections that one call takes.
	looksAtOnce = 4
	// mostLooks bounds how long one caller stays with a group that is marked again and again.
	mostLooks = 1000
)

// Evaluate looks at a group until nothing more is owed to it. A group that somebody else is looking at is
// left to them.
func (w *Waits) Evaluate(ctx context.Context, group int64) (Round, error) {
	round, _, err := w.evaluate(ctx, group, false)
	return round, err
}

// evaluateAll looks at the groups, a few at once, so that a slow temporal does not hold up the others. The
// failure of one does not keep the others from being looked at.
func (w *Waits) evaluateAll(ctx context.Context, groups []int64, sweeping bool) (Round, error) {
	var mu sync.Mutex
	var round Round
	var failed []error
	var err error
	if sweeping {
		round, groups = w.askAll(ctx, groups)
	} else if round, groups, err = w.evaluateTogether(ctx, groups); err != nil {
		return round, err
	}
	var all errgroup.Group
	all.SetLimit(looksAtOnce)
	for _, id := range groups {
		all.Go(func() error {
			r, _, err := w.evaluate(ctx, id, sweeping)
			mu.Lock()
			defer mu.Unlock()
			round.add(r)
			if err != nil && len(failed) < looksAtOnce {
				failed = append(failed, err)
			}
			return nil
		})
	}
	_ = all.Wait() // errors are gathered above
	return round, errors.Join(failed...)
}

func (w *Waits) evaluate(ctx context.Context, group int64, sweeping bool) (round Round, busy bool, err error) {
	for range mostLooks {
		l := look{w: w, sweeping: sweeping}
		found, err := l.run(ctx, group)
		if err == nil && !found {
			return round, round.Looks == 0, nil
		}
		more, err := l.follow(ctx, err, &round)
		if err != nil || !more {
			return round, false, wrap(err, "look at group %d", group)
		}
	}
	return round, false, nil
}

// follow adds what a look has brought to a round; more: the next look is due at once.
func (l *look) follow(ctx context.Context, err error, round *Round) (more bool, _ error) {
	var misuse *misuseError
	if errors.As(err, &misuse) {
		retry, err := l.park(ctx, misuse)
		round.soon(retry)
		return false, wrap(err, "park it")
	}
	if err != nil {
		return false, err
	}
	round.Looks++
	round.Served += l.eval.Served
	round.Caught += l.caught
	if l.decision.Again {
		return true, nil
	}
	round.soon(l.decision.Retry)
	return l.owed, nil
}

// look is one transaction's look at a group.
type look struct {
	w        *Waits
	sweeping bool
	conn     *pgx.Conn // in a transaction
	q        *db.Queries
	group    waitGroup
	eval     temporal.Evaluation
	decision temporal.Decision
	// takes says that this worker has room for what it wakes; peeked are jobs that will likely be given something, taken
	// those that it has got with what they were given, and got waits for the outcome. owed says that there is more to look at.
	takes  bool
	peeked *peek
	taken  []Taken
	got    func(bool)
	owed   bool
	// last resolves the waiter that was served last. It travels with the statement that comes next.
	last *pgx.Batch
	// told says that something besides the sweep knew that there was something to see.
	told   bool
	caught int
}

// run returns false when the group is taken by somebody else, or gone.
func (l *look) run(ctx context.Context, group int64) (bool, error) {
	return l.within(ctx, func() (bool, error) { return l.begin(ctx, group) })
}

// within looks at the group that begin takes, on a connection of its own.
func (l *look) within(ctx context.Context, begin func() (found bool, err error)) (bool, error) {
	conn, err := l.w.pool.Acquire(ctx)
	if err != nil {
		return false, err
	}
	defer conn.Release()
	defer func() { l.peeked.end() }()
	defer rollback(ctx, conn)
	l.conn, l.q = conn.Conn(), db.New(conn)
	if found, err := begin(); err != nil || !found {
		return false, err
	}
	l.eval = temporal.Evaluation{
		Last: temporal.State(l.group.LastResult), Attempts: int(l.group.Attempts),
		Recheck: time.Duration(l.group.RecheckMs) * time.Millisecond, Jitter: l.w.jitter(),
	}
	now := l.w.now()
	if at := l.group.RetryAt; l.group.LastResult == string(temporal.Failed) && at != nil && at.After(now) {
		// Parked: marks do not make broken or slow SQL run more often, and the retry sees what they would have.
		l.decision = temporal.Decision{State: temporal.Failed, Retry: at.Sub(now)}
		return true, l.end(ctx, &pgx.Batch{})
	}
	if l.group.Waiting {
		l.eval.Waiters = 1
		if err := l.serve(ctx); err != nil {
			return false, err
		}
	}
	return true, l.finish(ctx)
}

// finish records the look, commits, and tells who was woken.
func (l *look) finish(ctx context.Context) error {
	if l.eval.Served > 0 {
		l.w.failpoints.Group(failpoint.LookServed, l.group.Name, l.group.Args)
	}
	l.got = func(bool) {}
	if err := l.record(ctx); err != nil {
		l.got(false)
		return err
	}
	if l.eval.Served > 0 {
		l.w.failpoints.Group(failpoint.LookCommitted, l.group.Name, l.group.Args)
	}
	l.got(true)
	if len(l.taken) > 0 {
		if owed, err := l.q.WaitCheckOwed(ctx, l.group.ID); err == nil {
			l.owed = owed
		}
	}
	if l.eval.Served > len(l.taken) {
		l.w.rang()
	}
	return nil
}

func (l *look) serve(ctx context.Context) error {
	switch temporal.Kind(l.group.Kind) {
	case temporal.Event:
		return l.broadcast(ctx)
	case temporal.Job:
		return l.serveJob(ctx)
	case temporal.Object:
		return l.serveObject(ctx)
	case temporal.Go:
		return l.serveClaims(ctx, goClaim{l, l.w.Go[l.group.Name]})
	default: // SQL: below
	}
	def, err := l.w.definition(ctx, l.q, l.group.TemporalID)
	if err != nil {
		if Unavailable(err) || ctx.Err() != nil {
			return err
		}
		l.eval.Err = err.Error()
		return nil
	}
	return l.serveClaims(ctx, sqlClaim{l, def})
}

// record writes what follows from the look. When the value that was taken last cannot be kept, that is what follows.
func (l *look) record(ctx context.Context) error {
	last := l.last
	err := l.recordOnce(ctx)
	if err == nil || last == nil || l.last == nil {
		return err
	}
	l.last = nil
	if err := l.unkept(ctx, err); err != nil {
		return err
	}
	l.eval.Served--
	return l.recordOnce(ctx)
}

func (l *look) recordOnce(ctx context.Context) error {
	b := l.resolving()
	l.queueRecord(b)
	if l.caught > 0 {
		b.Queue(db.CounterAdd, SweepCaught, int64(l.caught), text(fmt.Sprintf("%s%s at %s", l.group.Name, l.group.Args, l.group.Prefix)))
	}
	if l.eval.Served > 0 && l.takes {
		if err := l.take(ctx, b); err != nil {
			return err
		}
		b = &pgx.Batch{}
	}
	if l.eval.Served == 0 {
		// Nothing that must survive a crash: the checks would come back, and a look too many is harmless.
		b.Queue("set local synchronous_commit = off")
	}
	return l.end(ctx, b)
}

// decide says what follows from the look, and when to look again without being told to.
func (l *look) decide(now time.Time) (retry *time.Time) {
	l.decision = temporal.After(l.eval)
	if l.decision.Retry > 0 {
		at := now.Add(l.decision.Retry)
		retry = &at
	}
	return retry
}

// queueRecord decides what follows from the look and appends its record.
func (l *look) queueRecord(b *pgx.Batch) {
	now := l.w.now()
	retry := l.decide(now)
	if l.sweeping && !l.told {
		l.caught = l.eval.Served
	}
	g := l.group
	b.Queue(db.WaitGroupRecord, retry, int32(l.decision.Attempts), string(l.decision.State), textOrNull(l.eval.Err), now,
		g.Marks, g.Touched, g.TouchedAt, g.ID)
}

// end commits, and asks in the same round trip what is owed: whoever found the group taken while this look ran has
// left a check. Jobs that were taken need not wait for that answer.
func (l *look) end(ctx context.Context, b *pgx.Batch) error {
	committed := false
	b.Queue("commit").Exec(func(pgconn.CommandTag) error {
		committed = true
		return nil
	})
	l.owed = true // unless the answer says otherwise
	if len(l.taken) == 0 {
		b.Queue(db.WaitCheckOwed, l.group.ID).QueryRow(func(row pgx.Row) error { return row.Scan(&l.owed) })
	}
	err := l.conn.SendBatch(ctx, b).Close()
	if committed {
		return nil // what could not be read is asked for again
	}
	return err
}

// askTold finds out, for a sweep that has seen something, whether a mark or a check would have led here. It
// must come after the seeing (a writer whose data was seen has committed its mark before, and the checks of
// this group cannot be consumed while it is held) and before the complement, which leaves marks of its own.
func (l *look) askTold(ctx context.Context) (err error) {
	if l.sweeping {
		l.told, err = l.q.WaitGroupTold(ctx, l.group.ID)
		l.told = l.told || l.group.Taken > 0
	}
	return err
}

// definition reads a temporal version, with the caller's connection: one who holds a connection must not wait for
// another.
func (w *Waits) definition(ctx context.Context, q *db.Queries, id *uuid.UUID) (temporal.Definition, error) {
	if id == nil {
		return temporal.Definition{}, fmt.Errorf("the wait names no temporal")
	}
	w.mu.Lock()
	def, ok := w.definitions[*id]
	w.mu.Unlock()
	if ok {
		return def, nil
	}
	raw, err := q.WaitTemporal(ctx, *id)
	if err != nil {
		return def, wrap(err, "read temporal %s", *id)
	}
	if err := json.Unmarshal(raw, &def); err != nil {
		return def, wrap(err, "decode temporal %s", *id)
	}
	w.mu.Lock()
	w.definitions[*id] = def
	w.mu.Unlock()
	return def, nil
}
