package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"statek/internal/failpoint"
	"statek/internal/httpapi"
	"statek/internal/pgtest"
)

const rioters = 4

// riot is a world in which everything dies again and again.
type riot struct {
	*world
	db        *ownDatabase
	bank      *bank
	random    *rand.Rand
	conductor *conductor
	jobs      []uuid.UUID
	apis      []*process
	clients   []*httpapi.Client
	workers   []*rioter
	tally     map[string]int
	samples   []sample
	outages   []outage
	began     time.Time
	took      time.Duration
}

// sample is a job that a worker held when it was killed.
type sample struct {
	job    uuid.UUID
	seq    int64
	worker uuid.UUID
	killed time.Time
}

// outage is when the database was away, and how many jobs were held when it went.
type outage struct {
	began, ended, calm time.Time
	held               int
	quick              bool // a restart, and nobody waited for others to recover
}

// rioter is a place for a worker.
type rioter struct {
	*process
	wire *pgtest.Wire
	// What is being done to it ends then.
	until time.Time
	heal  func()
	// The conductor's: whether to freeze it in its next tool transaction, and whether it was.
	freeze, frozen bool
}

func newRiot(t *testing.T, seed uint64) *riot {
	t.Helper()
	began := time.Now()
	db := newOwnDatabase(t)
	t.Logf("database after %s", time.Since(began).Round(100*time.Millisecond))
	r := &riot{
		world: newBareWorld(t, db.url), db: db, bank: newBank(t, 250*time.Millisecond), random: rand.New(rand.NewPCG(seed, 5)), tally: map[string]int{},
	}
	r.env = append(r.env, "TOOL_HOST="+r.bank.host())
	r.prepare(nil)
	r.sql(riotSchema)
	r.statek(0, "apply", folder(t, riotFiles()))
	r.conductor = newConductor(t, r.decide)
	r.apis, r.clients = []*process{r.api, nil}, []*httpapi.Client{r.rest, nil}
	r.launchAPI(1)
	for range rioters {
		one := &rioter{wire: pgtest.NewWire(t, db.url)}
		r.workers = append(r.workers, one)
		r.launch(one)
	}
	r.began = time.Now()
	t.Logf("prepared in %s", r.began.Sub(began).Round(100*time.Millisecond))
	return r
}

// launch starts the place's worker. Some are armed, so that they can be frozen where it hurts.
func (r *riot) launch(one *rioter) {
	r.t.Helper()
	env := append([]string{}, r.env...)
	env = append(env, "DATABASE_URL="+one.wire.URL())
	if r.random.IntN(2) == 0 {
		env = append(env, r.conductor.env())
	}
	p := r.start("statek-worker", env)
	r.conductor.locked(func() { one.process, one.freeze, one.frozen = p, false, false })
}

func (r *riot) launchAPI(i int) {
	r.t.Helper()
	r.startAPI()
	r.apis[i], r.clients[i] = r.api, r.rest
}

// decide freezes who is meant to be, in the middle of a tool's transaction.
func (r *riot) decide(a failpoint.Announcement) verdict {
	for _, one := range r.workers {
		if one.process != nil && one.cmd.Process.Pid == a.PID && one.freeze && a.Point == failpoint.ToolDone {
			one.freeze, one.frozen = false, true
			return freeze
		}
	}
	return goOn
}

// submitOne gives the cluster a job, through any API that answers; the key makes it one job.
func (r *riot) submitOne(steps int) {
	r.t.Helper()
	key := fmt.Sprintf("riot-%d", len(r.jobs))
	body := httpapi.Submission{Source: "riot", SharedVars: map[string]json.RawMessage{"steps": json.RawMessage(fmt.Sprint(steps))}}
	over := time.Now().Add(patience)
	for try := 0; ; try++ {
		job, err := r.clients[(len(r.jobs)+try)%len(r.clients)].Submit(r.t.Context(), "payer", key, body)
		var refused *httpapi.ProblemError
		switch {
		case err == nil:
			r.jobs = append(r.jobs, job.ID)
			return
		case errors.As(err, &refused) && refused.Problem.Status < 500 && refused.Problem.Status != 409, time.Now().After(over):
			r.t.Fatalf("submit job %s: %v", key, err)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// rage does one thing after another to workers and APIs for so long, while jobs come in.
func (r *riot) rage(long time.Duration, count, steps int) {
	r.t.Helper()
	began, before, restarts := time.Now(), len(r.jobs), 0
	var victims []int
	begun := false
	for round := -1; ; {
		elapsed := time.Since(began)
		if elapsed >= long && len(r.jobs) == before+count {
			break
		}
		for due := min(count, int(float64(count)*elapsed.Seconds()/long.Seconds()*1.1)+1); len(r.jobs) < before+due; {
			r.submitOne(steps)
		}
		if n := int(elapsed / (10 * time.Second)); n != round {
			round, victims = n, r.random.Perm(rioters)[:rioters/2] // the others must be able to see them die
		}
		r.heal()
		if n := int(elapsed / time.Minute); n > restarts {
			restarts = n
			r.tally["restarts of the database"]++
			r.restart(0)
		}
		one := r.workers[victims[r.random.IntN(len(victims))]]
		switch {
		case !begun: // however short it is, somebody dies who is busy
			begun = r.killBusy()
		case one.heal == nil:
			r.hurt(one)
		}
		<-time.After(time.Duration(50+r.random.IntN(400)) * time.Millisecond)
	}
	for _, one := range r.workers {
		one.until = time.Time{}
	}
	r.heal()
}

// heal ends what has lasted long enough, and starts what has died.
func (r *riot) heal() {
	r.t.Helper()
	for _, one := range r.workers {
		if one.heal != nil && time.Now().After(one.until) {
			one.heal()
			one.heal = nil
		}
		if one.heal == nil && one.ended() {
			r.t.Errorf("a worker ended by itself with %d", one.code())
			r.launch(one)
		}
	}
}

// killBusy kills the worker that drives most jobs, if one drives any.
func (r *riot) killBusy() bool {
	r.t.Helper()
	pid := query[int](r.world, `select coalesce((select w.pid from statek.job_state s join statek.workers w on w.id = s.owner
		where w.dead_at is null and s.status in ('READY', 'WARMING_UP', 'STARTED') group by w.id, w.pid order by count(*) desc limit 1), 0)`)
	for _, one := range r.workers {
		if one.cmd.Process.Pid == pid && one.heal == nil {
			r.tally["workers killed"]++
			r.kill(one)
			r.launch(one)
			return true
		}
	}
	return false
}

// hurt does something to a worker, or an API.
func (r *riot) hurt(one *rioter) {
	r.t.Helper()
	lasts := func(least, most float64, heal func()) {
		one.until, one.heal = time.Now().Add(time.Duration((least+r.random.Float64()*(most-least))*float64(time.Second))), heal
	}
	wake := func() { one.signal(syscall.SIGCONT) }
	switch n := r.random.IntN(16); {
	case n < 6:
		r.tally["workers killed"]++
		r.kill(one)
		r.launch(one)
		lasts(1, 2, func() {})
	case n < 8:
		r.tally["workers stopped"]++
		one.signal(syscall.SIGSTOP)
		lasts(0.2, 9, wake)
	case n < 10:
		r.conductor.locked(func() { one.freeze = true })
		lasts(1, 9, func() {
			r.conductor.locked(func() {
				if one.freeze = false; one.frozen {
					r.tally["stopped in a tool's transaction"]++
				}
				one.frozen = false
			})
			wake()
		})
	case n < 12:
		r.tally["sessions ended"] += r.endSessions(one)
	case n < 13 && r.random.IntN(2) == 0:
		r.tally["networks cut"]++
		one.wire.Cut()
		lasts(0.1, 7, one.wire.Restore)
	case n < 13:
		r.tally["networks stalled"]++
		one.wire.Stall()
		lasts(0.5, 9, one.wire.Restore)
	case n < 15:
		one.wire.LoseReply(importantRequest)
		lasts(0.2, 1, func() {})
	default:
		r.tally["APIs killed"]++
		i := r.random.IntN(len(r.apis))
		r.apis[i].kill()
		r.launchAPI(i)
	}
}

// importantRequest is a COMMIT, or so big that it commits something.
func importantRequest(request []byte) bool {
	return len(request) > 700 || len(request) > 6 && string(request[5:len(request)-1]) == "commit"
}

// kill ends a worker as kill -9 does, and notes which jobs it held.
func (r *riot) kill(one *rioter) {
	r.t.Helper()
	one.process.kill()
	killed := time.Now()
	rows, err := r.pool.Query(r.t.Context(), `select s.job_id, s.seq, w.id from statek.job_state s join statek.workers w on w.id = s.owner
		where w.pid = $1 and w.dead_at is null and s.status in ('READY', 'WARMING_UP', 'STARTED')`, one.cmd.Process.Pid)
	if err != nil {
		r.t.Fatal(err)
	}
	held, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (sample, error) {
		s := sample{killed: killed}
		return s, row.Scan(&s.job, &s.seq, &s.worker)
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.samples = append(r.samples, held...)
}

// endSessions ends some of the worker's sessions with the database.
func (r *riot) endSessions(one *rioter) int {
	r.t.Helper()
	return query[int](r.world, `select count(*) filter (where pg_terminate_backend(pid)) from (
		select a.pid from pg_stat_activity a join statek.workers w on a.application_name = 'statek worker ' || w.id
		where w.pid = $1 order by md5(a.pid || $2) limit 2) as victims`, one.cmd.Process.Pid, fmt.Sprint(r.random.Uint64()))
}

// takeAway gives the cluster jobs, stops the database for so long, and then lets everybody recover, while nothing
// else happens.
func (r *riot) takeAway(long time.Duration, count, steps int) {
	r.t.Helper()
	for range count {
		r.submitOne(steps)
	}
	r.until("the jobs have begun", "select count(*) > 0 from statek.job_state where owner is not null")
	held := query[int](r.world, "select count(*) from statek.job_state where owner is not null")
	r.tally["outages of the database"]++
	o := r.restart(long)
	<-time.After(recovering)
	o.held, o.quick = held, false
}

// recovering is how long everybody may need to be well again.
const recovering = 8 * time.Second

// restart stops the database, and starts it after so long.
func (r *riot) restart(long time.Duration) *outage {
	r.t.Helper()
	o := outage{began: time.Now(), quick: true}
	r.db.stop()
	<-time.After(long)
	r.db.start()
	o.ended = time.Now()
	o.calm = o.ended.Add(recovering)
	r.pool.Reset()
	r.outages = append(r.outages, o)
	return &r.outages[len(r.outages)-1]
}

// end waits for all jobs to end, now that nobody is hurt any more.
func (r *riot) end(count int) {
	r.t.Helper()
	last, moved := -1, time.Now()
	for {
		left := query[int](r.world, "select count(*) from statek.job_state, pg_sleep(0.05) where status not in ('DONE', 'PAUSED')")
		if left == 0 {
			break
		}
		if left != last {
			last, moved = left, time.Now()
		}
		if time.Since(moved) > patience {
			r.t.Log(r.table("select job_id, status, owner, blocked_why from statek.job_state where status <> 'DONE' limit 20"))
			r.t.Fatalf("%d of %d jobs have not ended, and none has for %s", left, count, patience)
		}
	}
	r.took = time.Since(r.began)
}
