package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"statek/internal/failpoint"
	"statek/internal/providers/providertest"
)

// rare says for each point that the matrix does not come to, or where it has nothing to lose, how a process is killed there.
var rare = map[failpoint.Point]func(*testing.T, failpoint.Point){
	failpoint.SubmitBefore: killSubmitter, failpoint.SubmitAfter: killSubmitter,
	failpoint.MailBefore: killSender, failpoint.MailAfter: killSender,
	failpoint.VacateBefore: killBeforeVacating, failpoint.TakeOverFreed: killInTakeover,
	failpoint.TurnAfter: killAfterATurn, failpoint.MarksDrained: killBeforeLooks, failpoint.PruneAfter: killInRetention,
}

// TestKill9AtRarePoints: what TestKill9AtEveryPoint says, of points that only some deployments pass.
func TestKill9AtRarePoints(t *testing.T) {
	t.Parallel()
	for _, point := range failpoint.Rare() {
		if rare[point] == nil {
			t.Errorf("nobody is killed at %s", point)
		}
	}
	for point, run := range rare {
		t.Run(string(point), func(t *testing.T) {
			t.Parallel()
			run(t, point)
		})
	}
}

// killSubmitter: who submits dies, and with it the worker that would run the job. What was not committed is not there, and is
// submitted again; what was is run by somebody else, and is not made twice for one key.
func killSubmitter(t *testing.T, point failpoint.Point) {
	t.Helper()
	for _, key := range []string{"", "key"} {
		t.Run("with "+key, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, ledger(files{
				"agents/clerk.md": modelAgent, "agents/clerk.warmup.js": "await note('before'); const r = await charge(5); await note('after'); exit(r.receipt)\n",
				"agents/first.md": modelAgent, "agents/first.warmup.js": "exit(1)\n",
			}))
			first := w.submit("first", nil)
			calm := newKiller(t, "")
			w.embeds(calm, func() { w.ended(first, "1") }, "submit", "clerk").succeeds()
			model := w.newest("clerk")
			first = w.submit("first", nil)
			k, submitting := newKiller(t, point), strings.Fields("submit clerk "+key)
			k.killed(w.embeds(k, func() { w.ended(first, "1") }, submitting...))
			job := w.newest("clerk")
			if there := job != model; there != (point == failpoint.SubmitAfter) {
				t.Fatalf("%s: the job is there: %t", point, there)
			}
			switch owned := query[bool](w, "select owner is not null from statek.job_state where job_id = $1", job); {
			case job != model && key == "":
				if !owned {
					t.Error("no worker of the process has got the job")
				}
				w.worker()
			default: // who was not answered asks again
				w.embeds(calm, func() {}, submitting...).succeeds()
				job = w.newest("clerk")
			}
			w.ended(job, `"r1"`)
			if n := query[int](w, "select count(*) from statek.jobs where role = 'clerk'"); n != 2 {
				t.Errorf("there are %d jobs, want 2", n)
			}
			w.sameStory(model, job)
		})
	}
}

// killSender: who leaves mail dies, and with it the worker that the job was given to.
func killSender(t *testing.T, point failpoint.Point) {
	t.Helper()
	w := newWorld(t, ledger(files{
		"agents/clerk.md": modelAgent, "agents/clerk.warmup.js": "const m = await message(); await note(m.word); exit(m.word)\n",
	}))
	calm, k := newKiller(t, ""), newKiller(t, point)
	model := w.submit("clerk", nil)
	w.embeds(calm, func() { w.asleep(model) }, "send", model.String()).succeeds()
	job := w.submit("clerk", nil)
	k.killed(w.embeds(k, func() { w.asleep(job) }, "send", job.String()))
	there := query[bool](w, "select exists (select from statek.mailbox where job_id = $1)", job)
	if there != (point == failpoint.MailAfter) {
		t.Fatalf("%s: the mail is there: %t", point, there)
	}
	if owned := query[bool](w, "select owner is not null from statek.job_state where job_id = $1", job); owned != there {
		t.Errorf("%s: a worker of the process has got the job: %t", point, owned)
	}
	if there {
		w.worker()
	} else {
		w.embeds(calm, func() {}, "send", job.String()).succeeds()
	}
	w.ended(job, `"hi"`)
	w.sameStory(model, job)
}

// limited is an agent of which one job runs at a time.
var limited = files{
	"agents/clerk.md":        "# MODEL: local//m\n# CONCURRENCY: 1\n# System Prompt\nYou help.\n\n--- TOOLS ---\n{tools}\n",
	"agents/clerk.warmup.js": "await note('one'); const c = await charge(5); exit(c.receipt)\n",
}

// seatsAreKept wants a new worker to run both jobs to their end, one after the other, and no seat to be left.
func (w *world) seatsAreKept(one, two uuid.UUID) {
	w.t.Helper()
	w.worker()
	w.ended(one, `"r1"`)
	w.ended(two, `"r1"`)
	w.sameStory(one, two)
	w.until("all seats are empty", "not exists (select from statek.seats) and not exists (select from statek.parked)")
}

// killBeforeVacating: a job is done and its seat is not empty; somebody else lets in who is parked for it.
func killBeforeVacating(t *testing.T, point failpoint.Point) {
	t.Helper()
	w := newWorld(t, ledger(limited))
	one, two := w.submit("clerk", nil), w.submit("clerk", nil)
	k := newKiller(t, point)
	gone := k.killed(w.start("statek-worker", append(w.env, k.env())))
	if n := query[int](w, "select count(*) from statek.seats s join statek.job_state j using (job_id) where job_id = $1 and j.status = 'DONE'", gone); n != 1 {
		t.Errorf("the job that is done has %d seats, want the one that it did not empty", n)
	}
	w.seatsAreKept(one, two)
}

// killInTakeover: who takes jobs of a dead worker over dies before it has looked at their seats.
func killInTakeover(t *testing.T, point failpoint.Point) {
	t.Helper()
	w := newWorld(t, ledger(limited))
	w.tools.holding(true)
	one, two := w.submit("clerk", nil), w.submit("clerk", nil)
	first := w.worker()
	arrives(t, "the tool call", w.tools.arrived)
	w.tools.holding(false)
	k := newKiller(t, point)
	second := w.start("statek-worker", append(w.env, k.env()))
	second.logged("worker started")
	first.kill()
	k.killed(second)
	w.seatsAreKept(one, two)
}

// killAfterATurn: what was drawn with a provider is lost, nothing else: the model is asked once, by somebody else.
func killAfterATurn(t *testing.T, point failpoint.Point) {
	t.Helper()
	w := newWorld(t, ledger(files{"agents/clerk.md": modelAgent}))
	w.env = append(w.env, "LOCAL_RPM=600", "LOCAL_TPM=6000000")
	w.model.Handle(func(providertest.Recorded) providertest.Answer {
		return providertest.Answer{Text: "```js\nconst said = await note('asked')\nexit(said.note)\n```"}
	})
	k := newKiller(t, point)
	job := w.submit("clerk", nil)
	k.killed(w.start("statek-worker", append(w.env, k.env())))
	if n := count(w.history(job), "model_requested"); n != 0 {
		t.Errorf("%d requests are recorded before one could be sent", n)
	}
	w.worker()
	w.ended(job, `"asked"`)
	model := w.submit("clerk", nil)
	w.ended(model, `"asked"`)
	if n := len(w.model.Requests()); n != 2 {
		t.Errorf("the model was asked %d times for two jobs", n)
	}
	w.sameStory(model, job)
}

// killBeforeLooks: the marks of a writer are gone, and nobody has looked at what they led to.
func killBeforeLooks(t *testing.T, point failpoint.Point) {
	t.Helper()
	w := newWorld(t, crashFiles())
	queues := []uuid.UUID{uuid.New(), uuid.New()}
	one, two := w.submit("queue", map[string]any{"tag": queues[0], "other": ""}), w.submit("queue", map[string]any{"tag": queues[1], "other": ""})
	k := newKiller(t, point)
	armed := w.start("statek-worker", append(w.env, k.env()))
	w.asleep(one, two)
	w.until("the waits are looked at", "not exists (select from statek.wait_checks)")
	w.sql("insert into app.tasks (queue, subject) select unnest($1::uuid[])::text, 'S'", queues)
	k.killed(armed)
	if left := w.table("select (select count(*) from statek.dirty), (select count(*) from statek.wait_checks)"); left[0] != "0 2" {
		t.Errorf("marks and checks that are left: %s, want 0 2", left[0])
	}
	w.worker()
	w.ended(one, `{"subject":"S"}`)
	w.ended(two, `{"subject":"S"}`)
	w.sameStory(one, two)
	if n := query[int](w, "select count(*) from app.tasks where state = 'taken'"); n != 2 {
		t.Errorf("%d tasks are taken, want 2", n)
	}
}

// killInRetention: jobs are removed, and not yet their history; somebody else goes on. The clock is the database's.
func killInRetention(t *testing.T, point failpoint.Point) {
	t.Helper()
	w := newWorld(t, ledger(files{"agents/clerk.md": modelAgent, "agents/clerk.warmup.js": "exit((await note('kept')).note)\n"}))
	before := w.worker()
	for range 3 {
		w.ended(w.submit("clerk", nil), `"kept"`)
	}
	before.signal(syscall.SIGTERM)
	if code := before.code(); code != 0 {
		t.Fatalf("the worker ended with %d", code)
	}
	w.sql("do $$ begin execute format('alter database %I set statek.now = %L', current_database(), clock_timestamp() + interval '40 days'); end $$")
	k := newKiller(t, point)
	k.killed(w.start("statek-worker", append(w.env, k.env())))
	const left = "select (select count(*) from statek.jobs), (select count(distinct job_id) from statek.history), (select count(*) from statek.pruned)"
	if got := w.table(left); got[0] != "0 3 3" {
		t.Errorf("jobs, those with history, and those to be forgotten: %s, want 0 3 3", got[0])
	}
	w.worker()
	w.until("all history is removed", "not exists (select from statek.history) and not exists (select from statek.pruned)")
	if got := w.table("select (select removed from statek.pruning), (select count(*) from app.ledger)"); got[0] != "3 3" {
		t.Errorf("jobs removed, rows of the application: %s, want 3 3", got[0])
	}
}

// killer kills the first process that comes to a point.
type killer struct {
	*conductor
	dead chan failpoint.Announcement
	idle chan chan struct{} // of embedders
}

func newKiller(t *testing.T, point failpoint.Point) *killer {
	t.Helper()
	k := &killer{dead: make(chan failpoint.Announcement, 1), idle: make(chan chan struct{})}
	once := false
	k.conductor = newConductor(t, func(a failpoint.Announcement) verdict {
		if a.Point != point || once {
			return goOn
		}
		once = true
		k.dead <- a
		return kill
	})
	k.first = func(a failpoint.Announcement) {
		if a.Point != embedderIdle {
			return
		}
		proceed := make(chan struct{})
		select {
		case k.idle <- proceed:
			<-proceed
		case <-t.Context().Done():
		}
	}
	return k
}

// killed waits for the death of a process, and returns the job that it was at.
func (k *killer) killed(p *process) uuid.UUID {
	k.t.Helper()
	if code := p.code(); code != -1 || len(k.dead) == 0 {
		k.t.Fatalf("%s ended with %d, want it killed:\n%s", p.name, code, p.out)
	}
	return (<-k.dead).Job
}

// embeds starts an embedder, which does what it is told to as soon as the world is ready for it.
func (w *world) embeds(k *killer, ready func(), args ...string) *process {
	w.t.Helper()
	p := w.start(embedder, append(w.env, k.env()), append([]string{embedder}, args...)...)
	proceed := arrives(w.t, "the embedder", k.idle)
	defer close(proceed) // also when the test fails here
	ready()
	return p
}

func (p *process) succeeds() {
	p.t.Helper()
	if code := p.code(); code != 0 {
		p.t.Fatalf("%s ended with %d: %s", p.name, code, p.out)
	}
}

func (w *world) newest(role string) uuid.UUID {
	w.t.Helper()
	return query[uuid.UUID](w, "select id from statek.jobs where role = $1 order by id desc limit 1", role)
}

// sameStory wants two jobs of one agent to have the same history and ledgers but for what crashes add, and rows that are what
// their histories fold to.
func (w *world) sameStory(want, got uuid.UUID) {
	w.t.Helper()
	var stories [2][]string
	for i, job := range []uuid.UUID{want, got} {
		if err := w.folds(job); err != nil {
			w.t.Error(err)
		}
		for _, e := range w.entries(job) {
			if text := tell(e); text != "" {
				stories[i] = append(stories[i], identifiers.ReplaceAllString(text, "ID"))
			}
		}
		stories[i] = append(stories[i], w.table(fmt.Sprintf("select note from app.ledger where job_id = '%s' order by id", job))...)
		keys := map[string]bool{}
		for _, c := range w.tools.recorded() {
			if strings.HasPrefix(c.key, job.String()) {
				keys[identifiers.ReplaceAllString(c.key, "ID")] = true
			}
		}
		stories[i] = append(stories[i], slices.Sorted(maps.Keys(keys))...)
	}
	if diff := cmp.Diff(stories[0], stories[1]); diff != "" {
		w.dump(got)
		w.t.Errorf("the job that somebody died for has another story (-undisturbed +killed):\n%s", diff)
	}
}
