package jsvmtest

import (
	"encoding/json"
	"testing"

	"pgregory.net/rapid"

	"statek/internal/jsvm"
)

// Replays runs random concurrent programs with results in random order, takes the session away before every
// delivery, and compares everything that the rest shows: console, calls with the bytes of their arguments,
// state, echo, error, exit, hash, the text that ran, and the rows of the workspace.
func Replays(t *testing.T, m jsvm.Machine) {
	t.Helper()
	for name, lowered := range map[string]bool{"plain": false, "lowered": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			left := replays
			rapid.Check(t, func(t *rapid.T) {
				if left == 0 {
					return
				}
				Replay(t, m, lowered)
				left-- // not when it failed: then rapid looks for a smaller one
			})
		})
	}
}

// replays bounds how many programs Replays draws, since each is run once per delivery. A fuzz target over Replay
// draws as many as it likes.
const replays = 30

// Replay is the property that Replays checks, of one program. Lowered ones are such that esbuild rewrites them.
func Replay(t *rapid.T, m jsvm.Machine, lowered bool) {
	s := stage{t, m, jsvm.Limits{}}
	p := &play{stage: s, vars: prepared(s), cell: jsvm.Cell{
		Number: 2, Source: program(t, lowered), Seed: rapid.Uint64().Draw(t, "seed"), Now: 1_700_000_000_000,
	}}
	p.live(randomly(t, p.cell.Now))
	p.everywhere()
}

// randomly settles any of the open calls, sometimes with an error, and lets the clock go on or stand still.
func randomly(t *rapid.T, now int64) settler {
	return func(open []jsvm.Call, _ int) jsvm.Delivery {
		call := rapid.SampledFrom(open).Draw(t, "next")
		now += rapid.Int64Range(0, 5000).Draw(t, "later")
		d := jsvm.Delivery{Call: call.ID, Value: firstArg(call), Now: now}
		switch rapid.IntRange(0, 7).Draw(t, "result") {
		case 0:
			d.Value, d.Err = nil, &jsvm.Error{Name: "ToolError", Message: "no " + call.Name, Code: "refused"}
		case 1:
			d.Value, d.Err = nil, &jsvm.Error{Name: "TypeError", Message: "bad"}
		case 2:
			d.Value, _ = json.Marshal([]any{call.ID, nil, "ü\u2028", -0.5}) //nolint:errchkjson // of constants
		case 3:
			d.Value = []byte(`{"z": -0, "a": [1e3, "\ud800\u0000"], "__proto__": 1}`)
		}
		return d
	}
}

// shared is the workspace that random programs work on.
const shared = `
let log = [], count = 0, box = {list: [], map: new Map(), at: new Date(0)};
const limitOf = (n) => n % 3;
class Counter { n = 0; add(k = 1) { this.n += k; return this } get twice() { return this.n * 2 } static total = 0 }
const counter = new Counter();
async function ask(x) { count++; const r = await search(x); log.push(typeof r); return r }
function* digits(n) { try { for (let i = 0; i < n; i++) yield i } finally { log.push('digits done') } }
async function* stream(n) { try { for (let i = 0; i < n; i++) yield await fetchIt('s' + i) } finally { log.push('stream done'); await fetchIt('closed') } }
async function retry(f, times) { for (let i = 0; ; i++) { try { return await f(i) } catch (e) { if (i >= times) throw e } } }
`

func prepared(s stage) []jsvm.Variable {
	s.Helper()
	session := s.open(nil)
	defer session.Close()
	if step := s.run(session, shared); step.Err != nil {
		s.Fatalf("prepare: %v", step.Err)
	}
	return Merge(nil, s.changes(session))
}
