package jsvm_test

import (
	"strings"
	"testing"

	"statek/internal/jsvm"
)

// TestWorkspaceRoundTrips defines variables, reopens the session twice, and asks a question about them each
// time. The answer must be the one that the live session gives.
func TestWorkspaceRoundTrips(t *testing.T) {
	t.Parallel()
	tests := []struct{ define, probe string }{
		{"const x = 1", "try { x = 2 } catch (e) { e.name + x }"},
		{"let x = 1", "x = 2; x"},
		{"let a = [undefined, NaN, Infinity, -Infinity, -0, 10n, null, true, 'ü\\u0000\\ud800']", "a.map((v) => typeof v + Object.is(v, -0) + String(v).length).join() + a[8].charCodeAt(2)"},
		{"let d = new Date(5), bad = new Date(NaN), r = /a\\p{L}/giu; r.lastIndex = 3", "d.getTime() + String(bad) + r + r.lastIndex + r.test('xxxab')"},
		{"let m = new Map([[{k: 1}, new Set([1, 'a'])], ['self', null]]); m.set('self', m)", "[...m.keys()][0].k + m.get('self').size + [...[...m.values()][0]].join()"},
		{"let o = {a: 1}; o.self = o; let p = {o}; let q = [p, p, o]", "(o.self === o) + ',' + (p.o === o) + (q[0] === p) + (q[0] === q[1]) + (q[2] === o)"},
		{"let in1 = {v: 1}; let a = {in1: null}, b = {}; { const shared = {n: 5}; a.s = shared; b.s = shared }", "a.s.n = 6; b.s.n"},
		{"let b8 = new Uint8Array([1, 2, 3]); let view = new DataView(b8.buffer, 1), f = new Float64Array([1.5])", "b8[1] = 9; view.getUint8(0) + f[0] + b8.length"},
		{"class P { constructor(x) { this.x = x } get y() { return this.x + 1 } static make() { return new P(7) } static n = 3 } P.n++; class Q extends P { y2() { return super.y + 1 } } const q = new Q(1)", "q.y2() + P.n + P.make().y + (q instanceof P) + q.constructor.name"},
		{"class S { static one = new S(); constructor() { this.t = 1 } } const s = S.one", "(s === S.one) + s.t"},
		{"class L extends Array { last() { return this.at(-1) } } const l = L.from([1, 2, 3]); class M extends Map { n() { return this.size } } const m = new M([[1, 2]])", "l.last() + l.length + m.n() + m.get(1)"},
		{"class E extends Error { constructor(m) { super(m); this.name = 'E'; this.extra = [1] } } let e = new E('x'), t = new TypeError('y', {cause: e})", "e.message + e.name + e.extra + (e instanceof E) + t.name + (t instanceof TypeError) + t.cause.message + (t.cause === e)"},
		{"function fact(n) { return n < 2 ? 1 : n * fact(n - 1) } const go = async (x) => (await search(x)) + 1; function* gen() { yield 1; yield 2 } const obj = {m(a) { return a * this.k }, k: 3}", "fact(5) + (await go(1)) + [...gen()].join() + obj.m(2) + fact.name + go.name"},
		{"function F(x) { this.x = x } F.prototype.get = function () { return this.x }; F.extra = {z: 1}; const f = new F(4)", "f.get() + F.extra.z + (f instanceof F) + f.constructor.name"},
		{"class A { m() { return 1 } } A.prototype.m = function () { return 2 }; A.prototype.k = 5; const a = new A()", "a.m() + a.k"},
		{"const frozen = Object.freeze({a: [1]}), sealed = Object.seal({b: 1}), n = Object.create(null); n.z = 1", "Object.isFrozen(frozen) + ',' + Object.isSealed(sealed) + Object.isFrozen(sealed) + Object.getPrototypeOf(n) + n.z"},
		{"const arr = [1, , 3]; arr.extra = 'e'; const fz = Object.freeze([1, 2])", "(1 in arr) + arr.extra + arr.length + Object.isFrozen(fz)"},
		{"const base = {hi() { return 'hi' + this.n }}; const o = Object.create(base); o.n = 1", "o.hi() + Object.keys(o)"},
		{"const t1 = {$date: 1}, t2 = {$ref: ['t1']}, t3 = {$row: 1, value: 2}, t4 = {x: {$undefined: 1}, y: undefined}", "JSON.stringify([t1, t2, t3, t4]) + ('y' in t4)"},
		{"const proto = JSON.parse('{\"__proto__\": {\"a\": 1}, \"b\": [{\"__proto__\": 2}]}')", "JSON.stringify(proto) + Object.keys(proto)"},
		{"let deep = null; for (let i = 0; i < 3000; i++) deep = {deep, i}", "let k = 0; for (let d = deep; d; d = d.deep) k += d.i; k"},
		{"const sym = {[Symbol.for('a')]: 1, [Symbol.iterator]: null, s: Symbol.iterator}", "sym[Symbol.for('a')] + String(sym.s === Symbol.iterator) + (Symbol.iterator in sym)"},
		{"const self = function me(n) { return n ? me(n - 1) : me.name }; const named = class Inner { static who() { return Inner.name } }", "self(2) + named.who() + self.name"},
		{"let __proto__ = 5; let constructor = 6", "globalThis.constructor + constructor"},
		{"const fns = [Math.max, Array.prototype.map, Promise, console.log, search]", "fns[0](1, 2) + fns[1].name + (fns[2] === Promise) + (fns[4] === search)"},
		{"const URL = 'mine'; let Map = 3", "URL + Map"},
		{"async function* ag() { yield 1; yield 2 } const x: number = 1", "let s = 0; for await (const v of ag()) s += v; s + x"},
		{"class T { handlers = {a: () => 1}; static table = [1, 2]; static { T.table.push(3) } } const t = new T()", "T.table.join()"},
		{"const tag = (s, ...v) => s.raw.join('|') + v; const opt = (a) => a?.b?.[0] ?? 'none'", "tag`x${1}y` + opt(null) + opt({b: [5]})"},
	}
	for _, test := range tests {
		t.Run(test.define, func(t *testing.T) {
			t.Parallel()
			live := open(t, jsvm.Setup{})
			if step := run(t, live, test.define); step.State != jsvm.Done {
				t.Fatalf("define: %v", step.Err)
			}
			s, vars, changes := reopen(t, live, nil, jsvm.Limits{})
			if len(changes.Notes) > 0 && !strings.Contains(test.define, "handlers") {
				t.Errorf("got notes %q", changes.Notes)
			}
			run(t, s, "0")
			s, _, again := reopen(t, s, vars, jsvm.Limits{})
			if len(again.Set)+len(again.Deleted) > 0 {
				t.Errorf("a restored workspace differs:\n%s was\n%s", rows(again), rows(changes))
			}
			fresh := open(t, jsvm.Setup{})
			run(t, fresh, test.define)
			want, got := outcome(run(t, fresh, test.probe)), outcome(run(t, s, test.probe))
			if want != got || strings.HasPrefix(want, "!") {
				t.Errorf("live %s\nrestored %s\n%s", want, got, rows(changes))
			}
		})
	}
}

func TestWhatCannotBeKeptIsRefusedPrecisely(t *testing.T) {
	t.Parallel()
	tests := []struct{ define, name, want string }{
		{"const add = ((n) => (x) => x + n)(1)", "add", "variable 'add' was not kept: it is a function that closes over 'n'"},
		{"const o = {a: [{b: search(1)}]}", "o", "variable 'o' was not kept: its part a[0].b is a promise; await it"},
		{"const g = (function* () { yield 1 })()", "g", "it is a generator"},
		{"const it = [1].values()", "it", "it is a running iterator"},
		{"const p = new Proxy({}, {get() { throw new Error('trap') }})", "p", "it is a Proxy"},
		{"const w = new WeakMap()", "w", "WeakMap"},
		{"const b = Math.max.bind(null, 1)", "b", "bound or built-in"},
		{"class A { #p = 1; get p() { return this.#p } } const a = new A()", "a", "class 'A', which has private members"},
		{"const o = {get x() { throw new Error('ran') }}", "o", "accessor property 'x'"},
		{"const u = new URL('http://a.b')", "u", "it is a URL object"},
		{"const s = Symbol('mine')", "s", "it is a symbol of its own"},
		{"const big = 'x'.repeat(2000)", "big", "it has 2003 bytes and the limit is 1000 (variable_bytes)"},
		{"const C = (() => { const k = 1; return class { m() { return k } } })()", "C", "closes over 'k'"},
		{"const me = (() => { const self = () => self; return self })()", "me", "closes over 'self'"},
	}
	for _, test := range tests {
		t.Run(test.define, func(t *testing.T) {
			t.Parallel()
			limits := jsvm.Limits{VariableBytes: 1000}
			s := open(t, jsvm.Setup{})
			s.Close()
			s = open(t, jsvm.Setup{Limits: limits})
			if step := run(t, s, test.define); step.State != jsvm.Done {
				t.Fatalf("define: %v", step.Err)
			}
			s, vars, changes := reopen(t, s, nil, limits)
			if !strings.Contains(strings.Join(changes.Notes, "\n"), test.want) {
				t.Fatalf("got notes %q, want %s", changes.Notes, test.want)
			}
			if got := outcome(run(t, s, test.name)); !strings.Contains(got, "!ReferenceError: ") || !strings.Contains(got, test.want) {
				t.Errorf("read: got %s", got)
			}
			s, _, changes = reopen(t, s, vars, limits)
			if len(changes.Set) > 0 {
				t.Errorf("a refused variable is reported again: %s", rows(changes))
			}
			if got := outcome(run(t, s, "let "+test.name+" = 5; "+test.name)); got != "5" {
				t.Errorf("declare anew: got %s", got)
			}
			if changes, err := s.Changes(t.Context()); err != nil || len(changes.Set) != 1 || string(changes.Set[0].Value) != "5" {
				t.Errorf("got %+v, %v", changes, err)
			}
		})
	}
}

func TestOnlyChangedVariablesAreWritten(t *testing.T) {
	t.Parallel()
	s := open(t, jsvm.Setup{Variables: []jsvm.Variable{
		{Name: "given", Value: []byte(`{ "b": 1,  "a": [1.0, {"$ref": "#/x", "$id": "s"}] }`)},
		{Name: "gone", Value: []byte(`1`)},
	}})
	run(t, s, "let list = [1]; const k = 'v'; delete globalThis.gone; print(given.a[1].$ref)")
	changes, err := s.Changes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := rows(changes) + strings.Join(changes.Deleted, ",")
	if want := " k = \"v\"\n"; !strings.Contains(got, "list = [1]\n") || !strings.Contains(got, "k ="+want) && !strings.Contains(got, `k =  "v"`) || !strings.HasSuffix(got, "gone") {
		t.Errorf("got %s", got)
	}
	run(t, s, "list.push(2)")
	if changes, err = s.Changes(t.Context()); err != nil || rows(changes) != "list = [1,2]\n" {
		t.Errorf("got %s, %v", rows(changes), err)
	}
}
