package store

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"

	"statek/internal/store/db"
	"statek/internal/temporal"
)

const (
	// askBatch is how many groups one transaction of a sweep asks about.
	askBatch = 16
	// askTimeout bounds one question of a temporal, togetherTimeout all of a transaction. What takes longer is looked at alone.
	askTimeout = 200 * time.Millisecond
)

// askAll asks about quiet groups whether there is something for who waits in them, and notes for those where there is not, which
// are nearly all, that they were looked at. It returns the others, to be looked at alone, with what it could not ask. It only asks:
// no group is taken meanwhile, so a slow temporal holds up nobody, and no check that is owed to one is used up.
func (w *Waits) askAll(ctx context.Context, groups []int64) (round Round, left []int64) {
	var mu sync.Mutex
	var all errgroup.Group
	all.SetLimit(looksAtOnce)
	for ids := range slices.Chunk(groups, askBatch) {
		all.Go(func() error {
			calm, err := w.ask(ctx, ids)
			if err == nil && len(calm) > 0 {
				err = w.q.WaitGroupsSeen(ctx, db.WaitGroupsSeenParams{Ids: calm, Now: w.now()})
			}
			if err != nil { // they are looked at alone, where faults are told
				calm = nil
			}
			mu.Lock()
			defer mu.Unlock()
			round.Looks += len(calm)
			left = append(left, slices.DeleteFunc(slices.Clone(ids), func(id int64) bool { return slices.Contains(calm, id) })...)
			return nil
		})
	}
	_ = all.Wait() // see above
	return round, left
}

// ask returns the groups where there is nothing for anybody.
func (w *Waits) ask(ctx context.Context, ids []int64) (calm []int64, err error) {
	rows, err := w.q.WaitGroupsRead(ctx, ids)
	if err != nil {
		return nil, err
	}
	versions := map[uuid.UUID][]waitGroup{}
	for _, r := range rows {
		g := waitGroup{ID: r.ID, Prefix: r.Prefix, Args: r.Args}
		nothing := false
		switch temporal.Kind(r.Kind) {
		case temporal.SQL:
			if r.TemporalID != nil {
				versions[*r.TemporalID] = append(versions[*r.TemporalID], g)
			}
		case temporal.Event:
			nothing, err = w.noFact(ctx, g)
		case temporal.Job:
			nothing, err = w.noEnd(ctx, g)
		case temporal.Object:
			nothing, err = w.noChange(ctx, g)
		default: // in Go: only its program can be asked
		}
		if err != nil {
			return nil, err
		}
		if nothing {
			calm = append(calm, r.ID)
		}
	}
	unmet, err := w.unmet(ctx, versions)
	if err != nil {
		return calm, nil //nolint:nilerr // looks tell of it
	}
	return append(calm, unmet...), nil
}

func (w *Waits) noFact(ctx context.Context, g waitGroup) (bool, error) {
	var args eventArgs
	if json.Unmarshal(g.Args, &args) != nil {
		return false, nil // a look tells of it
	}
	ready, err := w.q.FactsReady(ctx, db.FactsReadyParams{
		Prefixes: temporal.Ancestors(g.Prefix), Name: args.Name, Key: args.Key, Now: w.now(), GroupID: &g.ID,
	})
	return !ready, err
}

func (w *Waits) noEnd(ctx context.Context, g waitGroup) (bool, error) {
	var args jobArgs
	if json.Unmarshal(g.Args, &args) != nil {
		return false, nil // a look tells of it
	}
	end, err := w.q.WaitJobOutcome(ctx, db.WaitJobOutcomeParams{Job: args.ID, Prefix: g.Prefix})
	return end.Kind == "", err
}

func (w *Waits) noChange(ctx context.Context, g waitGroup) (bool, error) {
	args, err := temporal.ReadObjectArgs(g.Args)
	if err != nil {
		return false, nil //nolint:nilerr // a look tells of it
	}
	l := look{w: w, q: w.q, group: g}
	value, err := l.changed(ctx, args)
	return value == nil && l.eval.Err == "", err
}

// unmet asks the conditions of SQL temporals, with the rights of a tool, and returns the groups whose are false. What
// one of them has set, locked or written is taken back before another's are asked.
func (w *Waits) unmet(ctx context.Context, versions map[uuid.UUID][]waitGroup) ([]int64, error) {
	if len(versions) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, togetherTimeout)
	defer cancel()
	b := &pgconn.Batch{}
	do := func(sql string) { b.ExecParams(sql, nil, nil, nil, nil) }
	var asked []int64 // what is asked at each place of the batch; 0: nothing
	add := func(id int64) { asked = append(asked, id) }
	if len(versions) > 1 {
		do("savepoint ask")
		add(0)
	}
	for version, groups := range versions {
		if len(asked) > 1 {
			do("rollback to savepoint ask")
			add(0)
		}
		def, err := w.definition(ctx, w.q, &version)
		if err != nil {
			return nil, err
		}
		for _, g := range groups {
			values, err := temporal.Bind(def.Condition, def.Params, g.Args, nil)
			if err != nil {
				return nil, err
			}
			b.ExecParams(def.Condition.SQL, values, nil, nil, nil)
			add(g.ID)
		}
	}
	results, err := w.askAsTool(ctx, b)
	if err != nil {
		return nil, err
	}
	var calm []int64
	for i, id := range asked {
		if id != 0 && !holds(results[i]) {
			calm = append(calm, id)
		}
	}
	return calm, nil
}

// askAsTool runs statements of temporals in a transaction, and takes it back.
func (w *Waits) askAsTool(ctx context.Context, statements *pgconn.Batch) ([]*pgconn.Result, error) {
	conn, err := w.pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Release()
	defer rollback(ctx, conn)
	b := &pgx.Batch{}
	w.queueBegin(b, "statek_tool", askTimeout)
	if err := conn.SendBatch(ctx, b).Close(); err != nil {
		return nil, err
	}
	pc := conn.Conn().PgConn()
	results, err := pc.ExecBatch(ctx, statements).ReadAll()
	if err == nil && pc.TxStatus() != 'T' {
		err = errAlone
	}
	return results, err
}
