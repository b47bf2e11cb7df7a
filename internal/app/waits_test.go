package app_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
)

const tasksSchema = `
create schema app;
create table app.tasks (id bigint generated always as identity primary key, queue text not null, subject text, state text not null default 'open', taken_by uuid);
grant usage on schema app to statek_tool;
grant select, update on app.tasks to statek_tool;`

const pickNextTask = `-- temporal: pickNextTask(queue text)
-- watch: app.tasks key queue
-- condition
select exists (select from app.tasks where queue = :queue and state = 'open')
-- complement
update app.tasks set state = 'taken', taken_by = :job_id
where id = (select id from app.tasks where queue = :queue and state = 'open' order by id limit 1 for no key update skip locked)
returning id, subject
`

// queueKit has an agent whose warmup picks a task and exits with it.
func queueKit(t *testing.T) *kit {
	t.Helper()
	k := newKit(t, nil)
	if _, err := k.pool.Exec(t.Context(), tasksSchema); err != nil {
		t.Fatal(err)
	}
	k.apply(files{
		"agents/picker.md":           simpleAgent,
		"agents/picker.warmup.js":    "const task = await pickNextTask(queue)\nprint('picked', task.subject)\nexit(task)\n",
		"temporals/pickNextTask.sql": pickNextTask,
	})
	return k
}

func TestInsertWakesExactlyOneJob(t *testing.T) {
	t.Parallel()
	k := queueKit(t)
	k.work()
	k.work()
	var ids []uuid.UUID
	for range 5 {
		ids = append(ids, k.submit("picker", map[string]any{"queue": "q"}).ID)
	}
	for _, id := range ids {
		k.until(id, "SUSPENDED")
	}
	for n := 1; n <= 3; n++ {
		if _, err := k.pool.Exec(t.Context(), "insert into app.tasks (queue, subject) values ('q', $1), ('other', 'no')", fmt.Sprint("task ", n)); err != nil {
			t.Fatal(err)
		}
		done := k.eventually(func() []uuid.UUID { return k.withStatus(ids, "DONE") }, func(d []uuid.UUID) bool { return len(d) >= n })
		if len(done) != n || len(k.withStatus(ids, "SUSPENDED")) != len(ids)-n {
			t.Fatalf("after %d inserts %d jobs are done and %d asleep", n, len(done), len(k.withStatus(ids, "SUSPENDED")))
		}
	}
	var taken, distinct int
	if err := k.pool.QueryRow(t.Context(), "select count(*), count(distinct taken_by) from app.tasks where state = 'taken'").Scan(&taken, &distinct); err != nil {
		t.Fatal(err)
	}
	if taken != 3 || distinct != 3 {
		t.Errorf("%d tasks were taken by %d jobs, want 3 by 3", taken, distinct)
	}
}

func TestTaskThatIsThereAlreadyIsTakenWithoutSleeping(t *testing.T) {
	t.Parallel()
	k := queueKit(t)
	if _, err := k.pool.Exec(t.Context(), "insert into app.tasks (queue, subject) values ('q', 'early')"); err != nil {
		t.Fatal(err)
	}
	k.work()
	job := k.ended(k.submit("picker", map[string]any{"queue": "q"}).ID)
	var task struct{ Subject string }
	if err := json.Unmarshal(job.Result, &task); err != nil || task.Subject != "early" {
		t.Errorf("result = %s (%v), want the early task", job.Result, err)
	}
}

func TestEveryBuiltInWaitWakesItsJob(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		code string
		wake func(k *kit, id uuid.UUID) error
		want string
	}{
		"sleep":           {code: "await sleep(30); exit('slept')", want: `"slept"`},
		"until":           {code: "await until(Date.now() + 30); exit('later')", want: `"later"`},
		"timeout":         {code: "try { await event('never', {timeout: 30}) } catch (e) { exit(e.name) }", want: `"TimeoutError"`},
		"wrong arguments": {code: "try { await sleep('soon') } catch (e) { exit(e.name) }", want: `"TypeError"`},
		"event": {code: "exit(await event('paid', {key: 'k1'}))", want: `{"amount":5}`, wake: func(k *kit, _ uuid.UUID) error {
			if _, _, err := k.Emit(k.t.Context(), "/acme", "paid", "other", json.RawMessage(`{"amount":1}`)); err != nil {
				return err
			}
			_, _, err := k.Emit(k.t.Context(), "/acme", "paid", "k1", json.RawMessage(`{"amount":5}`))
			return err
		}},
		"message": {code: "exit(await message())", want: `{"hello":"there"}`, wake: func(k *kit, id uuid.UUID) error {
			return k.SendMessage(k.t.Context(), id, json.RawMessage(`{"hello":"there"}`), "")
		}},
	}
	k := newKit(t, nil)
	k.work()
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := &kit{App: k.App, t: t, url: k.url, pool: k.pool, reg: k.reg}
			role := "w_" + uuid.NewString()[:8]
			k.apply(files{"agents/" + role + ".md": simpleAgent, "agents/" + role + ".warmup.js": "print('before')\n" + c.code})
			job := k.submit(role, nil)
			if c.wake != nil {
				k.until(job.ID, "SUSPENDED")
				if err := c.wake(k, job.ID); err != nil {
					t.Fatal(err)
				}
			}
			if got := k.ended(job.ID); string(got.Result) != c.want {
				k.dump(job.ID)
				t.Errorf("result = %s (%s), want %s", got.Result, got.Error, c.want)
			}
			if n := k.printed(job.ID, "before"); n != 1 {
				t.Errorf("the line before the wait was recorded %d times, want once", n)
			}
		})
	}
}

func TestMessageSentBeforeItIsAskedForIsGiven(t *testing.T) {
	t.Parallel()
	k := newKit(t, files{
		"agents/m.md":        simpleAgent,
		"agents/m.warmup.js": "await event('go')\nexit(await message({timeout: '10s'}))",
	})
	k.work()
	job := k.submit("m", nil)
	k.until(job.ID, "SUSPENDED")
	if err := k.SendMessage(t.Context(), job.ID, json.RawMessage(`"early"`), ""); err != nil {
		t.Fatal(err)
	}
	if _, _, err := k.Emit(t.Context(), "/", "go", "", nil); err != nil {
		t.Fatal(err)
	}
	if got := k.ended(job.ID); string(got.Result) != `"early"` {
		k.dump(job.ID)
		t.Errorf("result = %s, want the early message", got.Result)
	}
}

// apply stores more definitions.
func (k *kit) apply(defs files) {
	k.t.Helper()
	if _, err := k.Apply(k.t.Context(), defs.folder(), "/"); err != nil {
		k.t.Fatal(err)
	}
}

func (k *kit) withStatus(ids []uuid.UUID, status string) []uuid.UUID {
	k.t.Helper()
	var found []uuid.UUID
	for _, id := range ids {
		job, err := k.GetJob(k.t.Context(), id)
		if err != nil {
			k.t.Fatal(err)
		}
		if job.Status == status {
			found = append(found, id)
		}
	}
	return found
}

// eventually asks until the answer is good, and returns it.
func (k *kit) eventually(ask func() []uuid.UUID, good func([]uuid.UUID) bool) []uuid.UUID {
	k.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		if got := ask(); good(got) || time.Now().After(deadline) {
			return got
		}
		if _, err := k.pool.Exec(k.t.Context(), "select pg_sleep(0.005)"); err != nil {
			k.t.Fatal(err)
		}
	}
}

// printed counts how often history holds a console line.
func (k *kit) printed(id uuid.UUID, line string) int {
	k.t.Helper()
	rows, err := k.History(k.t.Context(), id, 0, 0)
	if err != nil {
		k.t.Fatal(err)
	}
	n := 0
	for _, r := range rows {
		var console struct{ Lines []string }
		if r.Kind == "console" && json.Unmarshal(r.Payload, &console) == nil && slices.Contains(console.Lines, line) {
			n++
		}
	}
	return n
}
