package store_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"statek/internal/temporal"
)

// worlds is how many random histories TestRandomWorldsLoseNothing plays; each has some fifty steps.
const worlds = 120

// world is one random history: sessions that register, write, withdraw and look, one step at a time, in an order
// that a seed decides.
type world struct {
	*waitsKit
	*rand.Rand
	seed    uint64
	def     *temporal.Definition
	id      string
	writers []*session
	waiters []*session
	jobs    map[uuid.UUID]string // what has become of each: asked, waits, withdrawn
	steps   []string
}

// session is a database session with perhaps a transaction.
type session struct {
	conn  *pgxpool.Conn
	open  bool
	job   uuid.UUID // that it registers
	queue string    // what for
}

// TestRandomWorldsLoseNothing plays random interleavings of registrations, withdrawals, writers of all isolation
// levels and evaluators with real sessions. Afterwards every row was given to one job or is there while nobody waits for
// it, no job got two values, and a sweep finds nothing.
func TestRandomWorldsLoseNothing(t *testing.T) {
	t.Parallel()
	k := newWaitsKit(t)
	k.waits.Timeout = 250 * time.Millisecond
	k.exec("create index on app.tasks (queue)")
	def, id := k.define(pickTask)
	w := &world{waitsKit: k, def: def, id: id}
	for range 3 {
		w.writers = append(w.writers, &session{conn: k.session()})
		w.waiters = append(w.waiters, &session{conn: k.session()})
	}
	for seed := range uint64(worlds) {
		w.play(seed)
	}
}

func (w *world) play(seed uint64) {
	w.Helper()
	w.seed, w.Rand, w.jobs, w.steps = seed, rand.New(rand.NewPCG(seed, 1)), map[uuid.UUID]string{}, nil
	for range 30 + w.IntN(30) {
		switch w.IntN(9) {
		case 0, 1, 2:
			w.write(w.writers[w.IntN(len(w.writers))])
		case 3, 4:
			w.register(w.waiters[w.IntN(len(w.waiters))])
		case 5:
			w.withdraw()
		default:
			w.look()
		}
	}
	for _, s := range append(w.writers, w.waiters...) {
		w.end(s)
	}
	w.quiesce()
	w.verify()
}

func (w *world) queue() string { return fmt.Sprintf("w%d-%d", w.seed, w.IntN(2)) }

func (w *world) do(s *session, sql string) error {
	w.Helper()
	w.steps = append(w.steps, fmt.Sprintf("%d: %s", s.conn.Conn().PgConn().PID(), sql))
	_, err := s.conn.Exec(w.ctx, sql)
	return err
}

// write begins a transaction, writes, or ends it. A serializable writer may be refused; it rolls back.
func (w *world) write(s *session) {
	w.Helper()
	switch {
	case !s.open:
		level := []string{"read committed", "repeatable read", "serializable"}[w.IntN(3)]
		w.must(w.do(s, "begin isolation level "+level+"; select count(*) from app.parts"))
		s.open = true
	case w.IntN(3) == 0:
		w.end(s)
	default:
		sql := fmt.Sprintf("insert into app.tasks (queue) values ('%s')", w.queue())
		if w.IntN(4) == 0 {
			sql = "savepoint a; " + sql + "; rollback to a"
		}
		if err := w.do(s, sql); err != nil {
			w.must(w.do(s, "rollback"))
			s.open = false
		}
	}
}

// end ends a session's transaction, one time in four by rolling back.
func (w *world) end(s *session) {
	w.Helper()
	if !s.open {
		return
	}
	how := "commit"
	if w.IntN(4) == 0 {
		how = "rollback"
	}
	err := w.do(s, how)
	if err != nil {
		_ = w.do(s, "rollback")
	}
	if s.job != uuid.Nil {
		if delete(w.jobs, s.job); err == nil && how == "commit" {
			w.jobs[s.job] = "waits"
		}
	}
	s.open, s.job = false, uuid.Nil
}

// register registers the wait of a new job in a transaction that stays open.
func (w *world) register(s *session) {
	w.Helper()
	if s.open {
		w.end(s)
		return
	}
	queue := w.queue()
	for _, other := range w.waiters {
		if other.open && other.queue == queue {
			return // it would wait for the other to make their group, and here nobody goes on meanwhile
		}
	}
	job := w.job("/acme/dev")
	w.must(w.do(s, "begin"))
	w.waitsKit.register(s.conn, job, w.plan(1, "pickTask", w.def, w.id, `["`+queue+`"]`))
	s.open, s.job, s.queue = true, job, queue
	w.jobs[job] = "asked"
}

// withdraw takes back some wait, as the end of its cell does.
func (w *world) withdraw() {
	w.Helper()
	for job, state := range w.jobs {
		if state != "waits" {
			continue
		}
		w.steps = append(w.steps, "withdraw "+job.String())
		w.exec("select statek.withdraw_waits($1, 1)", job)
		w.jobs[job] = "withdrawn"
		return
	}
}

// look does one of the things that workers do.
func (w *world) look() {
	w.Helper()
	var err error
	switch w.IntN(4) {
	case 0:
		w.steps = append(w.steps, "drain")
		_, err = w.waits.Drain(w.ctx)
	case 1:
		w.steps = append(w.steps, "stamp")
		_, err = w.waits.Stamp(w.ctx)
	case 2:
		w.steps = append(w.steps, "settle")
		_, err = w.waits.Settle(w.ctx, 100)
	default:
		w.steps = append(w.steps, "tick")
		_, _, err = w.waits.Tick(w.ctx)
	}
	w.must(err)
}

func (w *world) verify() {
	w.Helper()
	round, err := w.waits.Sweep(w.ctx, 0, 10_000)
	w.must(err)
	fail := func(format string, args ...any) {
		w.Errorf("seed %d: %s\n%s", w.seed, fmt.Sprintf(format, args...), strings.Join(w.steps, "\n"))
	}
	if round.Caught != 0 {
		fail("the sweep caught %d", round.Caught)
	}
	mine := fmt.Sprintf("w%d-", w.seed)
	taken := w.count("select count(*) from app.tasks where state = 'taken' and starts_with(queue, $1)", mine)
	given := w.count("select count(distinct payload ->> 'id') from statek.mailbox where kind = 'resolved' and starts_with(payload ->> 'queue', $1)", mine)
	mail := w.count("select count(*) from statek.mailbox where kind = 'resolved' and starts_with(payload ->> 'queue', $1)", mine)
	if taken != given || given != mail {
		fail("%d rows are taken, %d were given out in %d messages", taken, given, mail)
	}
	if n := w.count("select count(*) from (select job_id from statek.mailbox group by job_id having count(*) > 1) x"); n != 0 {
		fail("%d jobs got more than one value", n)
	}
	if n := w.count(`select count(*) from statek.waits w join statek.wait_groups g on g.id = w.group_id
		where exists (select from app.tasks t where t.queue = g.args ->> 'queue' and t.state = 'ready' and starts_with(t.queue, $1))`, mine); n != 0 {
		fail("%d jobs wait for rows that are there", n)
	}
	for job, state := range w.jobs {
		got := w.count("select count(*) from statek.mailbox where job_id = $1", job)
		open := w.count("select count(*) from statek.waits where job_id = $1", job)
		if state == "waits" && got+open != 1 || state == "withdrawn" && open != 0 {
			fail("job %s %s, has %d values and %d open waits", job, state, got, open)
		}
	}
}
