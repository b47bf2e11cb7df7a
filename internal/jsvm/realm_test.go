package jsvm

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dop251/goja"
	"github.com/google/go-cmp/cmp"
)

// reached are ways to built-ins: by name, and through values that literals, promises and errors of the engine give.
func reached(t *testing.T) []string {
	t.Helper()
	s := fresh(t, NewInProcess(), nil)
	roots := []string{
		"[]", "''", "(1)", "1n", "true", "/x/", "(() => 1)", "(function () {})", "(async () => 1)", "(function* () {})", "(function* () {})()", "(class {})",
		"(class extends Array {})", "({async m() {}}).m", "({*m() {}}).m", "(class { static async m() {} }).m", "[].values()", "[].entries()", "[].keys()", "''.matchAll('')",
		"''.matchAll(/x/g)", "new Map().keys()", "new Set().values()", "(async () => 1)()", "fetchIt(1)", "fetchIt", "first", "print", "console", "Symbol.iterator", "[][Symbol.iterator]()",
		"''[Symbol.iterator]()", "Object.getOwnPropertySymbols(Array.prototype)[0]", "Reflect.ownKeys(Array.prototype).at(-1)", "new Proxy({}, {get: (o, k) => k})[Symbol.iterator]",
		"(() => { let seen; `${new Proxy({}, {get: (o, k) => { seen ??= k; return () => '' }})}`; return seen })()", "new Uint8Array(1).values()", "'a'.match('a')", "new Date(0)",
		"(() => { try { null.x } catch (e) { return e } })()", "(() => { try { missing } catch (e) { return e } })()", "(() => { try { new Array(-1) } catch (e) { return e } })()",
		"(() => { try { new RegExp('(') } catch (e) { return e } })()", "Object(Symbol.iterator)", "Object(1n)", "Object(true)", "structuredClone(/x/)", "new URLSearchParams('a=1').keys()",
		"(function () { return arguments })()", "(function () { return arguments })()[Symbol.iterator]()",
	}
	var out []string
	for _, root := range roots {
		for _, way := range []string{"", ".constructor", ".__proto__", ".constructor.prototype", ".__proto__.constructor", ".__proto__.__proto__", ".constructor.constructor"} {
			out = append(out, root+strings.ReplaceAll(way, ".", "?."))
		}
	}
	for _, name := range s.vm.GlobalObject().GetOwnPropertyNames() {
		if !strings.HasPrefix(name, "%") {
			out = append(out, "globalThis."+name, name+"?.prototype", name+"?.prototype?.__proto__")
		}
	}
	return out
}

// fresh opens a session that runs in the test.
func fresh(t *testing.T, m *InProcess, vars []Variable) *session {
	t.Helper()
	s, err := m.open(Setup{Grants: []Grant{{Name: "fetchIt"}, {Name: "objects.get"}}, Variables: vars})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func echo(t *testing.T, s *session, source string) string {
	t.Helper()
	step, err := s.Run(t.Context(), Cell{Number: 1, Source: source})
	if err != nil || step.State == Aborted {
		t.Fatalf("%s: %+v %v", source, step, err)
	}
	if step.Err != nil {
		return "!" + step.Err.Error()
	}
	return step.Echo
}

// TestBuiltInsAreMadeAsTheyAre: whatever a script touches first, it finds what it would find had it touched
// everything before: mended, bounded and closed.
func TestBuiltInsAreMadeAsTheyAre(t *testing.T) {
	t.Parallel()
	m := NewInProcess()
	for _, way := range reached(t) {
		source := "globalThis.it = (" + way + ") ?? null; 0"
		alone, after := fresh(t, m, nil), fresh(t, m, nil)
		after.need(familyNames...)
		for _, part := range []string{"waits", "globals", "bytes", "addresses", "textMethods", "objectMethods", "hidden"} {
			after.part(part)
		}
		first, second := echo(t, alone, source), echo(t, after, source)
		if first != second {
			t.Fatalf("%s: got %s, and %s when all has been made", way, first, second)
		}
		if first == "0" || first == "" { // done, or pending
			if diff := cmp.Diff(look(after), look(alone)); diff != "" {
				t.Errorf("%s (-when all has been made +alone):\n%s", way, diff)
			}
		}
		alone.Close()
		after.Close()
	}
}

// look describes an object: whether it is closed, which has to be seen first, and its properties.
func look(s *session) []string {
	o, ok := s.vm.GlobalObject().Get("it").(*goja.Object)
	if !ok {
		return nil
	}
	out := []string{fmt.Sprintf("%s extensible %t code %d", s.js.kind(o), s.layout.extensible(o), s.layout.code(o))}
	if o == s.vm.GlobalObject() {
		return out
	}
	for _, key := range s.js.keys(o) {
		p, _ := s.js.own(o, key)
		line := fmt.Sprintf("%s %s accessor %t", keyID(key), attrsOf(p), p.accessor)
		if f, ok := p.value.(*goja.Object); ok {
			line += fmt.Sprintf(" %s code %d extensible %t", s.js.kind(f), s.layout.code(f), s.layout.extensible(f))
		} else {
			line += fmt.Sprint(" ", p.value)
		}
		out = append(out, line)
	}
	return out
}

// TestNoWayToMakeCodeFromText: whatever is made when, a function's constructor never makes code.
func TestNoWayToMakeCodeFromText(t *testing.T) {
	t.Parallel()
	m := NewInProcess()
	first := fresh(t, m, nil)
	echo(t, first, "async function later() {}; const soon = async () => 1; function* some() {}; class A { async m() {} *n() {} }; 0")
	changes, err := first.Changes(t.Context())
	if err != nil || len(changes.Set) != 4 {
		t.Fatalf("%+v %v", changes, err)
	}
	functions := []string{
		"later", "soon", "some", "new A().m", "new A().n", "Object.getPrototypeOf(later)", "some.prototype.__proto__.constructor",
		"Object.getOwnPropertyDescriptor(Map.prototype, 'size').get", "Object.getOwnPropertyDescriptor(URL.prototype, 'href').set", "objects.get",
		"Array.fromAsync", "Iterator.from", "Iterator.prototype.map", "new URLSearchParams('').entries", "Promise.try", "Promise.withResolvers().resolve",
		"eval", "Function", "(class extends Function {})", "fetchIt.bind(1)", "structuredClone", "console.log", "(1).toLocaleString", "Map.groupBy", "Symbol", "[].map",
	}
	for _, way := range reached(t) {
		if strings.HasPrefix(way, "(") || strings.HasPrefix(way, "globalThis.") {
			functions = append(functions, way)
		}
	}
	for _, f := range functions {
		s := fresh(t, m, changes.Set)
		got := echo(t, s, "let f = "+f+"; let made = 'none'; if (typeof f === 'function') { try { f.constructor('made = 1; return 1')(); made = 'called' } catch (e) { made = e.name } } made")
		if got != "none" && got != "EvalError" && !(strings.Contains(f, "Error") && got == "TypeError") {
			t.Errorf("%s: got %s", f, got)
		}
		s.Close()
	}
}

// TestThePreludeAsksNoScript: what is made late is not made of what a script has put in the place of built-ins.
func TestThePreludeAsksNoScript(t *testing.T) {
	t.Parallel()
	const replace = `
const asked = () => { throw new Error('a script was asked') };
const own = [[Object, 'defineProperty'], [Object, 'getPrototypeOf'], [Object, 'freeze'], [Object, 'keys'], [Function.prototype, 'bind'], [Function.prototype, 'call'], [Function.prototype, 'apply'],
  [String.prototype, 'slice'], [String.prototype, 'indexOf'], [String.prototype, 'split'], [String.prototype, 'padStart'], [Array.prototype, 'push'], [Array.prototype, 'join'], [Math, 'floor'], [Math, 'abs'], [JSON, 'stringify'], [JSON, 'parse']];
for (const [o, name] of own) o[name] = asked;
for (const name of ['Map', 'Set', 'Date', 'RegExp', 'Reflect', 'Iterator', 'Array', 'String', 'Object', 'Function', 'Uint8Array', 'Error', 'Promise', 'Math']) globalThis[name] = asked;
`
	tests := map[string]string{
		"(1234.5).toLocaleString() + (-1n).toLocaleString()":                      "1,234.5-1",
		"/\\p{L}/u.test('ä') && ''.concat(/a\\/b/.source)":                        "a\\/b",
		"structuredClone({a: [1, {b: 2}]}).a[1].b":                                "2",
		"btoa('abc') + atob('YWJj')":                                              "YWJjabc",
		"new TextDecoder().decode(new TextEncoder().encode('ä'))":                 "ä",
		"new URL('HTTP://A.b:80/x/../y?z#q').href":                                "http://a.b/y?z#q",
		"let n = 0; for (const x of [1, 2].values().map((x) => 2 * x)) n += x; n": "6",
		"'ab'.localeCompare('aB', 'en', {sensitivity: 'base'})":                   "0",
		"const r = await fetchIt({a: 1}); r.a":                                    "1",
		"let seen; queueMicrotask(() => { seen = 1 }); await null; seen":          "1",
	}
	m := NewInProcess()
	for source, want := range tests {
		s := fresh(t, m, nil)
		step, err := s.Run(t.Context(), Cell{Number: 1, Source: replace + source})
		for err == nil && step.State == Pending && len(step.Calls) == 1 {
			step, err = s.Deliver(t.Context(), Delivery{Call: step.Calls[0].ID, Value: []byte(`{"a":1}`)})
		}
		if err != nil || step.Echo != want {
			t.Errorf("%s: got %q, want %q; %+v %v", source, step.Echo, want, step.Err, err)
		}
		if _, err := s.Changes(t.Context()); err != nil {
			t.Errorf("%s: %v", source, err)
		}
	}
}

// TestCommonBuiltInsAreClosed: what a cell adds to them throws, instead of being lost with the VM.
func TestCommonBuiltInsAreClosed(t *testing.T) {
	t.Parallel()
	closed := []string{
		"Math", "JSON", "Reflect", "Iterator", "Iterator.prototype", "(async () => 1).__proto__", "(function* () {}).__proto__", "[].values().__proto__.__proto__",
		"URL", "URL.prototype", "URLSearchParams", "TextEncoder.prototype", "TextDecoder",
	}
	for _, name := range []string{
		"Object", "Function", "Array", "String", "Number", "Boolean", "Symbol", "BigInt", "RegExp", "Date", "Promise", "Map", "Set",
		"Error", "RangeError", "ReferenceError", "SyntaxError", "TypeError",
	} {
		closed = append(closed, name, name+".prototype")
	}
	for _, value := range []string{"[]", "''", "(1)", "1n", "true", "/x/", "(() => 1)", "(async () => 1)()", "(() => { try { null.x } catch (e) { return e } })()"} {
		closed = append(closed, value+".__proto__", value+".constructor")
	}
	m := NewInProcess()
	for _, o := range closed {
		s := fresh(t, m, nil)
		if got := echo(t, s, "let got = 'added'; try { ("+o+").extra = 1 } catch (e) { got = e.name + ' ' + e.message }; got"); !strings.HasPrefix(got, "TypeError Cannot add property extra, object is not extensible") {
			t.Errorf("%s: got %s", o, got)
		}
		s.Close()
	}
}

// TestBuiltInsAreMadeWhereNoStackIsLeft: whichever call is one too many, it is the cell that is told, and the same
// depth is enough or not however often it is tried.
func TestBuiltInsAreMadeWhereNoStackIsLeft(t *testing.T) {
	t.Parallel()
	m := NewInProcess()
	for _, touch := range []string{"new Map()", "new URL('http://a.b')", "'a'.localeCompare('b')", "Symbol.iterator", "(1).toLocaleString()", "RegExp('a')", "structuredClone(1)", "Iterator", "Promise.race([])"} {
		for depth := 985; depth <= 1000; depth++ {
			source := fmt.Sprintf("let ok = 0; const f = (n) => { if (n > 0) return f(n - 1); %s; ok = 1 }; f(%d); ok", touch, depth)
			var seen []string
			for range 2 {
				s := fresh(t, m, nil)
				step, err := s.Run(t.Context(), Cell{Number: 1, Source: source})
				if err != nil || step.State != Done && (step.State != Aborted || !strings.Contains(step.Err.Message, "call_stack")) {
					t.Fatalf("%s at %d: %+v %+v %v", touch, depth, step, step.Err, err)
				}
				seen = append(seen, string(step.State))
				s.Close()
			}
			if seen[0] != seen[1] {
				t.Errorf("%s at %d: %v", touch, depth, seen)
			}
		}
	}
}
