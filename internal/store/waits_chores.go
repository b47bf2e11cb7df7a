package store

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"statek/internal/store/db"
)

const (
	drainBatch = 256
	// idleGrace is how long a group nobody waits in is kept: queues of workers come back soon.
	idleGrace = time.Minute
)

// TryNow looks at groups right after waits were registered in them. It stamps first: where no older writer
// runs, which is the usual case, the same look then settles the registration and no tick has to.
func (w *Waits) TryNow(ctx context.Context, hashes ...[]byte) (Round, error) {
	if len(hashes) == 0 {
		return Round{}, nil
	}
	if _, err := w.Stamp(ctx); err != nil {
		return Round{}, err
	}
	groups, err := w.q.WaitGroupsOf(ctx, hashes)
	if err != nil {
		return Round{}, wrap(err, "find groups")
	}
	var round Round
	var failed error
	for _, id := range groups {
		r, err := w.tryNow(ctx, id)
		round.add(r)
		failed = errors.Join(failed, err)
	}
	return round, failed
}

// tryNow makes sure that a look at the group begins after now. Whoever holds the group asks for owed checks
// after its commit; if it asked before ours was written, the second attempt finds the group free.
func (w *Waits) tryNow(ctx context.Context, id int64) (Round, error) {
	round, busy, err := w.evaluate(ctx, id, false)
	if err != nil || !busy {
		return round, err
	}
	if err := w.q.WaitCheckOwe(ctx, id); err != nil {
		return round, wrap(err, "owe a look at group %d", id)
	}
	again, _, err := w.evaluate(ctx, id, false)
	round.add(again)
	return round, err
}

// Stamp gives each new check the id of this transaction, and returns how many. Nothing may take an xid
// before the stamping statement has its snapshot.
func (w *Waits) Stamp(ctx context.Context) (int, error) {
	var n int64
	err := w.relaxed(ctx, func(b *pgx.Batch) {
		b.Queue(db.WaitStamp).Exec(func(tag pgconn.CommandTag) error {
			n = tag.RowsAffected()
			return nil
		})
	})
	return int(n), wrap(err, "stamp checks")
}

// relaxed runs what queue appends in one transaction whose commit does not wait for the disk: if a crash
// takes it back, it is done again. Whatever is later built on it is later in the log, and lost with it.
func (w *Waits) relaxed(ctx context.Context, queue func(*pgx.Batch)) error {
	b := &pgx.Batch{}
	b.Queue("select set_config('synchronous_commit', 'off', true)")
	queue(b)
	return w.pool.SendBatch(ctx, b).Close()
}

// Settle looks at the groups, at most limit, whose checks are due: every writer that could not see the
// registration is over.
func (w *Waits) Settle(ctx context.Context, limit int) (Round, error) {
	groups, err := w.q.WaitGroupsSettled(ctx, db.WaitGroupsSettledParams{Known: w.known(), Most: int32(limit)})
	if err != nil {
		return Round{}, wrap(err, "find settled groups")
	}
	return w.evaluateAll(ctx, groups, false)
}

// Drain turns the marks that writers left into looks, and looks. Marks that all lead to one group are taken out in the
// transaction that looks; should that fail they are taken out first, or one group would stop everybody's marks.
func (w *Waits) Drain(ctx context.Context) (Round, error) {
	var round Round
	together := true
	for {
		l := look{w: w}
		var drained int64
		var groups []int64
		var found bool
		looked, err := l.within(ctx, func() (_ bool, err error) {
			drained, groups, found, err = l.drain(ctx, together)
			return found, wrap(err, "drain marks")
		})
		if err != nil && found && ctx.Err() == nil && !Unavailable(err) {
			together = false
			continue
		}
		if looked || err != nil {
			groups = nil
			var more bool
			if more, err = l.follow(ctx, err, &round); more {
				groups = []int64{l.group.ID}
			}
		}
		if err == nil {
			var r Round
			r, err = w.evaluateAll(ctx, groups, false)
			round.add(r)
		}
		if err != nil || drained < drainBatch {
			return round, err
		}
	}
}

// Retry looks at the groups whose time has come: contended, failed, or to be rechecked.
func (w *Waits) Retry(ctx context.Context, limit int) (Round, error) {
	groups, err := w.q.WaitGroupsRetry(ctx, db.WaitGroupsRetryParams{Now: w.now(), Known: w.known(), Most: int32(limit)})
	if err != nil {
		return Round{}, wrap(err, "find groups to retry")
	}
	return w.evaluateAll(ctx, groups, false)
}

// Sweep looks at groups that nothing tells to look at and that were not looked at for quiet, at most limit.
// What it serves had lost its wake-up and is counted in Caught.
func (w *Waits) Sweep(ctx context.Context, quiet time.Duration, limit int) (Round, error) {
	groups, err := w.q.WaitGroupsQuiet(ctx, db.WaitGroupsQuietParams{Before: w.now().Add(-quiet), Known: w.known(), Most: int32(limit)})
	if err != nil {
		return Round{}, wrap(err, "find quiet groups")
	}
	return w.evaluateAll(ctx, groups, true)
}

// Tick does all that is due: stamps, drains, settles, retries, fires timers. One call per second and one
// per notification is enough. It returns what it has seen, too, of which some is for others to do; if it could not look, nobody knows of
// any of that, and it is looked for.
func (w *Waits) Tick(ctx context.Context) (round Round, pending Pending, err error) {
	const limit = 500
	if pending, err = w.Pending(ctx); err != nil {
		return Round{}, Pending{Orphans: true, Strays: true, Limits: true}, err
	}
	var failed error
	step := func(do bool, chore func() (Round, error)) {
		if !do || ctx.Err() != nil {
			return
		}
		r, err := chore()
		round.add(r)
		failed = errors.Join(failed, err)
	}
	step(pending.Due, func() (Round, error) {
		_, err := w.FireTimers(ctx, limit)
		return Round{}, err
	})
	step(pending.Unstamped, func() (Round, error) {
		_, err := w.Stamp(ctx)
		return Round{}, err
	})
	step(pending.Dirty, func() (Round, error) { return w.Drain(ctx) })
	step(pending.Settled || pending.Unstamped, func() (Round, error) { return w.Settle(ctx, limit) })
	step(pending.Retry, func() (Round, error) { return w.Retry(ctx, limit) })
	return round, pending, failed
}

const (
	// collectPage groups are looked at by one statement, which takes some 20 ms, collectPages of them by one call: each statement
	// counts for an idle worker.
	collectPage  = 20_000
	collectPages = 2
	// collectBatch groups at most are locked, and deleted, in one transaction.
	collectBatch = 2000
)

// Collect deletes groups that nobody waits in, checks that belong to none, and facts that have expired. It
// returns the number of groups; call it each minute or so. Of very many groups it looks at a part each time.
func (w *Waits) Collect(ctx context.Context) (int, error) {
	const limit = 1000
	n := 0
	for range collectPages {
		deleted, more, err := w.collectPage(ctx)
		n += deleted
		if err != nil {
			return n, wrap(err, "collect groups")
		}
		if !more {
			break
		}
	}
	err := w.q.WaitsExpire(ctx, db.WaitsExpireParams{Now: w.now(), Most: limit})
	return n, wrap(err, "collect checks and facts")
}

// collectPage deletes the unused groups among the next ones.
func (w *Waits) collectPage(ctx context.Context) (deleted int, more bool, err error) {
	before := w.now().Add(-idleGrace)
	page, err := w.q.WaitGroupsPage(ctx, db.WaitGroupsPageParams{After: w.collected.Load(), Before: before, Most: collectPage})
	if err != nil {
		return 0, false, err
	}
	for unused := range slices.Chunk(page.Idle, collectBatch) {
		n, err := w.deleteIdle(ctx, unused, before)
		deleted += n
		if err != nil {
			return deleted, false, err
		}
	}
	if more = page.Looked == collectPage; more {
		w.collected.Store(page.Reached)
	} else {
		w.collected.Store(0)
	}
	return deleted, more, nil
}

// deleteIdle deletes those of some groups that are unused and nobody's.
func (w *Waits) deleteIdle(ctx context.Context, among []int64, before time.Time) (deleted int, err error) {
	err = pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
		q := w.q.WithTx(tx)
		ids, err := q.WaitGroupsIdle(ctx, db.WaitGroupsIdleParams{Before: before, Among: among})
		if err != nil || len(ids) == 0 {
			return err
		}
		n, err := q.WaitGroupsDelete(ctx, ids)
		deleted = int(n)
		return err
	})
	return deleted, err
}

// SweepCaught names the counter of lost wake-ups in statek.counters.
const SweepCaught = "sweep_caught"

// Alarms are what went wrong with wake-ups since the database was made: marks that triggers could not leave, and waits
// that only the sweep served.
func (w *Waits) Alarms(ctx context.Context) (failedMarks, caught int64, err error) {
	row, err := w.q.WaitAlarms(ctx)
	return row.FailedMarks, row.Caught, wrap(err, "read the alarms of waits")
}

// WatchFailures counts the marks that triggers could not leave, since the database was made.
func (w *Waits) WatchFailures(ctx context.Context) (int64, error) {
	n, err := w.q.WatchFailures(ctx)
	return n, wrap(err, "count failed marks")
}

// WatchProblem is a watch that does not do its work.
type WatchProblem struct {
	Relation, Key, Problem string
	// Remedy is the statement, or what a person has to do; a Fixable one is safe to run at any time.
	Remedy  string
	Fixable bool
	// Serious: writes go by unseen.
	Serious bool
}

// WatchProblems lists what is wrong with the watches: missing tables, partitions without triggers.
func (w *Waits) WatchProblems(ctx context.Context) ([]WatchProblem, error) {
	rows, err := w.q.WatchProblems(ctx)
	if err != nil {
		return nil, wrap(err, "check the watches")
	}
	list := make([]WatchProblem, len(rows))
	for i, r := range rows {
		list[i] = WatchProblem(r)
	}
	return list, nil
}
