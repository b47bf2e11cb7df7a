package app_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"statek/internal/app"
	"statek/internal/jsvm"
)

// TestTaggedValuesCanBeQueried: the expressions of docs/sql.md, each against a variable that a cell made.
func TestTaggedValuesCanBeQueried(t *testing.T) {
	t.Parallel()
	tests := []struct{ code, sql, want string }{
		{"plain = {customer: {name: 'Ada'}, n: -0}", "value -> 'customer' ->> 'name'", "Ada"},
		{"undef = undefined", "value #>> '{value,$undefined}'", "1"},
		{"nan = NaN", "(value #>> '{value,$number}')::float8::text", "NaN"},
		{"inf = -Infinity", "(value #>> '{value,$number}')::float8::text", "-Infinity"},
		{"big = 2n ** 70n", "(value #>> '{value,$bigint}')::numeric::text", "1180591620717411303424"},
		{"half = '\\ud800'", "(value #> '{value,$units,0}')::text", "55296"},
		{"sym = Symbol.for('k')", "value #>> '{value,$symbolFor}'", "k"},
		{"nat = Math.max", "value #>> '{value,$native,1}'", "max"},
		{"ref = plain", "value #>> '{value,$ref,0}'", "plain"},
		{"point = new Point(3)", "value #>> '{value,$object,x}' || (value #>> '{value,$class,$ref,0}')", "3Point"},
		{"frozen = Object.freeze([7])", "value #>> '{value,$array,0}' || (value #>> '{value,$ext}')", "7frozen"},
		{"sparse = [1, , 3]", "value #>> '{value,$sparse}' || (value #>> '{value,$items,2}')", "33"},
		{"map = new Map([['owner', plain], ['k', 1]])", "(select p ->> 1 from json_array_elements(value #> '{value,$map}') p where p ->> 0 = 'k')", "1"},
		{"set = new Set([1, 2])", "(select count(*)::text from json_array_elements(value #> '{value,$set}'))", "2"},
		{"date = new Date(1700000000000)", "to_timestamp((value #>> '{value,$date}')::float8 / 1000)::timestamptz(0) = '2023-11-14T22:13:20Z'", "true"},
		{"regexp = /a+/g", "value #>> '{value,$regexp,0}'", "a+"},
		{"error = new TypeError('no')", "value #>> '{value,$error}' || (value #>> '{value,$props,message}')", "TypeErrorno"},
		{"bytes = new Uint8Array([1, 2])", "encode(decode(value #>> '{value,$view,1,$buffer}', 'base64'), 'hex')", "0102"},
		{"inc = (x) => ({x: x + 1})", "value #>> '{value,$function}'", "(x) => ({x: x + 1})"},
	}
	var code strings.Builder
	code.WriteString("class Point { constructor(x) { this.x = x } }\n")
	for _, test := range tests {
		code.WriteString("var " + test.code + ";\n")
	}
	k := newKit(t, files{"agents/q.md": simpleAgent, "agents/q.warmup.js": code.String() + "exit(1)"})
	k.work()
	job := k.ended(k.submit("q", nil).ID)
	if job.Outcome != "succeeded" {
		t.Fatalf("%s %s", job.Outcome, job.Error)
	}
	for _, test := range tests {
		name, _, _ := strings.Cut(test.code, " =")
		var got string
		err := k.pool.QueryRow(t.Context(), "select ("+test.sql+")::text from statek.variables where job_id = $1 and name = $2 and cell_to is null", job.ID, name).Scan(&got)
		if err != nil || got != test.want {
			t.Errorf("%s: %s is %q, %v; want %s", test.code, test.sql, got, err, test.want)
		}
	}
	var owner string
	k.must(k.pool.QueryRow(t.Context(), `select coalesce(r.value, p -> 1) ->> 'customer' from statek.variables a
		cross join lateral json_array_elements(a.value #> '{value,$map}') p
		left join statek.variables r on r.job_id = a.job_id and r.cell_to is null and r.name = p -> 1 #>> '{$ref,0}'
		where a.job_id = $1 and a.name = 'map' and a.cell_to is null and p ->> 0 = 'owner'`, job.ID).Scan(&owner))
	if owner != `{"name":"Ada"}` {
		t.Errorf("through a reference: %s", owner)
	}
	k.is(`select not exists (select from statek.variables where job_id = $1 and (type = '' or bytes <> octet_length(value::text)))`, job.ID)
}

// TestNamesThatTextCannotHoldStayApart: what JavaScript can name, a row can.
func TestNamesThatTextCannotHoldStayApart(t *testing.T) {
	t.Parallel()
	k := newKit(t, files{
		"agents/n.md": simpleAgent,
		"agents/n.warmup.js": `for (const [i, name] of ['a\u0000', 'a\u0001', 'a\ufffd', '\ud800', '\ud801', '\\ud800', 'a'].entries()) globalThis[name] = i
// ----------
exit(['a\u0000', 'a\u0001', 'a\ufffd', '\ud800', '\ud801', '\\ud800', 'a'].map((name) => globalThis[name]))`,
	})
	k.work()
	job := k.ended(k.submit("n", nil).ID)
	if string(job.Result) != "[0,1,2,3,4,5,6]" {
		k.dump(job.ID)
		t.Errorf("result = %s (%s)", job.Result, job.Error)
	}
}

// TestAbortedCellsLeaveTheWorkspaceAlone: not one row of theirs is written, none is closed, and the next cell
// sees what was before.
func TestAbortedCellsLeaveTheWorkspaceAlone(t *testing.T) {
	t.Parallel()
	aborts := map[string]string{
		"loop":      "for (;;) n++",
		"recursion": "(function f() { f() })()",
		"microtask": "for (;;) await null",
		"after":     "await add(1); for (;;) n++",
	}
	defs := files{"tools/add.sql": "-- tool: add(n numeric)\n-- returns: value\nselect :n + 1\n"}
	for name, code := range aborts {
		defs["agents/"+name+".md"] = simpleAgent
		defs["agents/"+name+".warmup.js"] = "class Kept { v = 1 }\nlet n = 1, list = [new Kept()], gone = 'not'\nconst fixed = {a: 1}"
		defs["replies/"+name+".md"] = "```js\nn = 2; list.push(3); fixed.a = 2; delete globalThis.gone; var fresh = 1; Kept.prototype.v2 = 1; print('seen');\n" + code +
			"\n```\n----------\n```js\nexit([n, list.length, fixed.a, gone, typeof fresh, Object.keys(Kept.prototype).length])\n```"
	}
	k := newKit(t, defs)
	k.work(func(c *app.WorkerConfig) { c.Limits = jsvm.Limits{DrainTime: 200 * time.Millisecond} })
	for name := range aborts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := &kit{App: k.App, t: t, url: k.url, pool: k.pool, reg: k.reg}
			job := k.ended(k.submit(name, nil).ID)
			if want := `[1,1,1,"not","undefined",0]`; string(job.Result) != want {
				k.dump(job.ID)
				t.Errorf("result = %s (%s), want %s", job.Result, job.Error, want)
			}
			k.is(`select count(*) = 1 from statek.history where job_id = $1 and kind = 'cell_ended' and payload ->> 'state' = 'aborted'`, job.ID)
			k.is(`select not exists (select from statek.variables v join statek.history h on h.job_id = v.job_id and h.kind = 'cell_ended' and h.payload ->> 'state' = 'aborted'
				where v.job_id = $1 and h.cell in (v.cell_from, v.cell_to))`, job.ID)
			if got := k.printed(job.ID, "seen"); got != 1 {
				t.Errorf("what it printed is there %d times", got)
			}
		})
	}
}

// TestReplayPrintsNothingTwice: a cell that sleeps often, each time resumed by another worker, prints each line once
// and in order.
func TestReplayPrintsNothingTwice(t *testing.T) {
	t.Parallel()
	k := newKit(t, files{
		"agents/p.md": simpleAgent,
		"agents/p.warmup.js": "print('start')\nfor (let i = 0; i < 4; i++) { print('before ' + i); try { print('got', await event('e' + i)) } finally { print('after ' + i) } }\n" +
			"exit('end')",
	})
	stop := k.work()
	job := k.submit("p", nil)
	want := []string{"start"}
	for i := range 4 {
		k.is(`select (select count(*) from statek.history where job_id = $1 and kind = 'suspended') = $2
			and (select owner is null from statek.job_state where job_id = $1)`, job.ID, i+1)
		stop()
		_, _, err := k.Emit(t.Context(), "/acme", fmt.Sprintf("e%d", i), "", json.RawMessage(`1`))
		k.must(err)
		want = append(want, fmt.Sprintf("before %d", i), "got 1", fmt.Sprintf("after %d", i))
		stop = k.work()
	}
	if got := k.ended(job.ID); string(got.Result) != `"end"` {
		k.dump(job.ID)
		t.Fatalf("result = %s (%s)", got.Result, got.Error)
	}
	if diff := cmp.Diff(want, k.consoleLines(job.ID)); diff != "" {
		t.Errorf("console (-want +got):\n%s", diff)
	}
}

// TestDivergedCellIsAbortedAndSaysHow: history and code that do not fit are not run on. The model is told where they
// differ, with the workspace as it was; a warmup pauses for a person.
func TestDivergedCellIsAbortedAndSaysHow(t *testing.T) {
	t.Parallel()
	const cell = "n = 2\nprint('line')\nawait event('go', {key: 'k1'})\nprint('later')"
	k := newKit(t, files{
		"agents/m.md":        simpleAgent,
		"agents/m.warmup.js": "let n = 1",
		"replies/m.md":       "```js\n" + cell + "\n```\n----------\n```js\nexit(n)\n```",
		"agents/w.md":        simpleAgent,
		"agents/w.warmup.js": "let n = 1\n// ----------\n" + cell + "\nexit(n)",
	})
	stop := k.work()
	model, warmup := k.submit("m", nil), k.submit("w", nil)
	for _, job := range []app.Job{model, warmup} {
		k.until(job.ID, "SUSPENDED")
	}
	stop()
	for _, job := range []app.Job{model, warmup} {
		k.tamper(job.ID)
	}
	_, _, err := k.Emit(t.Context(), "/acme", "go", "k1", json.RawMessage(`1`))
	k.must(err)
	k.work()
	if got := k.ended(model.ID); string(got.Result) != "1" {
		k.dump(model.ID)
		t.Errorf("the model's job: %s %s (%s)", got.Status, got.Result, got.Error)
	}
	if got := k.ended(warmup.ID); got.Status != "PAUSED" {
		k.dump(warmup.ID)
		t.Errorf("the warmup's job: %s %s", got.Status, got.Result)
	}
	for _, job := range []app.Job{model, warmup} {
		var text string
		k.must(k.pool.QueryRow(t.Context(), `select payload::text from statek.history where job_id = $1 and kind = 'cell_ended' and payload ->> 'state' = 'aborted'`, job.ID).Scan(&text))
		for _, want := range []string{"DivergedError", "arguments[1].key", "k1", "k2", "line 1 was", "not run again"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s lacks %q", text, want)
			}
		}
		if k.printed(job.ID, "later") != 0 {
			t.Error("it was run on")
		}
	}
}

// tamper changes what the open cell of a job is known to have called and printed.
func (k *kit) tamper(job uuid.UUID) {
	k.t.Helper()
	tag, err := k.pool.Exec(k.t.Context(), `update statek.history set payload = replace(replace(payload::text, 'k1', 'k2'), '"line"', '"another"')::json
		where job_id = $1 and kind in ('call_issued', 'console')`, job)
	k.must(err)
	if tag.RowsAffected() < 2 {
		k.t.Fatalf("tampered with %d rows", tag.RowsAffected())
	}
}

// consoleLines is what a job has printed, in order.
func (k *kit) consoleLines(job uuid.UUID) []string {
	k.t.Helper()
	rows, err := k.History(k.t.Context(), job, 0, 0)
	k.must(err)
	var out []string
	for _, r := range rows {
		var line struct{ Lines []string }
		if r.Kind == "console" && json.Unmarshal(r.Payload, &line) == nil {
			out = append(out, line.Lines...)
		}
	}
	return out
}
