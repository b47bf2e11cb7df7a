package store

import (
	"context"
	"errors"
	"slices"
	"strconv"
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
	// fewGroups are looked at one by one: whoever waits for them is taken by the worker that looks.
	fewGroups = 4
	// togetherTimeout bounds what temporals do in a look that they share, togetherLock the wait for a lock. What takes
	// longer is looked at alone.
	togetherTimeout = time.Second
	togetherLock    = 50 * time.Millisecond
)

// evaluateTogether looks at groups of the same version of an SQL temporal in common transactions, as far as each has one
// waiter and nothing is out of the ordinary. It returns the groups that have to be looked at alone.
func (w *Waits) evaluateTogether(ctx context.Context, groups []int64) (round Round, alone []int64, err error) {
	if len(groups) <= fewGroups {
		return round, groups, nil
	}
	versions, alone, err := w.versions(ctx, groups)
	if err != nil {
		return round, groups, err
	}
	var mu sync.Mutex
	var all errgroup.Group
	all.SetLimit(looksAtOnce)
	for _, ids := range versions {
		for len(ids) > 0 {
			n := min(len(ids), lookBatch)
			chunk := ids[:n]
			ids = ids[n:]
			all.Go(func() error {
				r, left := w.lookTogether(ctx, chunk)
				mu.Lock()
				defer mu.Unlock()
				round.add(r)
				alone = append(alone, left...)
				return nil
			})
		}
	}
	_ = all.Wait() // what failed is left
	return round, alone, nil
}

// versions sorts groups by their temporal; alone are those that have none in SQL.
func (w *Waits) versions(ctx context.Context, groups []int64) (versions map[uuid.UUID][]int64, alone []int64, err error) {
	rows, err := w.q.WaitGroupsVersions(ctx, groups)
	if err != nil {
		return nil, nil, wrap(err, "sort groups")
	}
	versions = map[uuid.UUID][]int64{}
	for _, r := range rows {
		if r.Kind != string(temporal.SQL) || r.TemporalID == nil {
			alone = append(alone, r.ID)
			continue
		}
		versions[*r.TemporalID] = append(versions[*r.TemporalID], r.ID)
	}
	return versions, alone, nil
}

// together is one transaction's look at groups of one temporal.
type together struct {
	look
	def    temporal.Definition
	groups []*sharer
	left   []int64 // owed another look
}

// sharer is one group of it.
type sharer struct {
	look
	waiter *head // whom it serves
	alone  bool  // it is looked at alone
	value  row
}

// lookTogether looks at groups; what cannot be done in common is taken back as a whole, and left.
func (w *Waits) lookTogether(ctx context.Context, ids []int64) (round Round, left []int64) {
	t := together{look: look{w: w}}
	conn, err := w.pool.Acquire(ctx)
	if err != nil {
		return round, ids
	}
	defer conn.Release()
	defer rollback(ctx, conn)
	t.conn, t.q = conn.Conn(), db.New(conn)
	bounded, cancel := context.WithTimeout(ctx, togetherTimeout)
	defer cancel()
	if err := t.open(bounded, ids); err != nil { // nobody is left to look at, mostly
		return Round{}, ids
	}
	for _, step := range []func(context.Context) error{t.ask, t.claim} {
		if err := step(bounded); err != nil {
			if worn(err) {
				unprepare(ctx, t.conn)
			}
			return Round{}, ids
		}
	}
	if err := t.close(ctx); err != nil {
		return Round{}, ids
	}
	served := 0
	for _, g := range t.groups {
		if g.alone {
			continue
		}
		round.Looks++
		if g.eval.Served > 0 {
			w.failpoints.Group(failpoint.LookCommitted, g.group.Name, g.group.Args)
			served++
		}
		round.soon(g.decision.Retry)
	}
	round.Served = served
	if served > 0 {
		w.rang()
	}
	return round, t.left
}

// open begins the transaction and takes the groups that nobody else looks at; theirs are the others.
func (t *together) open(ctx context.Context, ids []int64) error {
	b := &pgx.Batch{}
	t.w.queueBegin(b, "none", togetherTimeout)
	b.Queue(takeGroups, ids, t.w.known()).Query(func(rows pgx.Rows) error {
		list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[waitGroup])
		for _, g := range list {
			t.groups = append(t.groups, &sharer{look: look{w: t.w, group: g, eval: temporal.Evaluation{
				Last: temporal.State(g.LastResult), Attempts: int(g.Attempts), Recheck: time.Duration(g.RecheckMs) * time.Millisecond, Jitter: t.w.jitter(),
			}}})
		}
		return err
	})
	if err := t.conn.SendBatch(ctx, b).Close(); err != nil || len(t.groups) == 0 {
		return errors.Join(err, pgx.ErrNoRows)
	}
	var err error
	t.def, err = t.w.definition(ctx, t.q, t.groups[0].group.TemporalID)
	return err
}

// queueBegin begins a transaction for groups in company: with the rights of a role, none being one's own, and a bound for each statement.
func (w *Waits) queueBegin(b *pgx.Batch, role string, most time.Duration) {
	b.Queue("begin isolation level read committed")
	b.Queue("select set_config('statement_timeout', $1, true), set_config('lock_timeout', $2, true), set_config('plan_cache_mode', 'auto', true), set_config('role', $3, true)",
		millis(min(most, w.Timeout)), millis(min(togetherLock, w.Timeout)), role)
}

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// asked are the groups whose condition is asked here. A group that has failed is looked at alone.
func (g *sharer) asked() bool {
	return g.group.Waiting && g.group.LastResult != string(temporal.Failed)
}

// ask asks all conditions, and locks the waiters.
func (t *together) ask(ctx context.Context) error {
	name, err := prepare(ctx, t.conn, t.def.Condition)
	if err != nil {
		return err
	}
	var asked []*sharer
	var ids []int64
	var lists [][][]byte
	for _, g := range t.groups {
		if g.alone = g.group.Waiting && !g.asked(); g.alone || !g.group.Waiting {
			continue
		}
		values, err := temporal.Bind(t.def.Condition, t.def.Params, g.group.Args, nil)
		if err != nil {
			return err
		}
		asked, ids, lists = append(asked, g), append(ids, g.group.ID), append(lists, values)
	}
	if len(asked) == 0 {
		return nil
	}
	b := &pgconn.Batch{}
	asTool(b, name, t.def.Condition.SQL, lists)
	queueSingleHeads(b, ids)
	results, err := t.results(ctx, b)
	if err != nil {
		return err
	}
	heads, err := readSingleHeads(results[len(results)-1])
	if err != nil {
		return err
	}
	for i, g := range asked {
		g.eval.Waiters = 1
		if holds(results[1+i]) {
			g.waiter = heads[g.group.ID]
			g.alone = g.waiter == nil
		}
	}
	return nil
}

// claim runs the complement for each waiter. Who gets nothing is left: others may hold what it would take.
func (t *together) claim(ctx context.Context) error {
	name, err := prepare(ctx, t.conn, t.def.Complement)
	if err != nil {
		return err
	}
	var lists [][][]byte
	for _, g := range t.groups {
		if g.waiter == nil {
			continue
		}
		own := map[string]string{"job_id": g.waiter.JobID.String(), "prefix": g.group.Prefix}
		values, err := temporal.Bind(t.def.Complement, t.def.Params, g.group.Args, own)
		if err != nil {
			return err
		}
		lists = append(lists, values)
	}
	if len(lists) == 0 {
		return nil
	}
	b := &pgconn.Batch{}
	asTool(b, name, t.def.Complement.SQL, lists)
	results, err := t.results(ctx, b)
	if err != nil {
		return err
	}
	results = results[1:]
	for _, g := range t.groups {
		if g.waiter == nil {
			continue
		}
		res := results[0]
		results = results[1:]
		switch {
		case len(res.Rows) > 1, len(res.Rows) == 0 && res.CommandTag.RowsAffected() > 0:
			return errAlone // a fault, which is told when it is looked at alone
		case len(res.Rows) == 0:
			g.waiter = nil
			g.alone = true
			continue
		}
		g.eval.Served = 1
		g.value = resultRow(res)
	}
	return nil
}

// results runs statements of a temporal. One that has ended the transaction, or fails, is looked at alone.
func (t *together) results(ctx context.Context, b *pgconn.Batch) ([]*pgconn.Result, error) {
	conn := t.conn.PgConn()
	list, err := conn.ExecBatch(ctx, b).ReadAll()
	if err == nil && conn.TxStatus() != 'T' {
		err = errAlone
	}
	return list, err
}

// close ends the waits, records what came of each look, leaves a check for what has to be looked at alone, and commits.
func (t *together) close(ctx context.Context) error {
	b := &pgx.Batch{}
	if err := t.queueSettle(b); err != nil {
		return err
	}
	var looked []int64
	for _, g := range t.groups {
		looked = append(looked, g.group.ID)
		if g.alone { // as if it had not been taken
			b.Queue(db.WaitCheckAgain, g.group.ID, textOrNull(g.group.Touched), g.group.TouchedAt, g.group.Marks)
		}
	}
	t.queueRecords(b)
	// The bound was for the temporal: a commit that notifies waits for those of others.
	b.Queue("set local lock_timeout to default")
	committed := false
	b.Queue("commit").Exec(func(pgconn.CommandTag) error {
		committed = true
		return nil
	})
	t.left = looked // unless the answer says otherwise
	b.Queue(db.WaitChecksOwed, looked).Query(func(rows pgx.Rows) (err error) {
		owed, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err == nil {
			t.left = owed
		}
		return err
	})
	err := t.conn.SendBatch(ctx, b).Close()
	if committed {
		return nil // what could not be read is asked for again
	}
	return err
}

// queueSettle appends what gives the waiters the rows that were taken for them.
func (t *together) queueSettle(b *pgx.Batch) error {
	var ids []int64
	var all row
	var kinds, evidence []string
	for _, g := range t.groups {
		if g.waiter == nil {
			continue
		}
		t.w.failpoints.Group(failpoint.LookServed, g.group.Name, g.group.Args)
		if len(ids) > 0 && !(slices.Equal(all.names, g.value.names) && slices.Equal(all.types, g.value.types)) {
			return errAlone
		}
		all.names, all.types, all.texts = g.value.names, g.value.types, append(all.texts, g.value.texts...)
		ids, kinds, evidence = append(ids, g.waiter.ID), append(kinds, "resolved"), append(evidence, string(g.evidence(t.def)))
	}
	if len(ids) == 0 {
		b.Queue("set local synchronous_commit = off") // as in a look alone
		return nil
	}
	b.Queue("select statek.settle_waits($1, $2, statek.all_claimed(statek.rows_json($3, $4, $5)), $6::text[]::json[])",
		ids, kinds, all.names, all.types, all.texts, evidence)
	return nil
}

// queueRecords appends the record of the looks.
func (t *together) queueRecords(b *pgx.Batch) {
	var ids, marks []int64
	var states []string
	var attempts []int32
	var retries []*time.Time
	var deps []*string
	var touched []time.Time
	now := t.w.now()
	for _, g := range t.groups {
		if g.alone {
			continue
		}
		ids, marks, retries = append(ids, g.group.ID), append(marks, g.group.Marks), append(retries, g.decide(now))
		states, attempts = append(states, string(g.decision.State)), append(attempts, int32(g.decision.Attempts))
		deps, touched = append(deps, textOrNull(g.group.Touched)), append(touched, g.group.TouchedAt)
	}
	if len(ids) > 0 {
		b.Queue("select statek.record_looks($1, $2, $3, $4, $5, $6, $7, $8)", ids, states, attempts, retries, marks, deps, touched, now)
	}
}

// resultRow is a result's first row as statek.row_json takes it.
func resultRow(res *pgconn.Result) (r row) {
	for i, f := range res.FieldDescriptions {
		r.names, r.types = append(r.names, f.Name), append(r.types, f.DataTypeOID)
		var text *string
		if v := res.Rows[0][i]; v != nil {
			s := string(v)
			text = &s
		}
		r.texts = append(r.texts, text)
	}
	return r
}
