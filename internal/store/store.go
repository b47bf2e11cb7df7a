package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"statek/internal/failpoint"
	"statek/internal/jobs"
	"statek/internal/store/db"
)

// Store reads and writes everything in schema statek. It is safe for concurrent use.
type Store struct {
	pool  *pgxpool.Pool
	q     *db.Queries
	bell  Bell
	Waits *Waits
	// Audience may be set before the first use. Default: nobody.
	Audience Audience
	// failpoints are nil but in workers that a test has armed.
	failpoints *failpoint.Points

	claims  *merger[*claimOp]
	commits *merger[*commitOp]
	tools   *merger[*toolOp]
	submits *merger[*submitOp]
	reads   *merger[*readOp]
	alone   chan struct{} // calls that came out of a batch, a few at once
	chains  chan struct{} // calls that were begun with the commit of others, a few at once

	// strayMail is the last mail that RingStray has looked at; 0: it begins again.
	strayMail atomic.Int64
}

// Bell is told, after a commit, what happened in it: that somebody was rung, and which job changed and whether it
// rests now, DONE or PAUSED. It must not block; losing a call only costs latency.
type Bell interface {
	Rang()
	Changed(job jobs.ID, rests bool)
}

// New returns a store over the pool. A nil bell is silent.
func New(pool *pgxpool.Pool, bell Bell, now func() time.Time) *Store {
	if bell == nil {
		bell = silent{}
	}
	waits := NewWaits(pool, now)
	waits.Rang = bell.Rang
	s := &Store{pool: pool, q: db.New(pool), bell: bell, Waits: waits}
	conns := int(pool.Config().MaxConns)
	s.alone, s.chains = make(chan struct{}, alonePlaces(conns)), make(chan struct{}, chainPlaces(conns))
	s.claims = &merger[*claimOp]{run: s.claimMany, most: 64}
	s.commits = &merger[*commitOp]{run: s.commitMany, most: 64}
	s.tools = &merger[*toolOp]{run: s.toolMany, most: 64}
	s.submits = &merger[*submitOp]{run: s.submitMany, most: 64}
	s.reads = &merger[*readOp]{run: s.readMany, most: 64, idle: true}
	return s
}

// SetFailpoints arms the places inside transactions, for tests. Call it before the first use.
func (s *Store) SetFailpoints(points *failpoint.Points) {
	s.failpoints, s.Waits.failpoints = points, points
}

type silent struct{}

func (silent) Rang()                 {}
func (silent) Changed(jobs.ID, bool) {}

// ErrNotFound: there is no such row.
var ErrNotFound = errors.New("store: not found")

// wrap names what failed and turns driver errors into those that callers branch on.
func wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	what := fmt.Sprintf(format, args...)
	var pg *pgconn.PgError
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return fmt.Errorf("store: %s: %w", what, ErrNotFound)
	case errors.As(err, &pg) && pg.Code == "ST001":
		return fmt.Errorf("store: %s: %w", what, jobs.ErrFenced)
	default:
		return fmt.Errorf("store: %s: %w", what, err)
	}
}

// Unavailable reports whether err means that the database cannot be reached or is starting or stopping:
// the same call may work later.
func Unavailable(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch pg.Code[:2] {
		case "57", "53", "08": // shutdown or starting, too many connections, connection trouble
			return pg.Code != "57014" // statement timeout
		}
		return false
	}
	var connect *pgconn.ConnectError
	var network net.Error
	switch {
	case errors.As(err, &connect), errors.As(err, &network), pgconn.SafeToRetry(err), pgconn.Timeout(err):
		return true
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, jobs.ErrUnknownOutcome):
		return true // the connection broke off
	default:
		return err != nil && strings.Contains(err.Error(), "conn closed")
	}
}

// text makes a string storable in a text column: Postgres refuses NUL and invalid UTF-8.
func text(s string) string {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	return strings.ReplaceAll(s, "\x00", "\uFFFD")
}

// textOrNull is text, with null for the empty string.
func textOrNull(s string) *string {
	if s == "" {
		return nil
	}
	s = text(s)
	return &s
}

// Ping asks the database for one round trip.
func (s *Store) Ping(ctx context.Context) error { return wrap(s.pool.Ping(ctx), "ping") }

// Concurrent reports that a transaction lost to a concurrent one (serialization, deadlock, lock timeout); the
// same may work again.
func Concurrent(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40001" || pg.Code == "40P01" || pg.Code == "55P03")
}
