package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"statek/internal/app"
)

// crew is a Go tool that knows how many jobs are in it, and in which order they came. While it is shut it keeps them.
type crew struct {
	k *kit

	mu      sync.Mutex // guards what follows
	running map[string]int
	most    map[string]int
	order   []string
	open    chan struct{}
}

func newCrew(k *kit) *crew {
	c := &crew{k: k, running: map[string]int{}, most: map[string]int{}, open: make(chan struct{})}
	return c
}

func (c *crew) count(names []string, by int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range names {
		c.running[name] += by
		c.most[name] = max(c.most[name], c.running[name])
	}
	if by > 0 {
		c.order = append(c.order, names[0])
	}
}

// inside counts the jobs of a name that are in the tool now.
func (c *crew) inside(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.running[name]
}

// Call implements app.GoTool: its arguments are names to be counted under.
func (c *crew) Call(ctx context.Context, _ string, args map[string]json.RawMessage) (json.RawMessage, error) {
	var names []string
	if err := json.Unmarshal(args["names"], &names); err != nil {
		return nil, err
	}
	c.count(names, 1)
	defer c.count(names, -1)
	select {
	case <-c.open:
		_, err := c.k.pool.Exec(ctx, "select pg_sleep(0.002)")
		return json.RawMessage("null"), err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// crewKit is a kit with two workers whose jobs go through a crew.
func crewKit(t *testing.T, agent string) (*kit, *crew) {
	t.Helper()
	k := newKit(t, files{
		"agents/a.md": "# MODEL: scripted//test\n" + agent + "# System Prompt\nYou help.\n", "agents/a.warmup.js": "await through(names); exit(1)",
		"agents/free.md": simpleAgent, "agents/free.warmup.js": "await through(names); exit(1)",
	})
	k.must(k.DefineTools(t.Context(), "/", []app.ToolDefinition{{Name: "through", Params: []app.ToolParam{{Name: "names", Type: "string[]"}}}}))
	c := newCrew(k)
	for range 2 {
		k.work(func(w *app.WorkerConfig) { w.Tools = map[string]app.GoTool{"through": c} })
	}
	return k, c
}

func (k *kit) put(role, prefix string, priority int, names ...string) uuid.UUID {
	k.t.Helper()
	raw, err := json.Marshal(names)
	k.must(err)
	job, err := k.Submit(k.t.Context(), app.SubmitRequest{
		Role: role, Prefix: prefix, Priority: priority, SharedVars: map[string]json.RawMessage{"names": raw},
	})
	k.must(err)
	return job.ID
}

// allEnd waits until all jobs have succeeded, and nothing is left of their seats.
func (k *kit) allEnd() {
	k.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for k.one("select count(*) from statek.job_state where outcome is distinct from 'succeeded'") > 0 {
		k.exec("select pg_sleep(0.01)")
		if time.Now().After(deadline) {
			k.t.Fatalf("not all jobs end:\n%s", k.single(`select coalesce(string_agg(line, chr(10)), 'none is parked') from (
				select format('%s: %s of %s, %s wait, %s called', l.key, statek.seats_taken(l.key), l.most,
					(select count(*) from statek.parked p where p.key = l.key and p.called_at is null),
					(select count(*) from statek.parked p where p.key = l.key and p.called_at is not null)) as line
				from statek.limits l) x`))
		}
	}
	k.is("select not exists (select from statek.seats) and not exists (select from statek.parked)")
	k.is("select not exists (select from statek.job_state where parked_on is not null)")
}

// TestAgentRunsSoManyJobsAtOnce over two workers, no more and, while there is work, no fewer.
func TestAgentRunsSoManyJobsAtOnce(t *testing.T) {
	t.Parallel()
	k, c := crewKit(t, "# CONCURRENCY: 3\n")
	for range 40 {
		k.put("a", "/acme", 0, "a")
	}
	k.is("select count(*) = 37 from statek.parked where called_at is null")
	for c.inside("a") != 3 {
		k.exec("select pg_sleep(0.005)")
	}
	last := uuid.MustParse(k.single("select max(job_id::text) from statek.parked"))
	job, err := k.GetJob(t.Context(), last)
	k.must(err)
	const why = "waits for a place: agent a at / runs 3 of 3"
	if job.BlockedOn != "place" || job.BlockedWhy != why {
		t.Errorf("blocked on %s: %s", job.BlockedOn, job.BlockedWhy)
	}
	if got := k.single("select why from statek.explain($1) where call is null", last); got != "it "+why {
		t.Errorf("explain says %q", got)
	}
	if got := k.single("select blocked_on || ': ' || blocked_why from statek.blocked_jobs where id = $1", last); got != "place: "+why {
		t.Errorf("blocked_jobs says %q", got)
	}
	free := k.put("free", "/acme", 0, "free") // another agent is not held up
	close(c.open)
	k.ended(free)
	k.allEnd()
	if c.most["a"] != 3 {
		t.Errorf("%d jobs ran at once, want 3", c.most["a"])
	}
}

// TestPlacesAreServedFairly: prefixes take turns, so one with few jobs does not wait for one with many; and within a prefix the urgent come
// first, then the old.
func TestPlacesAreServedFairly(t *testing.T) {
	t.Parallel()
	k, c := crewKit(t, "# CONCURRENCY: 1\n")
	k.put("a", "/big", 0, "first")
	k.is("select count(*) = 1 from statek.seats")
	for i := range 10 {
		k.put("a", "/big", 2, fmt.Sprint("big", i))
		k.is("select count(*) = $1 from statek.parked", i+1)
	}
	k.put("a", "/big", 1, "urgent")
	k.is("select count(*) = 11 from statek.parked")
	k.put("a", "/small", 4, "small0")
	k.is("select count(*) = 12 from statek.parked")
	k.put("a", "/small", 4, "small1")
	k.is("select count(*) = 13 from statek.parked")
	close(c.open)
	k.allEnd()
	want := "first urgent small0 big0 small1 big1 big2 big3 big4 big5 big6 big7 big8 big9"
	if diff := cmp.Diff(want, strings.Join(c.order, " ")); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

// TestPrefixLimitsHoldWithOthers: of an agent, of the prefix and of one above at the same time, in a storm.
func TestPrefixLimitsHoldWithOthers(t *testing.T) {
	t.Parallel()
	k, c := crewKit(t, "# CONCURRENCY: 4\n")
	for prefix, most := range map[string]int{"/": 7, "/x": 3, "/x/y": 2} {
		k.exec("select statek.set_prefix_limit($1, $2)", prefix, most)
	}
	close(c.open)
	var group sync.WaitGroup
	for _, prefix := range []string{"/x", "/x/y", "/z"} {
		for _, role := range []string{"a", "free"} {
			group.Go(func() {
				names := []string{"/", role}
				if prefix != "/z" {
					names = append(names, "/x")
				}
				if prefix == "/x/y" {
					names = append(names, "/x/y")
				}
				for range 25 {
					k.put(role, prefix, 0, names...)
				}
			})
		}
	}
	group.Wait()
	k.allEnd()
	delete(c.most, "free")
	want := map[string]int{"/": 7, "/x": 3, "/x/y": 2, "a": 4}
	for name, most := range want {
		if c.most[name] > most {
			t.Errorf("%s: %d jobs at once, want at most %d", name, c.most[name], most)
		}
	}
}

// TestLimitsChange: a raised limit calls the next jobs, a removed one all of them, and a lowered one holds from then on.
func TestLimitsChange(t *testing.T) {
	t.Parallel()
	k, c := crewKit(t, "")
	for range 12 {
		k.put("a", "/p", 0, "a")
	}
	k.is("select count(*) = 12 from statek.job_state where owner is not null")
	k.exec("select statek.set_prefix_limit('/p', 12)") // those that run have their seats
	for range 8 {
		k.put("a", "/p", 0, "a")
	}
	k.is("select count(*) = 8 from statek.parked")
	k.exec("select statek.set_prefix_limit('/p', 15)")
	k.is("select count(*) = 15 from statek.job_state where owner is not null")
	k.exec("select statek.set_prefix_limit('/p', 2)")
	k.is("select count(*) = 5 from statek.parked where called_at is null")
	k.exec("select statek.set_prefix_limit('/p', null)")
	k.is("select count(*) = 20 from statek.job_state where owner is not null")
	k.is("select not statek.set_prefix_limit('/p', null)")
	close(c.open)
	k.allEnd()
}

// TestParkedJobsHearPeople: one is cancelled and one is paused where they stand.
func TestParkedJobsHearPeople(t *testing.T) {
	t.Parallel()
	k, c := crewKit(t, "# CONCURRENCY: 1\n")
	k.put("a", "/p", 0, "a")
	k.is("select count(*) = 1 from statek.seats")
	cancelled, paused := k.put("a", "/p", 0, "a"), k.put("a", "/p", 0, "a")
	k.is("select count(*) = 2 from statek.parked")
	k.must(k.Cancel(t.Context(), cancelled, "enough"))
	if job := k.ended(cancelled); job.Outcome != "cancelled" {
		t.Errorf("the job is %s", job.Status)
	}
	k.must(k.Pause(t.Context(), paused, "later"))
	k.until(paused, "PAUSED")
	k.must(k.Resume(t.Context(), paused, ""))
	k.is("select count(*) = 1 from statek.parked") // and it waits for its turn again
	for c.inside("a") == 0 {                       // has the first one come to its call?
		k.exec("select pg_sleep(0.01)")
	}
	if n := c.inside("a"); n != 1 {
		t.Errorf("%d jobs run", n)
	}
	close(c.open)
	k.is("select not exists (select from statek.job_state where status <> 'DONE')")
}

// TestSeatsOfTheDeadAreFree: a holder's worker dies, and a job that was called dies with its doorbell; the next ones run.
func TestSeatsOfTheDeadAreFree(t *testing.T) {
	t.Parallel()
	k, c := crewKit(t, "# CONCURRENCY: 1\n")
	holder := k.put("a", "/p", 0, "holder")
	k.is("select count(*) = 1 from statek.seats")
	next := k.put("a", "/p", 0, "next")
	k.is("select count(*) = 1 from statek.parked")
	k.exec("update statek.parked set called_at = clock_timestamp() - interval '1 hour'") // its doorbell was lost, long ago
	k.abandon(holder)
	k.must(k.Cancel(t.Context(), holder, "its worker is dead"))
	close(c.open)
	if job := k.ended(next); job.Outcome != "succeeded" {
		t.Errorf("the next job is %s: %s", job.Status, job.BlockedWhy)
	}
	k.is("select not exists (select from statek.seats) and not exists (select from statek.parked)")
}
