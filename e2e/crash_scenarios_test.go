package e2e

import (
	"fmt"
	"regexp"
	"sort"
	"strings"

	"encoding/json"

	"github.com/google/uuid"

	"statek/internal/jobs"
	"statek/internal/providers/providertest"
)

// scenario is a job that has one right course, whoever dies meanwhile. Its warmup knows its own tag, by which it is
// told from other jobs, and the id of another job that ends.
type scenario struct {
	name, warmup string
	early        string // SQL, once the job is submitted and before any worker looks at it; $1: its id, $2: its tag
	late         string // SQL, once it sleeps
	during       string // SQL, before the first time that it sends an HTTP request; the worker waits for the job to be rung by it
	loose        bool   // calls at once: their order is not fixed
}

// scenarios are every way in which a job acts and waits.
var scenarios = []scenario{
	{name: "two_calls", warmup: `const a = await note('one'); const b = await note('two'); exit([a.note, b.note])`},
	{name: "external", warmup: `await note('before'); const r = await charge(5); await note('after'); exit(r.receipt)`},
	{name: "once", warmup: `let r; try { r = (await chargeOnce(7)).receipt } catch (e) { r = e.name }
		await note('done'); print(r === 'r7' || r === 'UnknownOutcomeError' ? 'told' : r); exit('told')`},
	{name: "model", warmup: `print('hello')`},
	{name: "sleep", warmup: `await note('before'); await sleep(150); await note('after'); exit('slept')`},
	{
		name: "event", warmup: `const e = await event('go', {key: tag}); await note(e.word); exit(e)`,
		late: `select statek.emit('/', 'go', '{"word": "went"}', $2) where $1::uuid is not null`,
	},
	{
		name: "event_before", warmup: `const e = await event('go', {key: tag}); await note(e.word); exit(e)`,
		early: `select statek.emit('/', 'go', '{"word": "gone"}', $2) where $1::uuid is not null`,
	},
	{
		name: "queue", warmup: `const task = await take(tag); await note(task.subject); exit(task)`,
		early: `insert into app.tasks (queue, subject) select $2, 'early' where $1::uuid is not null`,
	},
	{
		name: "queue_late", warmup: `const one = await take(tag); await note(one.subject); const two = await take(tag); exit([one, two])`,
		late: `insert into app.tasks (queue, subject) select $2, 'late' from generate_series(1, 2) where $1::uuid is not null`,
	},
	{
		name: "first", warmup: `const won = await first(take(tag), event('go', {key: tag})); await note(won.word); exit(won)`,
		late: `select statek.emit('/', 'go', '{"word": "faster"}', $2) where $1::uuid is not null`,
	},
	{
		name: "discard", warmup: `const a = take(tag), b = take(tag); await a; exit('left one')`,
		early: `insert into app.tasks (queue, subject) select $2, 'either' from generate_series(1, 2) where $1::uuid is not null`,
	},
	{
		name: "approval", warmup: `const a = await approval({title: 'Pay ' + tag + '?'}); await note(a.option); exit(a.by)`,
		late: `select statek.decide(id, '{"option": "approve"}', 'ada') from statek.approvals where job_id = $1 and $2::text is not null`,
	},
	{name: "other_job", warmup: `const o = await job(other); await note(o.outcome); exit(o.result)`},
	{
		name: "message", warmup: `const m = await message(); await note(m.word); exit(m)`,
		late: `select statek.push_message($1, '{"word": "hi"}') where $2::text is not null`,
	},
	{
		name: "message_first", warmup: `const won = await first(message(), take(tag)); await note(won.word); exit(won)`,
		late: `select statek.push_message($1, '{"word": "hello"}') where $2::text is not null`,
	},
	{
		name: "rung", warmup: `const r = await charge(9); const m = await message(); await note(m.word); exit(r.receipt)`,
		during: `select statek.push_message($1, '{"word": "hurry"}') where $2::text is not null`,
	},
	{name: "cells", warmup: strings.Join([]string{
		`const seen = new Map([['a', 1]]); class Point { constructor(x) { this.x = x } double() { return 2 * this.x } }; let p = new Point(4)`,
		`seen.set('b', p.double()); await note('two'); const m = new Date(0)`,
		`p.x++; delete seen.a; await note(String(p.double())); const now = [...seen]`,
		`exit([now, p.x, m.toISOString()])`,
	}, "\n// ----------\n")},
	{name: "objects", warmup: `const made = await objects.put('counters', tag, {n: 1}, {version: 0})
		await objects.update('counters', tag, {n: 2}); const o = await objects.get('counters', tag); exit([made.version, o.version, o.value.n])`},
	{name: "at_once", loose: true, warmup: `const all = await Promise.all([note('a'), note('b'), charge(1), charge(2)]); exit(all.map((x) => x.note ?? x.receipt))`},
	{name: "throws", warmup: `let said; try { await broken(0) } catch (e) { said = e.code } await note('went on'); exit(said)`},
	{
		name: "cancelled", warmup: `await note('before'); await event('never', {key: tag})`,
		late: `select statek.cancel_job($1, 'enough') where $2::text is not null`,
	},
}

// crashFiles define them.
func crashFiles() files {
	defs := ledger(files{
		"tools/chargeOnce.http.yaml": strings.NewReplacer("tool: charge", "tool: chargeOnce\nonce: true").Replace(ledger(nil)["tools/charge.http.yaml"]),
		"tools/broken.sql":           "-- tool: broken(by integer)\n-- Fails.\n-- returns: one\ninsert into app.ledger (job_id, note) select :job_id, (1 / :by)::text returning note\n",
		"temporals/take.sql": strings.NewReplacer("pickNextTask", "take", "returning id, subject", "returning subject",
			"where id = (:value->>'id')::bigint", "where queue = :queue and taken_by = :job_id").Replace(ledger(nil)["temporals/pickNextTask.sql"]),
	})
	for _, s := range scenarios {
		defs["agents/"+s.name+".md"] = modelAgent
		defs["agents/"+s.name+".warmup.js"] = "tag; other\n// ----------\n" + s.warmup
	}
	return defs
}

// replies are the model's, by turn.
func crashReply(r providertest.Recorded) providertest.Answer {
	_, turn, _ := strings.Cut(r.Key, "/turn/")
	return providertest.Answer{Text: map[string]string{
		"1": "```js\nconst noted = await note('by the model')\n```", "2": "```js\nawait charge(3)\nexit(noted.note)\n```",
	}[turn]}
}

// course is what must be the same however often workers die: history, result, and what the world outside has seen.
type course struct {
	History  []string
	Ledger   []string
	Tasks    []string
	Payments []string
}

var identifiers = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// course reads what became of a job. Left out is what differs between any two runs: times, seeds, ids, the hash over
// them; and what tells of crashes: takeovers, repeated attempts, and whether a call made once has been lost.
func (m *matrix) course(of *instance) course {
	m.t.Helper()
	var c course
	plain := func(text string) string {
		return identifiers.ReplaceAllString(strings.ReplaceAll(text, of.tag, "TAG"), "ID")
	}
	for _, e := range m.entries(of.job) {
		if text := tell(e); text != "" {
			c.History = append(c.History, plain(text))
		}
	}
	for _, row := range m.table(fmt.Sprintf("select note from app.ledger where job_id = '%s' order by id", of.job)) {
		c.Ledger = append(c.Ledger, plain(row))
	}
	for _, row := range m.table(fmt.Sprintf("select queue, subject, state, count(*) from app.tasks where queue = '%s' group by 1, 2, 3", of.tag)) {
		c.Tasks = append(c.Tasks, plain(row))
	}
	for call, p := range m.bank.of(of.job.String()) {
		if of.name != "once" {
			c.Payments = append(c.Payments, fmt.Sprintf("%s: %d", call, p.Amount))
		} else if p.Times > 1 {
			c.Payments = append(c.Payments, fmt.Sprintf("%s: sent %d times", call, p.Times))
		}
	}
	sort.Strings(c.Payments)
	sort.Strings(c.Tasks)
	if of.loose {
		sort.Strings(c.History)
		sort.Strings(c.Ledger)
	}
	return c
}

// tell writes a row of history without what differs between any two runs; "" leaves the row out.
func tell(e jobs.Entry) string {
	switch ev := e.Event.(type) {
	case jobs.TakenOver:
		return ""
	case jobs.ModelRequested:
		if ev.Attempt > 1 {
			return ""
		}
	case jobs.CellStarted:
		ev.Seed, ev.Now = 0, 0
		e.Event = ev
	case jobs.CallIssued:
		ev.Hash = ""
		e.Event = ev
	case jobs.Slept:
		ev.Hash = ""
		e.Event = ev
	case jobs.CallSettled:
		ev.Now, ev.Woke = 0, nil
		if ev.Name == "chargeOnce" {
			ev.Value, ev.Error = nil, nil
		}
		if ev.Name == "approval" {
			ev.Value = regexp.MustCompile(`"at":"[^"]*"`).ReplaceAll(ev.Value, []byte(`"at":""`))
		}
		if ev.Name == "objects.put" || ev.Name == "objects.update" || ev.Name == "objects.get" {
			ev.Value = regexp.MustCompile(`"updatedAt":"[^"]*"`).ReplaceAll(ev.Value, []byte(`"updatedAt":""`))
		}
		e.Event = ev
	case jobs.MessageReceived:
		ev.Mail = 0
		e.Event = ev
	}
	text, err := json.Marshal(e.Event)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d.%d %s %s", e.Cell, e.Call, e.Event.Kind(), text)
}

// entries reads a job's history as the engine would.
func (w *world) entries(job uuid.UUID) []jobs.Entry {
	w.t.Helper()
	rows, err := w.pool.Query(w.t.Context(), "select seq, cell, call, at, kind, payload from statek.history_entries where job_id = $1 order by seq", job)
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	var list []jobs.Entry
	for rows.Next() {
		var e jobs.Entry
		var kind string
		var payload []byte
		if err := rows.Scan(&e.Seq, &e.Cell, &e.Call, &e.At, &kind, &payload); err != nil {
			w.t.Fatal(err)
		}
		if e.Event, err = jobs.Decode(kind, payload); err != nil {
			w.t.Fatal(err)
		}
		list = append(list, e)
	}
	if err := rows.Err(); err != nil {
		w.t.Fatal(err)
	}
	return list
}
