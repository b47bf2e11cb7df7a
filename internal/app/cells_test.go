package app_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"statek/internal/app"
	"statek/internal/jsvm"
)

// tool is a Go tool without arguments.
type tool func() (json.RawMessage, error)

// Call implements app.GoTool.
func (f tool) Call(context.Context, string, map[string]json.RawMessage) (json.RawMessage, error) {
	return f()
}

// TestCells runs cells that call, throw, overflow and go on.
func TestCells(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ code, want string }{
		"all tools at once":        {"const l = await Promise.all([add(1), add(2), add(3)]); exit(l)", "[2,3,4]"},
		"tools in turn":            {"let n = 0; for (let i = 0; i < 20; i++) n = await add(n); exit(n)", "20"},
		"all waits":                {"const l = await Promise.all([sleep(10), sleep(20), event('never', {timeout: 30}).catch(e => e.name)]); exit(l[2])", `"TimeoutError"`},
		"a tool and a wait":        {"const [a, b] = await Promise.all([add(1), sleep(20)]); exit(a)", "2"},
		"too few arguments":        {"try { await add() } catch (e) { exit(e.name + ': ' + e.message) }", `"TypeError: add: argument n is missing`},
		"wrong type":               {"try { await add('x') } catch (e) { exit(e.name) }", `"`},
		"SQL error is caught":      {"try { await boom() } catch (e) { exit([e.name, e.code]) }", `["SQLError","22012"]`},
		"the job goes on after it": {"try { await boom() } catch (e) {} exit(await add(1))", "2"},
		"large result":             {"try { await large() } catch (e) { exit([e.name, e.code, e.message.includes('262144')]) }", `["ResultTooLarge","limit",true]`},
		"NUL in an event's name":   {"try { await event('a\\u0000b', {timeout: 10}) } catch (e) { exit('caught') }", `"caught"`},
		"NUL in printed text":      {"print('a\\u0000b\\ud800c'); exit('printed')", `"printed"`},
		"NUL in a variable's name": {"globalThis['a\\u0000b'] = 1; globalThis['\\ud800'] = 2; exit('named')", `"named"`},
		"NUL for a tool":           {"exit(await same('a\\u0000b'))", `"`},
		"half a character out":     {"exit('\\ud800')", `"\ud800"`},
		"order of keys":            {"exit({z: 1, a: await add(0)})", `{"z":1,"a":1}`},
	}
	k := newKit(t, nil)
	defs := files{
		"tools/add.sql":   "-- tool: add(n numeric)\n-- returns: value\nselect :n + 1\n",
		"tools/boom.sql":  "-- tool: boom()\n-- returns: value\nselect 1 / 0\n",
		"tools/same.sql":  "-- tool: same(t text)\n-- returns: value\nselect :t\n",
		"tools/large.sql": "-- tool: large()\n-- returns: value\nselect repeat('x', 300000)\n",
	}
	role := func(name string) string { return "r_" + strings.NewReplacer(" ", "_", "'", "").Replace(name) }
	for name, c := range cases {
		defs["agents/"+role(name)+".md"] = simpleAgent
		defs["agents/"+role(name)+".warmup.js"] = c.code
	}
	k.apply(defs)
	k.work()
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := &kit{App: k.App, t: t, url: k.url, pool: k.pool, reg: k.reg}
			job := k.ended(k.submit(role(name), nil).ID)
			if job.Outcome != "succeeded" || !strings.HasPrefix(string(job.Result), c.want) {
				k.dump(job.ID)
				t.Errorf("%s %s with %s (%s %s), want %s", job.Status, job.Outcome, job.Result, job.Error, job.BlockedWhy, c.want)
			}
			if _, err := k.Explain(t.Context(), job.ID); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestCellOverItsLimitIsAborted: the job goes on with the workspace as it was before the cell.
func TestCellOverItsLimitIsAborted(t *testing.T) {
	t.Parallel()
	k := newKit(t, files{
		"agents/loop.md": simpleAgent,
		"replies/loop.md": "```js\nlet n = 1\n```\n----------\n```js\nn = 2\nawait add(n)\nfor (;;) n++\n```\n" +
			"----------\n```js\nexit(n)\n```",
		"tools/add.sql": "-- tool: add(n numeric)\n-- returns: value\nselect :n + 1\n",
	})
	k.work(func(c *app.WorkerConfig) { c.Limits = jsvm.Limits{DrainTime: 100 * time.Millisecond} })
	job := k.ended(k.submit("loop", nil).ID)
	if string(job.Result) != "1" {
		k.dump(job.ID)
		t.Errorf("result = %s (%s), want the workspace before the cell", job.Result, job.BlockedWhy)
	}
	k.is(`select exists (select from statek.history where job_id = $1 and kind = 'cell_ended' and payload ->> 'state' = 'aborted')`, job.ID)
}

// TestVariablesHaveVersions: what the workspace was after each cell can be read for ever.
func TestVariablesHaveVersions(t *testing.T) {
	t.Parallel()
	k := newKit(t, files{
		"agents/v.md":        simpleAgent,
		"agents/v.warmup.js": "let a = 1, b = {z: 1, y: -0}\n// ----------\na = 2\n// ----------\ndelete globalThis.b; a = 3; exit(a)",
	})
	k.work()
	job := k.ended(k.submit("v", map[string]any{"given": "x"}).ID)
	at := func(cell *int) map[string]string {
		vars, err := k.Variables(t.Context(), job.ID, cell)
		k.must(err)
		got := map[string]string{}
		for _, v := range vars {
			got[v.Name] = string(v.Value)
		}
		return got
	}
	before, after := 0, 1
	given := at(&before)["given"]
	if got := at(&before); len(got) != 1 || !strings.Contains(given, "x") {
		t.Errorf("before the first cell: %v", got)
	}
	if got := at(&after); len(got) != 3 {
		t.Errorf("after cell 1: %v", got)
	}
	if a1, now := at(&after)["a"], at(nil)["a"]; a1 == now {
		t.Errorf("a is %s after cell 1 and now", a1)
	}
	wrong := -1
	if _, err := k.Variables(t.Context(), job.ID, &wrong); err == nil {
		t.Error("a negative cell was accepted")
	}
}

// TestFollowersSeeEveryRowOnce and in order, while the job runs and when they come late.
func TestFollowersSeeEveryRowOnce(t *testing.T) {
	t.Parallel()
	k := newKit(t, files{
		"agents/f.md":        simpleAgent,
		"agents/f.warmup.js": "for (let i = 0; i < 30; i++) { print(i); await add(i); if (i % 10 == 0) await sleep(10) }\nexit('end')",
		"tools/add.sql":      "-- tool: add(n numeric)\n-- returns: value\nselect :n + 1\n",
	})
	k.work()
	job := k.submit("f", nil)
	follow := func(after int64) []int64 {
		var seqs []int64
		if err := k.FollowHistory(t.Context(), job.ID, after, func(r app.HistoryRow) error {
			seqs = append(seqs, r.Seq)
			return nil
		}); err != nil {
			t.Error(err)
		}
		return seqs
	}
	live := make(chan []int64, 2)
	for range 2 {
		go func() { live <- follow(0) }()
	}
	k.ended(job.ID)
	want := follow(0)
	for i, seq := range want {
		if seq != int64(i+1) {
			t.Fatalf("seqs = %v, want 1, 2, 3 …", want)
		}
	}
	for range 2 {
		if diff := cmp.Diff(want, <-live); diff != "" {
			t.Errorf("a live follower (-want +got):\n%s", diff)
		}
	}
	if diff := cmp.Diff(want[10:], follow(10)); diff != "" {
		t.Errorf("from row 10 (-want +got):\n%s", diff)
	}
}

// TestGoToolsAreCalledUnderTheirKey, and what they return need not be good.
func TestGoTools(t *testing.T) {
	t.Parallel()
	k := newKit(t, files{
		"agents/g.md":        simpleAgent,
		"agents/g.warmup.js": "const r = []\nfor (const f of [fine, broken, bytes, missing]) { try { r.push(await f()) } catch (e) { r.push(e.name) } }\nexit(r)",
	})
	var calls atomic.Int64
	tools := map[string]app.GoTool{
		"fine":   tool(func() (json.RawMessage, error) { calls.Add(1); return json.RawMessage(`{"z":1,"a":2}`), nil }),
		"broken": tool(func() (json.RawMessage, error) { return json.RawMessage(`{`), nil }),
		"bytes":  tool(func() (json.RawMessage, error) { return json.RawMessage("\"a\xff\xfeb\""), nil }),
	}
	var defs []app.ToolDefinition
	for _, name := range []string{"fine", "broken", "bytes", "missing"} {
		defs = append(defs, app.ToolDefinition{Name: name, Description: "x"})
	}
	k.must(k.DefineTools(t.Context(), "/", defs))
	k.work(func(c *app.WorkerConfig) { c.Tools = tools })
	job := k.ended(k.submit("g", nil).ID)
	if want := `[{"z":1,"a":2},"ToolError","ToolError","ToolError"]`; string(job.Result) != want {
		k.dump(job.ID)
		t.Errorf("result = %s (%s), want %s", job.Result, job.BlockedWhy, want)
	}
	if calls.Load() != 1 {
		t.Errorf("the tool was called %d times", calls.Load())
	}
}
