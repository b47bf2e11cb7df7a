package memstore

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"

	"statek/internal/agents"
	"statek/internal/engine"
	"statek/internal/jobs"
	"statek/internal/temporal"
)

// DB is the database. It is safe for concurrent use.
type DB struct {
	// Bugs are off unless a test wants to see them found.
	Bugs Bugs

	mu      sync.Mutex
	now     func() time.Time
	agents  map[uuid.UUID]agents.Definition
	catalog engine.Catalog

	jobs    map[jobs.ID]*job
	workers map[uuid.UUID]*worker
	bells   []Doorbell
	mail    []*letter
	waits   []*wait // in the order of their ids
	sets    map[int64]temporal.Mode
	groups  map[int64]*group
	byHash  map[string]*group
	checks  []*check
	dirty   []mark
	facts   []*fact
	tasks   []*Task
	ledger  []Effect
	changed map[jobs.ID]bool // since the last Check
	caught  int
	begun   int

	ids     int64          // one sequence for everything
	xid     int64          // the next transaction's
	running map[int64]bool // transactions that have an id and are open
}

// Bugs are ways in which a store can be wrong.
type Bugs struct {
	NoFence            bool // commits are not fenced
	LoseRings          bool // a ring is dropped when the ringer's snapshot, which may be old, has the job rung already
	ReleaseAnyway      bool // a release does not look at rung
	EatMail            bool // reading the mailbox empties it
	TrustFirstLook     bool // a look settles a registration although older writers run
	ForgetSets         bool // a member of a set that has won does not withdraw the others
	ForgetLosers       bool // a discarded value is not given back
	EffectBeforeRecord bool // a tool's effect commits by itself
	KeepOwner          bool // taking over does not ring
	ForgetJoins        bool // what a replay reads lacks the sets
	ForgetCalls        bool // who takes a job over does not fold what its row does not know
}

// Txn is one transaction that is about to run.
type Txn struct {
	Name string
	Job  jobs.ID
	// Of tells it from others of its name: a group, a call.
	Of string
	// Commit says that a lost reply leaves the outcome of a job's commit unknown.
	Commit bool
	// Retry says that it may lose to a concurrent transaction.
	Retry bool
}

// Gate decides about a transaction: it calls run once or not at all, and returns what the caller hears.
type Gate func(ctx context.Context, t Txn, run func() error) error

// Errors of the connection.
var (
	// ErrAway: the database did not answer.
	ErrAway = errors.New("memstore: the database is away")
	// ErrConcurrent: the transaction lost to another one and may be tried again.
	ErrConcurrent = errors.New("memstore: lost to a concurrent transaction")
	// ErrNotFound: there is no such row.
	ErrNotFound = errors.New("memstore: not found")
)

// Unavailable is what engine.Config.Unavailable wants to know.
func Unavailable(err error) bool {
	return errors.Is(err, ErrAway) || errors.Is(err, jobs.ErrUnknownOutcome)
}

// Concurrent is what engine.Config.Concurrent wants to know.
func Concurrent(err error) bool { return errors.Is(err, ErrConcurrent) }

// New returns an empty database that knows an agent and a catalog; now is its own clock.
func New(now func() time.Time, agent uuid.UUID, def agents.Definition, catalog engine.Catalog) *DB {
	return &DB{
		now: now, agents: map[uuid.UUID]agents.Definition{agent: def}, catalog: catalog,
		jobs: map[jobs.ID]*job{}, workers: map[uuid.UUID]*worker{}, sets: map[int64]temporal.Mode{},
		groups: map[int64]*group{}, byHash: map[string]*group{}, changed: map[jobs.ID]bool{},
		xid: 1, running: map[int64]bool{},
	}
}

// Session is one process's way to the database.
type Session struct {
	*DB
	gate Gate
	now  func() time.Time // the process's clock
	// Taker, when set, takes a few of the jobs that this session's looks wake.
	Taker *Taker
}

// Taker is a worker that runs what it wakes.
type Taker struct {
	Worker uuid.UUID
	May    func() bool
	// Taking is told before the commit, and what it returns whether that has succeeded; then the jobs must be run.
	Taking func([]jobs.Record) (told func(got bool))
}

// Session opens a way to the database. A nil gate lets everything through.
func (db *DB) Session(gate Gate, now func() time.Time) *Session {
	if gate == nil {
		gate = func(_ context.Context, _ Txn, run func() error) error { return run() }
	}
	return &Session{DB: db, gate: gate, now: now}
}

// do runs one transaction through the gate. What run finds out must not be used when do returns an error.
func (s *Session) do(ctx context.Context, t Txn, run func() error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return s.gate(ctx, t, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		return run()
	})
}

// Agent implements engine.Library.
func (s *Session) Agent(_ context.Context, id uuid.UUID) (agents.Definition, error) {
	def, ok := s.agents[id]
	if !ok {
		return def, ErrNotFound
	}
	return def, nil
}

// Catalog implements engine.Library.
func (s *Session) Catalog(context.Context, string) (engine.Catalog, error) { return s.catalog, nil }

func (db *DB) id() int64 {
	db.ids++
	return db.ids
}

// begin gives a transaction its id; it runs until end.
func (db *DB) begin() int64 {
	id := db.xid
	db.xid++
	db.running[id] = true
	return id
}

func (db *DB) end(xid int64) { delete(db.running, xid) }

// xmin is the oldest transaction that may still write.
func (db *DB) xmin() int64 {
	oldest := db.xid
	for id := range db.running {
		oldest = min(oldest, id)
	}
	return oldest
}
