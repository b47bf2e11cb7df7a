package jsvm_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"statek/internal/jsvm"
)

// program draws concurrent code: combinators, chains and loops over tool calls.
func program(t *rapid.T) string {
	n := 0
	var expr func(depth int) string
	expr = func(depth int) string {
		n++
		kind := rapid.IntRange(0, 8).Draw(t, "kind")
		if depth == 0 {
			kind = kind % 3
		}
		sub := func() string { return expr(depth - 1) }
		switch kind {
		case 0:
			return fmt.Sprintf("fetchIt(%d)", n)
		case 1:
			return fmt.Sprintf("fetchIt({n: %d, r: Math.random(), now: Date.now()})", n)
		case 2:
			return fmt.Sprintf("fetchIt('bad%d').then(() => { throw new Error('e%d') })", n, n)
		case 3:
			return "Promise.all([" + sub() + "," + sub() + "])"
		case 4:
			return "Promise.race([" + sub() + "," + sub() + "])"
		case 5:
			return "Promise.any([" + sub() + "," + sub() + "])"
		case 6:
			return "Promise.allSettled([" + sub() + "," + sub() + "])"
		case 7:
			return "(async () => { for (let i = 0; i < 3; i++) print(await " + sub() + "); })()"
		}
		return sub() + ".then((v) => (print('then', v), " + sub() + "), (e) => (print('catch', String(e)), " + sub() + "))"
	}
	var b strings.Builder
	for range rapid.IntRange(1, 4).Draw(t, "statements") {
		n++
		fmt.Fprintf(&b, "try { const v%d = await %s; print(v%d) } catch (e) { print('caught', e) } finally { print('finally') }\n", n, expr(3), n)
	}
	return b.String() + "fetchIt('left open'); Math.random()"
}

// history is everything that a run showed.
type history struct {
	Console []string
	Calls   []jsvm.Call
	State   jsvm.State
	Echo    string
	Hash    string
}

func (h *history) add(step jsvm.Step) {
	h.Console = append(h.Console, step.Console...)
	h.Calls = append(h.Calls, step.Calls...)
	h.State, h.Echo, h.Hash = step.State, step.Echo, step.Hash
}

// TestReplayIsExact runs random concurrent programs with results in random order, and again from the
// record.
func TestReplayIsExact(t *testing.T) {
	t.Parallel()
	m := jsvm.NewInProcess()
	rapid.Check(t, func(t *rapid.T) {
		cell := jsvm.Cell{Number: 1, Source: program(t), Seed: rapid.Uint64().Draw(t, "seed"), Now: 1_000_000}
		var live history
		var deliveries []jsvm.Delivery
		s, err := m.Open(t.Context(), jsvm.Setup{Grants: grants})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		step, err := s.Run(t.Context(), cell)
		for ; err == nil; step, err = s.Deliver(t.Context(), deliveries[len(deliveries)-1]) {
			live.add(step)
			if step.State != jsvm.Pending {
				break
			}
			var open []jsvm.Call
			for _, c := range live.Calls {
				settled := false
				for _, d := range deliveries {
					settled = settled || d.Call == c.ID
				}
				if !settled {
					open = append(open, c)
				}
			}
			call := open[rapid.IntRange(0, len(open)-1).Draw(t, "next")]
			d := jsvm.Delivery{Call: call.ID, Value: call.Args, Now: cell.Now + int64(len(deliveries)), Expect: step.Hash}
			if rapid.IntRange(0, 3).Draw(t, "fails") == 0 {
				d.Value, d.Err = nil, &jsvm.Error{Name: "ToolError", Message: "no"}
			}
			deliveries = append(deliveries, d)
		}
		if err != nil {
			t.Fatal(err)
		}

		cell.Recorded = live.Calls
		var again history
		s2, err := m.Open(t.Context(), jsvm.Setup{Grants: grants})
		if err != nil {
			t.Fatal(err)
		}
		defer s2.Close()
		if step, err = s2.Run(t.Context(), cell); err != nil {
			t.Fatal(err)
		}
		again.add(step)
		if len(deliveries) > 0 {
			for i := range deliveries {
				deliveries[i].Replay = true
			}
			if step, err = s2.Deliver(t.Context(), deliveries...); err != nil {
				t.Fatal(err)
			}
			again.add(step)
		}
		again.Calls = live.Calls // replayed calls are compared inside
		if diff := cmp.Diff(live, again); diff != "" {
			t.Fatalf("replay differs (-live +replay):\n%s", diff)
		}
	})
}

// graphCode draws statements that build objects which refer to each other in all ways.
func graphCode(t *rapid.T) string {
	var b strings.Builder
	names := []string{"a", "b", "c", "d", "e", "f"}
	makers := []string{"{}", "[]", "new Map()", "new Set()", "new K()", "new Error('m')", "Object.create(null)", "Object.assign(() => 1, {})"}
	b.WriteString("class K { constructor() { this.own = 1 } twice() { return this.own * 2 } }\n")
	for _, name := range names {
		fmt.Fprintf(&b, "let %s = %s;\n", name, rapid.SampledFrom(makers).Draw(t, "maker"))
	}
	values := []string{"1", "-0", "NaN", "undefined", "null", "'text'", "10n", "new Date(7)", "/x/g", "K", "[1,,2]", "new Uint8Array([1,2])", "{$ref: ['a']}", "Math.max", "Symbol.iterator", "'$tag'"}
	for range rapid.IntRange(0, 25).Draw(t, "links") {
		from := rapid.SampledFrom(names).Draw(t, "from")
		to := rapid.SampledFrom(names).Draw(t, "to")
		if rapid.Bool().Draw(t, "leaf") {
			to = rapid.SampledFrom(values).Draw(t, "value")
		}
		key := rapid.SampledFrom([]string{"k", "$k", "0", "1", "__x", "own", "a b", "é"}).Draw(t, "key")
		fmt.Fprintf(&b, "if (%[1]s instanceof Map) %[1]s.set(%[3]q, %[2]s); else if (%[1]s instanceof Set) %[1]s.add(%[2]s); else %[1]s[%[3]q] = %[2]s;\n", from, to, key)
	}
	if rapid.Bool().Draw(t, "alias") {
		b.WriteString("let g = " + rapid.SampledFrom(names).Draw(t, "target") + ";\n")
	}
	if rapid.Bool().Draw(t, "freeze") {
		b.WriteString("Object.freeze(" + rapid.SampledFrom(names).Draw(t, "frozen") + ");\n")
	}
	return b.String()
}

// describe prints a graph with identities, so that equal texts mean equal graphs.
const describe = `
const seen = [];
const show = (v) => {
  if (typeof v === 'symbol') return String(v);
  if (typeof v !== 'object' && typeof v !== 'function' || v === null) return Object.is(v, -0) ? '-0' : typeof v + String(v);
  if (v === Math.max || v === K) return v.name;
  const at = seen.indexOf(v);
  if (at >= 0) return '#' + at;
  seen.push(v);
  const proto = Object.getPrototypeOf(v);
  let out = (proto === null ? 'null' : proto.constructor.name) + (Object.isFrozen(v) ? '!' : '');
  if (v instanceof Date) out += v.getTime();
  if (v instanceof RegExp) out += v;
  if (v instanceof Map) out += [...v].map(([k, x]) => show(k) + '=>' + show(x)).join();
  if (v instanceof Set) out += [...v].map(show).join();
  for (const k of Reflect.ownKeys(v)) {
    if (k === 'stack') continue;
    const d = Object.getOwnPropertyDescriptor(v, k);
    out += ';' + String(k) + (d.writable ? 'w' : '') + (d.enumerable ? 'e' : '') + (d.configurable ? 'c' : '') + '=' + show(d.value);
  }
  return '<' + out + '>';
};
[a, b, c, d, e, f, typeof g === 'undefined' ? 0 : g, new K().twice()].map(show).join('\n')`

func TestRandomGraphsSurvive(t *testing.T) {
	t.Parallel()
	m := jsvm.NewInProcess()
	rapid.Check(t, func(t *rapid.T) {
		code := graphCode(t)
		open := func(vars []jsvm.Variable) jsvm.Session {
			s, err := m.Open(t.Context(), jsvm.Setup{Variables: vars})
			if err != nil {
				t.Fatalf("%s: %v", code, err)
			}
			return s
		}
		runIn := func(s jsvm.Session, source string) jsvm.Step {
			step, err := s.Run(t.Context(), jsvm.Cell{Source: source})
			if err != nil || step.State != jsvm.Done {
				t.Fatalf("%s: %+v %v", source, step.Err, err)
			}
			return step
		}
		live := open(nil)
		defer live.Close()
		runIn(live, code)
		changes, err := live.Changes(t.Context())
		if err != nil || len(changes.Notes) > 0 {
			t.Fatalf("%s: %v %q", code, err, changes.Notes)
		}
		restored := open(changes.Set)
		defer restored.Close()
		runIn(restored, "0")
		again, err := restored.Changes(t.Context())
		if err != nil || len(again.Set)+len(again.Deleted) > 0 {
			t.Fatalf("%s: a restored workspace differs: %v\n%s was\n%s", code, err, rows(again), rows(changes))
		}
		want, got := runIn(live, describe).Echo, runIn(restored, describe).Echo
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s(-live +restored):\n%s\n%s", code, diff, rows(changes))
		}
	})
}
