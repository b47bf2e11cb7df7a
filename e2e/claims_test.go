package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// A storm of claims: 256 jobs in 4 workers wait on one queue that 8 sessions write to; 2,000 tasks, 10,000 with make storm.
const (
	stormWorkers = 4
	stormJobs    = 64 * stormWorkers
	stormWriters = 8
	stormQueue   = "storm"
	stormSlow    = 1000 // so many tasks come slowly
)

// stormCell serves at most 20 tasks, so that what a resumption replays stays short, and then leaves the rest to the
// next. The task "go home" ends the job, with the ids of what it has served.
const stormCell = `for (let n = 0; n < 20; n++) {
  const task = await pickNextTask(queue)
  await note(String(task.id))
  served.push(task.id)
  if (task.subject === 'go home') exit(served)
}
// --------------------
`

// TestClaimsInAStorm: hundreds of jobs wait for tasks of one queue while many write to it in every way, workers are killed
// and sessions that listen are cut off. Every task that is committed is claimed once, by a job that has it in its history, and
// that finishes; no wake-up is lost, and nothing is left behind. It is not parallel: it takes the whole machine, and others measure how fast workers are.
func TestClaimsInAStorm(t *testing.T) {
	seed := uint64(number(t, "STATEK_STORM_SEED", int(time.Now().UnixNano()%1e9)))
	tasks := number(t, "STATEK_STORM_TASKS", 2000)
	t.Logf("STATEK_STORM_SEED=%d STATEK_STORM_TASKS=%d", seed, tasks)
	w := newWorld(t, nil)
	w.sql("alter table app.tasks add came_at timestamptz not null default clock_timestamp(), add taken_at timestamptz")
	w.statek(0, "apply", folder(t, ledger(files{
		"agents/clerk.md":            modelAgent,
		"agents/clerk.warmup.js":     "const served = []\n// --------------------\n" + strings.Repeat(stormCell, 25),
		"temporals/pickNextTask.sql": strings.Replace(ledger(nil)["temporals/pickNextTask.sql"], "taken_by = :job_id", "taken_by = :job_id, taken_at = clock_timestamp()", 1),
	})))
	s := &storm{world: w, random: rand.New(rand.NewPCG(seed, 0)), tasks: tasks}
	for range stormWorkers {
		s.workers = append(s.workers, s.worker())
	}
	for range stormJobs {
		s.jobs = append(s.jobs, w.submit("clerk", map[string]any{"queue": stormQueue}))
	}
	w.asleep(s.jobs...)
	t.Cleanup(s.explain)
	s.rage(seed)
	s.goHome()
	s.check()
	s.report()
}

type storm struct {
	*world
	random  *rand.Rand // of the chaos
	tasks   int
	workers []*worker
	jobs    []uuid.UUID

	began       time.Time
	took        time.Duration // from the first task to the claim of the last
	kills, cuts int
}

// rage lets the writers write while workers are killed and listeners are cut off, until all is written and taken.
func (s *storm) rage(seed uint64) {
	s.t.Helper()
	writers, ctx := errgroup.WithContext(s.t.Context())
	s.began = time.Now()
	for i := range stormWriters {
		r := rand.New(rand.NewPCG(seed, uint64(i)+1))
		rows := (s.tasks + i) / stormWriters
		// Some come at a pace that the jobs can follow, so that jobs wait; the others as fast as it goes, so that tasks do.
		slow := min(rows/2, stormSlow/stormWriters)
		plan := append(tasksOf(r, stormQueue, slow, 0.8), tasksOf(r, stormQueue, rows-slow, 0)...)
		writers.Go(func() error { return write(ctx, s.url, plan) })
	}
	written := make(chan error, 1)
	go func() { written <- writers.Wait() }()
	for open, still, all := -1, time.Now(), false; !all || open > 0; {
		timer := time.NewTimer(time.Duration(200+s.random.IntN(800)) * time.Millisecond)
		select {
		case err := <-written:
			timer.Stop()
			if err != nil {
				s.t.Fatal(err)
			}
			all, written = true, nil
		case <-timer.C:
		}
		if s.random.IntN(5) == 0 {
			s.kill()
		} else {
			s.cut()
		}
		if n := query[int](s.world, "select count(*) from app.tasks where state = 'open'"); n != open {
			open, still = n, time.Now()
		}
		if time.Since(still) > patience {
			s.t.Fatalf("no task was taken or written for %s, and %d are open", patience, open)
		}
	}
	s.took = query[time.Time](s.world, "select max(taken_at) from app.tasks").Sub(s.began)
}

// kill ends a worker as kill -9 does, and starts another. It is one that holds jobs, if any does: their claims are to be
// taken over.
func (s *storm) kill() {
	s.t.Helper()
	busiest := query[int](s.world, `select coalesce((
		select w.pid from statek.workers w join statek.job_state j on j.owner = w.id where w.dead_at is null group by w.pid order by count(*) desc limit 1), 0)`)
	i := slices.IndexFunc(s.workers, func(w *worker) bool { return w.cmd.Process.Pid == busiest })
	if i < 0 {
		i = s.random.IntN(len(s.workers))
	}
	s.workers[i].kill()
	s.workers[i] = s.worker()
	s.kills++
}

// cut ends one of the sessions that listen.
func (s *storm) cut() {
	s.t.Helper()
	s.cuts += query[int](s.world, `select count(*) filter (where pg_terminate_backend(pid)) from (
		select pid from pg_stat_activity where datname = current_database() and query ~* '^\s*listen' and pid <> pg_backend_pid()
		order by md5(pid || $1) limit 1) as listener`, fmt.Sprint(s.random.Uint64()))
}

// goHome gives each job its last task, kills once more, and waits for all to finish.
func (s *storm) goHome() {
	s.t.Helper()
	s.sql("insert into app.tasks (queue, subject) select $1, 'go home' from generate_series(1, $2)", stormQueue, stormJobs)
	s.kill()
	for left := stormJobs - 16; left >= 0; left -= 16 {
		s.until("more jobs are done", "(select count(*) from statek.job_state where status <> 'DONE') <= $1", left)
	}
}

// explain shows, when the test has failed, in which states jobs are, and the story of the first that is not done.
func (s *storm) explain() {
	if !s.t.Failed() {
		return
	}
	s.t.Log(s.table("select status, blocked_why, count(*), min(job_id::text) from statek.job_state group by 1, 2"))
	rows, err := s.pool.Query(context.Background(), "select job_id from statek.job_state where status <> 'DONE' order by status <> 'PAUSED', job_id limit 1")
	if err != nil {
		s.t.Log(err)
		return
	}
	stuck, _ := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	for _, id := range stuck {
		s.dump(id)
	}
}

// check compares what the application, the jobs' results and their histories say.
func (s *storm) check() {
	s.t.Helper()
	got := s.table(`select subject in ('go home'), state, count(*) from app.tasks group by 1, 2 order by 1`)
	if diff := cmp.Diff([]string{fmt.Sprint("false taken ", s.tasks), fmt.Sprint("true taken ", stormJobs)}, got); diff != "" {
		s.t.Errorf("tasks that are to go home, state, count (-want +got):\n%s", diff)
	}
	for what, wrong := range map[string]string{
		"tasks were written that had been taken back": "select from app.tasks where subject = 'taken back'",
		"jobs did not succeed":                        "select from statek.job_state where outcome <> 'succeeded'",
		"tasks are not noted once, by the job that took them": `select from app.tasks t left join app.ledger l on l.note = t.id::text
			group by t.id having count(l.id) <> 1 or bool_or(l.job_id <> t.taken_by)`,
		"tasks are not in the result of the job that took them, once": `select from app.tasks t
			left join (select j.job_id, v as task from statek.job_state j, json_array_elements_text(j.result) v) r on r.task = t.id::text
			group by t.id having count(r.task) <> 1 or bool_or(r.job_id <> t.taken_by)`,
		"tasks are not in the history of the job that took them, once": `select from app.tasks t
			left join statek.history h on h.kind = 'call_settled' and h.payload ->> 'name' = 'pickNextTask' and (h.payload -> 'value' ->> 'id')::bigint = t.id
			group by t.id having count(h.seq) <> 1 or bool_or(h.job_id <> t.taken_by)`,
		"waits, sets and values are left":    "select from statek.waits union all select from statek.wait_sets union all select from statek.mailbox",
		"wake-ups were lost or marks failed": "select from statek.counters where name = 'sweep_caught' and n > 0 union all select where statek.watch_failed() > 0",
	} {
		if n := query[int](s.world, "select count(*) from ("+wrong+") as wrong"); n != 0 {
			s.t.Errorf("%d %s", n, what)
		}
	}
}

// report shows how it went. A task's way begins with its INSERT; of ways that commit at once that is the commit too.
func (s *storm) report() {
	s.t.Helper()
	takeovers := query[int](s.world, "select count(*) from statek.history where kind = 'taken_over'")
	s.t.Logf("\n%8s %6s %6s %6s %10s %9s %9s\n%8d %6d %6d %6d %10d %8.1fs %9.0f", "tasks", "jobs", "kills", "cuts", "takeovers", "duration", "claims/s",
		s.tasks, stormJobs, s.kills, s.cuts, takeovers, s.took.Seconds(), float64(s.tasks)/s.took.Seconds())
	s.t.Logf("ms from INSERT to claim\n%-16s %6s %8s %8s %8s\n%s", "way", "tasks", "p50", "p99", "most", strings.Join(s.table(`
		with claim as (select subject, extract(epoch from taken_at - came_at) * 1000 as ms from app.tasks)
		select format('%-16s %6s %8s %8s %8s', subject, count(*), round(percentile_cont(0.5) within group (order by ms)::numeric, 1),
			round(percentile_cont(0.99) within group (order by ms)::numeric, 1), round(max(ms), 1))
		from claim group by subject order by subject`), "\n"))
	if s.kills == 0 || s.cuts == 0 || takeovers == 0 {
		s.t.Errorf("%d kills, %d cuts, %d takeovers: the storm did not rage", s.kills, s.cuts, takeovers)
	}
}

// number is a setting of the test from its environment.
func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s is %q, want a number above 0", name, text)
	}
	return n
}
