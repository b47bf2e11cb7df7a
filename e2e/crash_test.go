package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"statek/internal/failpoint"
	"statek/internal/jobs"
)

// TestKill9AtEveryPoint: each scenario is run undisturbed, which tells the points that it passes; then once for
// every one of them (make crash; make test takes a part of them), with kill -9 of the worker that is there. All of
// them end with the history and the ledgers of the undisturbed run. It is not parallel: others measure how fast workers are.
func TestKill9AtEveryPoint(t *testing.T) {
	m := newMatrix(t)
	first, second := m.submitAll(nil), m.submitAll(nil)
	began := time.Now()
	m.run()
	t.Logf("undisturbed: %s", time.Since(began).Round(time.Millisecond))
	for i, one := range first {
		if diff := cmp.Diff(m.course(one), m.course(second[i])); diff != "" {
			t.Errorf("two undisturbed runs of %s differ:\n%s", one.name, diff)
		}
		m.fine(one)
	}
	want, passed := map[string]course{}, map[string]map[failpoint.Point]int{}
	for i, one := range first {
		want[one.name], passed[one.name] = m.course(one), map[failpoint.Point]int{}
		for p, n := range one.passed { // it may depend on who rings a job when
			passed[one.name][p] = min(n, second[i].passed[p])
		}
	}
	plans := m.choose(passed)
	if t.Failed() {
		return
	}
	m.workers = map[failpoint.Point]int{}
	for _, p := range failpoint.OfWorkers() {
		m.workers[p] = 2
	}
	victims := m.submitAll(plans)
	began = time.Now()
	m.run()
	if missed := missed(victims); len(missed) > 0 {
		t.Logf("%d have died before they came to their point, with others: once more", len(missed))
		victims = append(slices.DeleteFunc(victims, func(v *instance) bool { return len(v.deaths) > 0 }), m.submitAll(missed)...)
		m.run()
	}
	for range 5 { // some points are passed only when somebody rings just then
		left := m.nobodyAt(missed(victims))
		if len(left) == 0 {
			break
		}
		victims = append(victims, m.submitAll(left)...)
		m.run()
	}
	took := time.Since(began)
	for _, v := range victims {
		m.fine(v)
		if diff := cmp.Diff(want[v.name], m.course(v)); diff != "" {
			m.dump(v.job)
			t.Errorf("%s, killed at %v (-undisturbed +killed):\n%s", v.name, v.plan.deaths, diff)
		}
	}
	if missed := missed(victims); len(missed) > len(victims)/10 {
		t.Errorf("%d of %d have not come to where they should die: %v", len(missed), len(victims), missed)
	}
	m.report(victims, took)
}

// matrix is a world whose workers are killed at points.
type matrix struct {
	*world
	bank      *bank
	conductor *conductor
	serial    int
	slots     []*process

	// What follows is the conductor's.
	byJob   map[uuid.UUID]*instance
	byTag   map[string]*instance
	workers map[failpoint.Point]int // so often is a worker killed there, whatever it does
	kills   map[failpoint.Point]int
}

// instance is one run of a scenario.
type instance struct {
	scenario
	plan   plan
	tag    string
	job    uuid.UUID
	deaths []death                 // one after the other
	poked  bool                    // what happens late has happened
	passed map[failpoint.Point]int // how often it has passed them
}

// death is a kill at the nth time that an instance passes a point, counted from its last death on.
type death struct {
	point failpoint.Point
	nth   int
}

// plan is a scenario and its deaths.
type plan struct {
	name   string
	deaths []death
}

const (
	crashSlots = 8
	// crashTogether are the jobs of the worker in the first place, which commit together and die together; the others
	// have one each.
	crashTogether = "4"
)

func newMatrix(t *testing.T) *matrix {
	t.Helper()
	m := &matrix{
		world: newWorld(t, crashFiles()), bank: newBank(t, 0),
		byJob: map[uuid.UUID]*instance{}, byTag: map[string]*instance{}, kills: map[failpoint.Point]int{},
	}
	m.sql("grant usage on all sequences in schema app to statek_tool")
	m.model.Handle(crashReply)
	m.conductor = newConductor(t, m.decide)
	m.conductor.first = m.during
	m.env = append(m.env, "TOOL_HOST="+m.bank.host(), m.conductor.env())
	return m
}

// decide counts what an instance passes, and kills where its death is due.
func (m *matrix) decide(a failpoint.Announcement) verdict {
	if n := m.workers[a.Point]; n > 0 && a.Job == uuid.Nil && a.Group == "" {
		m.workers[a.Point]--
		m.kills[a.Point]++
		return kill
	}
	of := m.byJob[a.Job]
	if a.Group != "" {
		of = m.mentioned(a.Group)
	}
	if of == nil {
		return goOn
	}
	of.passed[a.Point]++
	if len(of.deaths) == 0 || of.deaths[0] != (death{a.Point, of.passed[a.Point]}) {
		return goOn
	}
	m.kills[a.Point]++
	of.deaths = of.deaths[1:]
	clear(of.passed)
	return kill
}

// during lets happen what happens while a job's request is about to be sent.
func (m *matrix) during(a failpoint.Announcement) {
	var of *instance
	m.conductor.locked(func() {
		if one := m.byJob[a.Job]; one != nil && one.during != "" && !one.poked && a.Point == failpoint.HTTPBefore {
			of, one.poked = one, true
		}
	})
	if of == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if _, err := m.pool.Exec(ctx, of.during, of.job, of.tag); err != nil {
		m.t.Errorf("%s: %v", of.name, err)
	}
	for rung := false; !rung; { // by another worker, if one is free
		if err := m.pool.QueryRow(ctx, "select rung from statek.job_state, pg_sleep(0.02) where job_id = $1", of.job).Scan(&rung); err != nil {
			return
		}
	}
}

// mentioned finds whose wait a group is: its arguments hold a tag, or the id of the other job.
func (m *matrix) mentioned(group string) *instance {
	for at := strings.Index(group, "run-"); at >= 0 && at+9 <= len(group); {
		return m.byTag[group[at:at+9]]
	}
	return nil
}

// submitAll submits every scenario once, or one for every death. No worker runs yet.
func (m *matrix) submitAll(plans []plan) []*instance {
	m.t.Helper()
	var list []*instance
	if plans == nil {
		for _, s := range scenarios {
			list = append(list, &instance{scenario: s})
		}
	}
	for _, p := range plans {
		i := slices.IndexFunc(scenarios, func(s scenario) bool { return s.name == p.name })
		list = append(list, &instance{scenario: scenarios[i], plan: p, deaths: p.deaths})
	}
	for _, one := range list {
		m.serial++
		one.tag, one.passed = fmt.Sprintf("run-%05d", m.serial), map[failpoint.Point]int{}
		other := uuid.Nil
		if one.name == "other_job" {
			other = m.submit("sleep", map[string]any{"tag": "other", "other": ""})
		}
		one.job = m.submit(one.name, map[string]any{"tag": one.tag, "other": other})
		if one.early != "" {
			m.sql(one.early, one.job, one.tag)
		}
		m.conductor.locked(func() { m.byJob[one.job], m.byTag[one.tag] = one, one })
	}
	return list
}

// run drives all that was submitted to its end: workers that are killed are started again, and what happens late
// happens to those who sleep.
func (m *matrix) run() {
	m.t.Helper()
	m.slots = make([]*process, crashSlots)
	last, moved := -1, time.Now()
	for {
		for i, p := range m.slots {
			if p == nil || p.ended() {
				atOnce := "1"
				if i == 0 {
					atOnce = crashTogether
				}
				m.slots[i] = m.start("statek-worker", m.env, "--max-jobs", atOnce, "--conns", "8", "--sandbox", "in-process")
			}
		}
		left, asleep := m.look()
		for _, job := range asleep {
			one := m.byJob[job]
			if one != nil && !one.poked && one.late != "" {
				one.poked = true
				m.sql(one.late, one.job, one.tag)
			}
		}
		if left == 0 {
			break
		}
		if left != last {
			last, moved = left, time.Now()
		}
		if time.Since(moved) > 2*patience { // who dies four times needs 25 s
			m.t.Log(m.table("select job_id, status, blocked_why, owner from statek.job_state where status <> 'DONE' limit 20"))
			m.t.Fatalf("%d jobs have not ended, and none has for %s", left, 2*patience)
		}
	}
	for _, p := range m.slots {
		p.kill()
	}
}

// missed are the plans of those who have not died as they should: a worker that is killed takes another job with it.
func missed(victims []*instance) []plan {
	var list []plan
	for _, v := range victims {
		if len(v.deaths) > 0 {
			list = append(list, v.plan)
		}
	}
	return list
}

// look counts the jobs that have not ended, and lists those that sleep. The database does the pausing.
func (m *matrix) look() (left int, asleep []uuid.UUID) {
	m.t.Helper()
	err := m.pool.QueryRow(m.t.Context(), `select count(*) filter (where status not in ('DONE', 'PAUSED')),
		coalesce(array_agg(job_id) filter (where status = 'SUSPENDED' and owner is null), '{}') from statek.job_state, pg_sleep(0.02)`).Scan(&left, &asleep)
	if err != nil {
		m.t.Fatal(err)
	}
	return left, asleep
}

// fine wants the job to be done, its row to be what its history says, and nothing to be left of it.
func (m *matrix) fine(of *instance) {
	m.t.Helper()
	want := "succeeded"
	if of.name == "cancelled" {
		want = "cancelled"
	}
	if got := query[string](m.world, "select coalesce(outcome, status) from statek.job_state where job_id = $1", of.job); got != want {
		m.dump(of.job)
		m.t.Errorf("%s, killed at %v: got %s, want %s", of.name, of.plan.deaths, got, want)
	}
	if err := m.folds(of.job); err != nil {
		m.t.Errorf("%s, killed at %v: %v", of.name, of.plan.deaths, err)
	}
	if n := query[int](m.world, `select count(*) from (select from statek.waits where job_id = $1 union all
		select from statek.wait_sets where job_id = $1 union all select from statek.mailbox where job_id = $1) as rest`, of.job); n != 0 {
		m.t.Errorf("%s, killed at %v: %d waits, sets and letters are left", of.name, of.plan.deaths, n)
	}
}

// folds says how the job's row differs from what its history says.
func (w *world) folds(job uuid.UUID) error {
	w.t.Helper()
	folded, err := jobs.Fold(w.entries(job))
	if err != nil {
		return err
	}
	var row jobs.Job
	if err := json.Unmarshal([]byte(query[string](w, "select core::text from statek.job_state where job_id = $1", job)), &row); err != nil {
		return err
	}
	if diff := cmp.Diff(folded, row); diff != "" {
		return fmt.Errorf("history and row differ (-history +row):\n%s", diff)
	}
	return nil
}

// choose lists the deaths: all that the undisturbed runs tell of, or so many that every point is met with, in every
// scenario that has few of them.
func (m *matrix) choose(passed map[string]map[failpoint.Point]int) []plan {
	m.t.Helper()
	all := []plan{ // who dies again while it recovers
		{"external", []death{{failpoint.HTTPAfter, 1}, {failpoint.ProgressBefore, 1}, {failpoint.ClaimAfter, 1}, {failpoint.HTTPAfter, 1}}},
		{"external", []death{{failpoint.IntentAfter, 1}, {failpoint.ProgressAfter, 1}}},
		{"once", []death{{failpoint.HTTPAfter, 1}, {failpoint.ClaimAfter, 1}}},
		{"model", []death{{failpoint.RequestAfter, 1}, {failpoint.RequestAfter, 1}, {failpoint.ReplyAfter, 1}}},
		{"queue_late", []death{{failpoint.LookServed, 1}, {failpoint.LookCommitted, 1}, {failpoint.ToolDone, 1}}},
	}
	for n, p := range failpoint.OfJobs() {
		met := 0
		for i := range scenarios {
			name := scenarios[(i+n)%len(scenarios)].name // each point begins elsewhere
			for nth := 1; nth <= min(passed[name][p], 2); nth++ {
				if os.Getenv("CRASH_ALL") != "" || met < 5 && (nth == 1 || met%2 == 1) {
					all = append(all, plan{name, []death{{p, nth}}})
				}
				met++
			}
		}
		if met == 0 && p != failpoint.ProgressBefore && p != failpoint.ProgressAfter {
			m.t.Errorf("no scenario passes %s", p)
		}
	}
	return all
}

// nobodyAt are the plans for points at which nobody has been killed yet.
func (m *matrix) nobodyAt(plans []plan) (left []plan) {
	m.conductor.locked(func() {
		left = slices.DeleteFunc(slices.Clone(plans), func(p plan) bool { return m.kills[p.deaths[0].point] > 0 })
	})
	return left
}

// report shows how many were killed where.
func (m *matrix) report(victims []*instance, took time.Duration) {
	m.t.Helper()
	lines := []string{fmt.Sprintf("%-22s %6s %9s", "point", "kills", "scenarios")}
	m.conductor.locked(func() {
		for _, p := range append(failpoint.OfJobs(), failpoint.OfWorkers()...) {
			names := map[string]bool{}
			for _, v := range victims {
				if slices.ContainsFunc(v.plan.deaths, func(d death) bool { return d.point == p }) {
					names[v.name] = true
				}
			}
			lines = append(lines, fmt.Sprintf("%-22s %6d %9d", p, m.kills[p], len(names)))
			if m.kills[p] == 0 {
				m.t.Errorf("nobody was killed at %v", p)
			}
		}
	})
	rows, err := m.pool.Query(context.WithoutCancel(m.t.Context()), `select count(*) from statek.history where kind = 'taken_over'`)
	if err != nil {
		m.t.Fatal(err)
	}
	takeovers, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[int])
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Logf("%d runs of %d scenarios, %d takeovers recorded, in %s\n%s", len(victims), len(scenarios), takeovers, took.Round(time.Second), strings.Join(lines, "\n"))
}
