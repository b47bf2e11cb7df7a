package store

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"statek/internal/failpoint"
	"statek/internal/store/db"
	"statek/internal/temporal"
)

// Waits registers waits and wakes the jobs behind them. The protocol and its proof are in package temporal.
// Every method may run on any number of workers at once, spuriously or twice, and may die at any point.
type Waits struct {
	pool *pgxpool.Pool
	q    *db.Queries
	now  func() time.Time
	// Rang, when set, is told after each commit that rang a doorbell. Set it before the first use.
	Rang func()
	// Taker, when set, is a worker that may take jobs which it wakes. MayTake says whether there is room. Taking is told
	// before the commit which it will have got, and what it returns, soon after, whether it has: then they must be run, and else
	// nothing may have happened. Neither may block. Set them before the first use.
	Taker   uuid.UUID
	Taking  func(jobs []Taken) (told func(got bool))
	MayTake func() bool
	// Timeout bounds one statement of a temporal, and a fifth of it the wait for one lock; 5 s unless set.
	Timeout time.Duration
	// Jitter, when set, returns 0 to 1 and spreads retries. Set it before the first use.
	Jitter func() float64
	// Go are the temporals of the embedding program, by name. Set it before the first use.
	Go map[string]GoTemporal

	// collected is the last group that Collect has looked at; 0: it begins again.
	collected  atomic.Int64
	failpoints *failpoint.Points

	mu sync.Mutex
	// definitions caches temporals by version id; versions never change.
	definitions map[uuid.UUID]temporal.Definition
}

// NewWaits returns the waits of a database.
func NewWaits(pool *pgxpool.Pool, clock func() time.Time) *Waits {
	return &Waits{
		pool: pool, q: db.New(pool), now: clock, Timeout: 5 * time.Second,
		definitions: map[uuid.UUID]temporal.Definition{},
	}
}

// Round is what some looks at groups brought about.
type Round struct {
	Looks  int
	Served int
	// Caught counts waiters served by a sweep although nothing had told to look: lost wake-ups.
	Caught int
	// RetryIn is when the earliest of the looked-at groups wants another look; 0: none does.
	RetryIn time.Duration
}

func (r *Round) add(o Round) {
	r.Looks += o.Looks
	r.Served += o.Served
	r.Caught += o.Caught
	r.soon(o.RetryIn)
}

func (r *Round) soon(d time.Duration) {
	if d > 0 && (r.RetryIn == 0 || d < r.RetryIn) {
		r.RetryIn = d
	}
}

// QueueRegister appends the statements that register a job's waits, and the questions of approvals, to the
// batch of a commit. A commit must register all its waits in one call: they are sorted, so that two commits
// which create the same groups cannot deadlock. After the commit the caller passes the groups' hashes to TryNow.
func (w *Waits) QueueRegister(b *pgx.Batch, job uuid.UUID, specs ...temporal.Spec) {
	type row struct {
		spec temporal.Spec
		hash []byte
	}
	rows := make([]row, len(specs))
	for i, s := range specs {
		rows[i].spec = s
		if s.Group != nil {
			rows[i].hash = s.Group.Hash()
		}
	}
	slices.SortStableFunc(rows, func(a, b row) int {
		return cmp.Or(bytes.Compare(a.hash, b.hash), cmp.Compare(a.spec.Call, b.spec.Call))
	})
	for _, r := range rows {
		w.queueRegister(b, job, r.spec, r.hash)
	}
}

func (w *Waits) queueRegister(b *pgx.Batch, job uuid.UUID, s temporal.Spec, hash []byte) {
	var prefix, kind, name, args *string
	var temporalID *uuid.UUID
	var recheck *float64
	deps := []string{}
	if g := s.Group; g != nil {
		groupKind, groupArgs := string(g.Kind), string(g.Args)
		prefix, kind, name, args, deps = &g.Prefix, &groupKind, &g.Name, &groupArgs, g.Deps
		if id, err := uuid.Parse(g.TemporalID); err == nil {
			temporalID = &id
		}
		if g.Recheck > 0 {
			seconds := g.Recheck.Seconds()
			recheck = &seconds
		}
	}
	b.Queue(db.WaitRegister, job, int32(s.Cell), int32(s.Call), string(s.Kind), s.Name, s.Due, s.Since,
		hash, prefix, kind, name, temporalID, args, deps, recheck, w.now())
	if q := s.Question; q != nil {
		b.Queue(db.ApprovalInsert, int32(s.Cell), int32(s.Call), q.Title, string(q.Options), q.FreeText, jsonOrNull(q.Args),
			jsonOrNull(q.Schema), jsonOrNull(q.Data), textOrNull(q.Assignee), s.Due, job)
	}
}

func jsonOrNull(raw json.RawMessage) *string {
	if raw == nil {
		return nil
	}
	text := string(raw)
	return &text
}

// QueueJoin appends the statement that makes a set of waits, which are registered by then. It waits for
// whoever is resolving one of them; if that decides the set, the others are taken back.
func (w *Waits) QueueJoin(b *pgx.Batch, job uuid.UUID, s temporal.Set) {
	b.Queue(db.WaitJoin, job, int32(s.Cell), numbers(s.Calls), string(s.Mode))
}

// QueueWithdraw appends the statement that takes back open waits of a cell. It waits for whoever is
// resolving one of them; what was resolved is in the mailbox then, and stays there.
func (w *Waits) QueueWithdraw(b *pgx.Batch, job uuid.UUID, x temporal.Withdrawal) {
	b.Queue(db.WaitWithdraw, job, int32(x.Cell), numbers(x.Calls))
}

// numbers is nil, hence NULL, for nil.
func numbers(list []int) []int32 {
	if list == nil {
		return nil
	}
	out := make([]int32, len(list))
	for i, n := range list {
		out[i] = int32(n)
	}
	return out
}

// FireTimers resolves the sleeps that are due and times out the other waits that are, at most limit, and
// returns how many there were.
func (w *Waits) FireTimers(ctx context.Context, limit int) (int, error) {
	fired, err := w.q.WaitTimersFire(ctx, db.WaitTimersFireParams{Now: w.now(), Most: int32(limit)})
	if err != nil {
		return 0, wrap(err, "fire timers")
	}
	if fired > 0 {
		w.rang()
	}
	return int(fired), nil
}

// NextDue returns the earliest time at which a timer fires or a group wants another look; ok is false when
// there is none.
func (w *Waits) NextDue(ctx context.Context) (due time.Time, ok bool, err error) {
	var at *time.Time
	if err := w.pool.QueryRow(ctx, db.WaitNextDue).Scan(&at); err != nil {
		return time.Time{}, false, wrap(err, "read the next timer")
	}
	if at == nil {
		return time.Time{}, false, nil
	}
	return *at, true, nil
}

// Pending says what there is to do now.
type Pending struct {
	Dirty, Unstamped, Settled, Due, Retry bool
	// Orphans: TakeOver has something to take. Strays: there may be something for RingStray, Limits: for SweepSeats.
	Orphans, Strays, Limits bool
}

// Pending asks, in one round trip of index probes, which of the chores have work.
func (w *Waits) Pending(ctx context.Context) (Pending, error) {
	row, err := w.q.WaitPending(ctx, w.now())
	return Pending(row), wrap(err, "read pending work")
}

func (w *Waits) rang() {
	if w.Rang != nil {
		w.Rang()
	}
}
