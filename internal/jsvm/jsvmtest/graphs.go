package jsvmtest

import (
	"fmt"
	"strings"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"statek/internal/jsvm"
)

// Graph is the property that Workspaces checks of random object graphs: what is stored and loaded is the same
// graph, with the same identities, attributes and prototypes, over several generations. In each generation the
// same code changes a session that has lived through all of them and one that was restored from rows. Their
// workspaces must stay equal, and only rows about which something changed may be written.
func Graph(t *rapid.T, m jsvm.Machine) {
	s := stage{t, m, jsvm.Limits{}}
	live := s.open(nil)
	defer live.Close()
	g := graphs{t}
	code := graphClasses + g.declarations()
	s.done(live, code)
	vars := s.merged(live, nil, code)
	for range rapid.IntRange(1, 3).Draw(t, "generations") {
		s.settled(vars, code)
		step := g.links()
		code += step
		restored := s.open(vars)
		s.done(live, step)
		s.done(restored, step)
		next := s.merged(restored, vars, code)
		if other := s.merged(live, vars, code); Rows(other) != Rows(next) {
			s.Fatalf("%s\nrows (-live +restored):\n%s", code, cmp.Diff(Rows(other), Rows(next)))
		}
		want, got := Outcome(s.run(live, graphProbe)), Outcome(s.run(restored, graphProbe))
		restored.Close()
		if diff := cmp.Diff(want, got); diff != "" {
			s.Fatalf("%s\ngraph (-live +restored):\n%s\n%s", code, diff, Rows(vars))
		}
		vars = next
	}
	s.settled(vars, code)
	last := s.open(vars)
	defer last.Close()
	if diff := cmp.Diff(Outcome(s.run(live, graphProbe)), Outcome(s.run(last, graphProbe))); diff != "" {
		s.Fatalf("%s\ngraph (-live +restored at last):\n%s\n%s", code, diff, Rows(vars))
	}
}

// done runs a cell that must not fail.
func (s stage) done(session jsvm.Session, source string) {
	s.Helper()
	if step := s.run(session, source); step.State != jsvm.Done {
		s.Fatalf("%s\n%+v", source, step.Err)
	}
}

// merged is the workspace after a session's changes, none of which is a row as it was.
func (s stage) merged(session jsvm.Session, vars []jsvm.Variable, about string) []jsvm.Variable {
	s.Helper()
	changes := s.changes(session)
	if len(changes.Notes) > 0 {
		s.Fatalf("%s\nnotes: %q", about, changes.Notes)
	}
	old := map[string]string{}
	for _, v := range vars {
		old[v.Name] = string(v.Value)
	}
	for _, v := range changes.Set {
		if before, ok := old[v.Name]; ok && before == string(v.Value) {
			s.Errorf("%s\nthe row of %s is written and has not changed", about, v.Name)
		}
	}
	return Merge(vars, changes)
}

// graphs draws code that makes and changes objects which refer to each other in all ways.
type graphs struct{ t *rapid.T }

// graphClasses are what instances and values of graphs are made from.
const graphClasses = `
class K { own = 1; twice() { return this.own * 2 } static made = 0 }
class L extends K { #nothing() {} more() { return super.twice() + 1 } get double() { return this.own } }
class M2 extends Map { n() { return this.size } } class A2 extends Array {} class E2 extends RangeError { constructor(m) { super(m); this.tag = m; delete this.stack } }
function Old(x) { this.x = x } Old.prototype.get = function () { return this.x };
const twoTimes = (x) => x * helper(x), arrowObject = (x) => ({x, y: (x)}); function helper(x) { return typeof twoTimes === 'function' ? 2 : x }
const buffer = new ArrayBuffer(16);
`

var (
	graphNames  = []string{"a", "b", "c", "d", "e", "f", "Z", "$y"}
	graphMakers = []string{
		"{}", "[]", "new Map()", "new Set()", "new K()", "new M2()", "new A2()", "new E2('m')", "new Error('m', {cause: [1]})", "new Old(5)",
		"Object.create(null)", "Object.create({inherited: 1})", "Object.assign(() => 1, {})", "Object.assign(function named() { return 2 }, {})", "new Uint8Array(buffer, 4, 8)",
		"new Float64Array(2)", "new Date(1e12)", "/a(b)?/gi", "new AggregateError([new Error('x')], 'agg')", "[1, , 3]", "({m() { return this }, async n() {}})",
	}
	graphValues = []string{
		"1", "-0", "NaN", "-Infinity", "undefined", "null", "true", "'text'", "'\\u0000\\ud800'", "''", "123456789012345678901234567890n", "new Date(NaN)", "new Date(7)", "/x/g", "/\\p{L}/u",
		"K", "M2", "Old", "twoTimes", "arrowObject", "helper", "[1,,2]", "new Uint8Array([1,2])", "new DataView(buffer, 2)", "buffer", "new Int16Array(buffer)", "{$ref: ['a']}", "{$row: 1}",
		"Math.max", "JSON", "Symbol.iterator", "Symbol.for('mine')", "'$tag'", "new K()", "new Error('inner')", "Object.freeze([1])", "Object.freeze({a: {}})", "new Map([[[1], {}]])", "[[[]]]",
		"{then: 1}", "(x) => (x, 1)", "Object.seal(new Set([1]))", "Array.from({length: 70}, (_, i) => [i])", "JSON.parse('{\"__proto__\": {\"a\": [1]}}')",
	}
	graphKeys = []string{"k", "$k", "0", "1", "7", "__x", "own", "a b", "é", "then", "toJSON", "constructor", "__proto__2", "\\u0000", "\\ud801", "4294967295", "cause"}
)

func (g graphs) any() string {
	switch rapid.IntRange(0, 4).Draw(g.t, "what") {
	case 0:
		return rapid.SampledFrom(graphValues).Draw(g.t, "value")
	case 1:
		return rapid.SampledFrom(graphMakers).Draw(g.t, "maker")
	case 2:
		return fmt.Sprintf("(%s)[Object.keys(%s)[0]]", g.name(), g.name()) // something inside, shared
	}
	return g.name()
}

func (g graphs) name() string { return rapid.SampledFrom(graphNames).Draw(g.t, "name") }

func (g graphs) key() string { return "'" + rapid.SampledFrom(graphKeys).Draw(g.t, "key") + "'" }

func (g graphs) declarations() string {
	var b strings.Builder
	for _, name := range graphNames {
		fmt.Fprintf(&b, "let %s = %s;\n", name, rapid.SampledFrom(graphMakers).Draw(g.t, "maker"))
	}
	return b.String() + g.links()
}

// links draws changes. One that is not allowed, such as to a frozen object, changes nothing.
func (g graphs) links() string {
	var b strings.Builder
	for range rapid.IntRange(0, 14).Draw(g.t, "links") {
		b.WriteString("try { " + g.link() + " } catch (e) { if (!(e instanceof TypeError)) throw e }\n")
	}
	if rapid.IntRange(0, 4).Draw(g.t, "declares") == 0 {
		fmt.Fprintf(&b, "var extra; try { extra = %s } catch { extra = 'none' }\n", g.any())
	}
	return b.String()
}

func (g graphs) link() string {
	o := g.name()
	switch rapid.IntRange(0, 11).Draw(g.t, "link") {
	case 0, 1, 2, 3:
		return fmt.Sprintf("const v = %s; if (%[2]s instanceof Map) %[2]s.set(%[3]s, v); else if (%[2]s instanceof Set) %[2]s.add(v); else %[2]s[%[4]s] = v", g.any(), o, g.any(), g.key())
	case 4:
		return fmt.Sprintf("if (Array.isArray(%[1]s)) %[1]s.push(%[2]s); else %[1]s[Symbol.for('s')] = %[2]s", o, g.any())
	case 5:
		return fmt.Sprintf("%s = %s", o, g.any())
	case 6:
		return fmt.Sprintf("delete %s[%s]", o, g.key())
	case 7:
		return fmt.Sprintf("Object.%s(%s)", rapid.SampledFrom([]string{"freeze", "seal", "preventExtensions"}).Draw(g.t, "closes"), o)
	case 8:
		return fmt.Sprintf("if (%[1]s !== null && typeof %[1]s === 'object') Object.defineProperty(%[1]s, %[2]s, {value: %[3]s, enumerable: %[4]t, configurable: true, writable: %[5]t})", o, g.key(), g.any(), rapid.Bool().Draw(g.t, "e"), rapid.Bool().Draw(g.t, "w"))
	case 9:
		return fmt.Sprintf("if (%[1]s instanceof Map || %[1]s instanceof Set) %[1]s.delete(%[2]s); else if (Array.isArray(%[1]s)) %[1]s.length = 1; else if (ArrayBuffer.isView(%[1]s)) %[1]s[1]++", o, g.any())
	case 10:
		return fmt.Sprintf("new Uint8Array(buffer)[%d]++; K.made++; K.prototype[%s] = %s", rapid.IntRange(0, 15).Draw(g.t, "byte"), "'patch'", rapid.SampledFrom([]string{"1", "() => 5", "[K]"}).Draw(g.t, "patch"))
	}
	return fmt.Sprintf("if (%[1]s instanceof RegExp) %[1]s.lastIndex = 2; else if (%[1]s instanceof Date) %[1]s.setTime(5); else if (%[1]s instanceof Error) %[1]s.message = 'new'; else if (typeof %[1]s === 'object') Object.setPrototypeOf(%[1]s, %[2]s)", o, rapid.SampledFrom([]string{"null", "{p: 1}", "K.prototype", "Object.prototype"}).Draw(g.t, "proto"))
}

// graphProbe prints a graph with identities, so that equal texts mean equal graphs.
const graphProbe = `
(() => {
const seen = [];
const show = (v) => {
  if (typeof v === 'symbol') return String(v);
  if (typeof v === 'string') return JSON.stringify(v) + [...Array(v.length).keys()].map((i) => v.charCodeAt(i)).join('.').slice(0, 40);
  if (typeof v !== 'object' && typeof v !== 'function' || v === null) return Object.is(v, -0) ? '-0' : typeof v + String(v);
  if (v === Math.max || v === JSON || v === Object.prototype || v === Function.prototype || v === Array.prototype) return 'native';
  const at = seen.indexOf(v);
  if (at >= 0) return '#' + at;
  seen.push(v);
  const proto = Object.getPrototypeOf(v), what = (C) => { try { return C() } catch { return '' } };
  let out = Object.prototype.toString.call(v) + (Object.isFrozen(v) ? 'F' : '') + (Object.isSealed(v) ? 'S' : '') + (Object.isExtensible(v) ? 'X' : '');
  out += what(() => 'D' + Date.prototype.getTime.call(v)) + (v instanceof RegExp ? 'R' + v.source + v.flags : '');
  out += what(() => 'M' + [...Map.prototype.entries.call(v)].map(([k, x]) => show(k) + '=>' + show(x)).join());
  out += what(() => 'T' + [...Set.prototype.values.call(v)].map(show).join());
  if (v instanceof ArrayBuffer) out += 'B' + [...new Uint8Array(v)].join();
  if (ArrayBuffer.isView(v)) out += 'V' + show(v.buffer) + v.byteOffset + '+' + v.byteLength;
  if (typeof v === 'function') out += String(v) + v.name + v.length;
  const keys = Reflect.ownKeys(v);
  if (typeof v === 'function') keys.sort((x, y) => (y === 'prototype') - (x === 'prototype')); // goja makes it when it is touched
  for (const k of keys) {
    if (k === 'stack' || ArrayBuffer.isView(v) && /^\d+$/.test(String(k)) || typeof v === 'function' && ['length', 'name'].includes(k)) continue;
    const d = Object.getOwnPropertyDescriptor(v, k);
    out += ';' + (typeof k === 'string' ? JSON.stringify(k) : String(k)) + (d.writable ? 'w' : '') + (d.enumerable ? 'e' : '') + (d.configurable ? 'c' : '') + '=' + (d.get ? 'get' : show(d.value));
  }
  return '<' + out + '^' + show(proto) + '>';
};
return [a, b, c, d, e, f, Z, $y, buffer, twoTimes, K, L, M2, A2, E2, Old, globalThis.extra].map(show).join('\n') + arrowObject(3).y + twoTimes(2) + new L().more();
})()`
