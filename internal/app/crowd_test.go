package app_test

import (
	"testing"

	"github.com/google/uuid"

	"statek/internal/app"
)

// crowdKit is a kit with n jobs that an event wakes, and whose next step is the crew's.
func crowdKit(t *testing.T, n int) (*kit, *crew, []uuid.UUID) {
	t.Helper()
	k := newKit(t, files{"agents/a.md": simpleAgent, "agents/a.warmup.js": "await event('go'); await through(names); exit(1)"})
	k.must(k.DefineTools(t.Context(), "/", []app.ToolDefinition{{Name: "through", Params: []app.ToolParam{{Name: "names", Type: "string[]"}}}}))
	c := newCrew(k)
	stop := k.work(c.tool)
	list := make([]uuid.UUID, n)
	for i := range list {
		list[i] = k.put("a", "/", 0, "a")
	}
	k.is("select count(*) = $1 from statek.job_state where status = 'SUSPENDED' and owner is null", n)
	stop()
	k.exec("delete from river.river_job")
	if _, _, err := k.Emit(t.Context(), "/", "go", "", nil); err != nil {
		t.Fatal(err)
	}
	return k, c, list
}

func (c *crew) tool(w *app.WorkerConfig) { w.Tools = map[string]app.GoTool{"through": c} }

const answeredCrowds = "select count(*) = $1 from river.river_job where kind = 'doorbells' and state = 'completed'"

// TestCrowdGivesItsDoorbellsBack: jobs that were rung together need no doorbell as soon as they are a worker's, however long
// they run; and one doorbell wakes no job twice.
func TestCrowdGivesItsDoorbellsBack(t *testing.T) {
	t.Parallel()
	k, c, list := crowdKit(t, 100) // more than one worker has slots for
	k.work(c.tool)
	k.is(answeredCrowds, 13)
	for c.inside("a") != len(list) {
		k.exec("select pg_sleep(0.005)")
	}
	close(c.open)
	k.allEnd()
	for _, id := range list {
		k.wantKinds(id, "submitted", "cell_started", "call_issued", "suspended", "call_settled", "call_issued", "call_settled", "cell_ended", "finished")
	}
}

// TestCrowdKeepsToMaxJobs: a worker drives as many jobs as it may, however they were rung.
func TestCrowdKeepsToMaxJobs(t *testing.T) {
	t.Parallel()
	k, c, _ := crowdKit(t, 20)
	k.work(c.tool, func(w *app.WorkerConfig) { w.MaxJobs = 3 })
	for c.inside("a") != 3 {
		k.exec("select pg_sleep(0.005)")
	}
	close(c.open)
	k.allEnd()
	if c.most["a"] != 3 {
		t.Errorf("%d jobs were driven at once, want 3", c.most["a"])
	}
}

// TestCrowdGoesWhereThereIsRoom: a worker that is full does not keep doorbells from one that is not.
func TestCrowdGoesWhereThereIsRoom(t *testing.T) {
	t.Parallel()
	k, c, list := crowdKit(t, 40)
	k.work(c.tool, func(w *app.WorkerConfig) { w.MaxJobs = 3 })
	for c.inside("a") != 3 {
		k.exec("select pg_sleep(0.005)")
	}
	single := k.put("a", "/", 0, "a")
	k.until(single, "SUSPENDED") // it does not stand behind them
	k.work(c.tool)
	for c.inside("a") != len(list)-8+3 { // all but what the first has fetched and cannot do yet
		k.exec("select pg_sleep(0.005)")
	}
	close(c.open)
	k.exec("select statek.emit('/', 'go')")
	k.allEnd()
}

// TestCrowdWaitsInItsDoorbells: jobs that a full worker has no room for have been rung once, and that is enough, also for the search
// for lost doorbells.
func TestCrowdWaitsInItsDoorbells(t *testing.T) {
	t.Parallel()
	k, c, _ := crowdKit(t, 12) // two doorbells: there is room for one and a slot for the other
	k.work(c.tool, func(w *app.WorkerConfig) { w.MaxJobs = 8 })
	for c.inside("a") != 8 {
		k.exec("select pg_sleep(0.005)")
	}
	rung := k.one("select count(*) from river.river_job")
	k.exec("select pg_sleep(12)") // the search looks every four seconds at what is older than five
	if n := k.one("select count(*) from river.river_job"); n != rung {
		t.Errorf("%d doorbells after a while, want the %d of before", n, rung)
	}
	close(c.open)
	k.allEnd()
}

// TestCrowdOfAWorkerThatLeaves: what it has of a crowd it hands over, what it has not begun is found by others.
func TestCrowdOfAWorkerThatLeaves(t *testing.T) {
	t.Parallel()
	k, c, _ := crowdKit(t, 60)
	stop := k.work(c.tool, func(w *app.WorkerConfig) { w.MaxJobs, w.Grace = 10, 1 })
	for c.inside("a") != 10 {
		k.exec("select pg_sleep(0.005)")
	}
	stop()
	k.work(c.tool)
	// What was fetched and not begun has lost its doorbell; it is old enough to be found by its mail.
	k.exec("update statek.mailbox set created_at = created_at - interval '10 seconds'")
	close(c.open)
	k.allEnd()
}
