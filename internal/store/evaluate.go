package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

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
		var misuse *misuseError
		if errors.As(err, &misuse) {
			retry, err := l.park(ctx, misuse)
			round.soon(retry)
			return round, false, wrap(err, "park group %d", group)
		}
		if err != nil {
			return round, false, wrap(err, "look at group %d", group)
		}
		if !found {
			return round, round.Looks == 0, nil
		}
		round.Looks++
		round.Served += l.eval.Served
		round.Caught += l.caught
		if l.decision.Again {
			continue
		}
		round.soon(l.decision.Retry)
		if !l.owed {
			return round, false, nil
		}
	}
	return round, false, nil
}

// look is one transaction's look at a group.
type look struct {
	w        *Waits
	sweeping bool
	tx       pgx.Tx
	q        *db.Queries
	group    db.WaitGroupTakeRow
	eval     temporal.Evaluation
	decision temporal.Decision
	// taken are jobs that this worker has taken with what it gave them; owed says that there is more to look at.
	taken []uuid.UUID
	owed  bool
	// told says that something besides the sweep knew that there was something to see.
	told   bool
	caught int
}

// run returns false when the group is taken by somebody else, or gone.
func (l *look) run(ctx context.Context, group int64) (bool, error) {
	conn, err := l.w.pool.Acquire(ctx)
	if err != nil {
		return false, err
	}
	defer conn.Release()
	defer rollback(ctx, conn)
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted})
	if err != nil {
		return false, err
	}
	l.tx, l.q = tx, l.w.q.WithTx(tx)
	if found, err := l.take(ctx, group); err != nil || !found {
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
	if err := l.record(ctx); err != nil {
		return false, err
	}
	if len(l.taken) > 0 {
		l.w.Took(l.taken)
	}
	if l.eval.Served > len(l.taken) {
		l.w.rang()
	}
	return true, nil
}

// take locks the group and takes the checks that are due; false: it is somebody else's, or gone.
func (l *look) take(ctx context.Context, group int64) (found bool, err error) {
	b := &pgx.Batch{}
	if l.w.MayTake != nil && l.w.MayTake() {
		b.Queue("select set_config('statek.taker', $1, true)", l.w.Taker.String())
	}
	b.Queue(db.WaitGroupTake, group, l.w.known()).Query(func(rows pgx.Rows) error {
		list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[db.WaitGroupTakeRow])
		if found = len(list) == 1; found {
			l.group = list[0]
		}
		return err
	})
	err = l.tx.SendBatch(ctx, b).Close()
	return found, err
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

// record writes what follows from the look.
func (l *look) record(ctx context.Context) error {
	l.decision = temporal.After(l.eval)
	if l.sweeping && !l.told {
		l.caught = l.eval.Served
	}
	now := l.w.now()
	var retry *time.Time
	if l.decision.Retry > 0 {
		at := now.Add(l.decision.Retry)
		retry = &at
	}
	b := &pgx.Batch{}
	b.Queue(db.WaitGroupRecord, retry, int32(l.decision.Attempts), string(l.decision.State), textOrNull(l.eval.Err), now, l.group.ID)
	if l.eval.Served > 0 && l.w.Took != nil {
		b.Queue("select coalesce(current_setting('statek.taken', true), '')").QueryRow(l.readTaken)
	}
	if l.group.Marks > 0 {
		b.Queue(db.WaitGroupTouch, l.group.Touched, l.group.TouchedAt, l.group.Marks, l.group.ID)
	}
	if l.caught > 0 {
		b.Queue(db.CounterAdd, SweepCaught, int64(l.caught), text(fmt.Sprintf("%s%s at %s", l.group.Name, l.group.Args, l.group.Prefix)))
	}
	if l.eval.Served == 0 {
		// Nothing that must survive a crash: the checks would come back, and a look too many is harmless.
		b.Queue("set local synchronous_commit = off")
	}
	return l.end(ctx, b)
}

// end commits, and asks in the same round trip what is owed: whoever found the group taken while this look ran has
// left a check.
func (l *look) end(ctx context.Context, b *pgx.Batch) error {
	b.Queue("commit")
	b.Queue(db.WaitCheckOwed, l.group.ID).QueryRow(func(row pgx.Row) error { return row.Scan(&l.owed) })
	return l.tx.Conn().SendBatch(ctx, b).Close()
}

func (l *look) readTaken(row pgx.Row) error {
	var list string
	if err := row.Scan(&list); err != nil || list == "" {
		return err
	}
	for text := range strings.SplitSeq(list, ",") {
		id, err := uuid.Parse(text)
		if err != nil {
			return err
		}
		l.taken = append(l.taken, id)
	}
	return nil
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

// heads writes down, for the values that this look gives out, what led here, and locks the first waiters.
func (l *look) heads(ctx context.Context, def temporal.Definition, most int) (heads []db.WaitHeadsRow, err error) {
	led := temporal.Look{
		Marks: int(l.group.Marks), Dep: l.group.Touched, At: l.group.TouchedAt, Checks: int(l.group.Taken), Sweeping: l.sweeping, Told: l.told,
		Due: l.group.RetryAt != nil && !l.group.RetryAt.After(l.w.now()), Last: temporal.State(l.group.LastResult),
	}
	b := &pgx.Batch{}
	b.Queue(db.WaitWoke, string(def.Evidence(led, l.group.Args)))
	b.Queue(db.WaitHeads, &l.group.ID, int32(most)).Query(func(rows pgx.Rows) error {
		heads, err = pgx.CollectRows(rows, pgx.RowToStructByPos[db.WaitHeadsRow])
		return err
	})
	return heads, l.tx.SendBatch(ctx, b).Close()
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
