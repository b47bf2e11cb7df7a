package jsvm_test

import (
	"strings"
	"testing"

	"statek/internal/jsvm"
)

// TestOneCallCannotAskForTooMuch runs one-liners that end or block a process whose built-ins have no bounds.
func TestOneCallCannotAskForTooMuch(t *testing.T) {
	t.Parallel()
	tests := []string{
		"'x'.repeat(2**28).length",
		"'x'.repeat(2**40)",
		"'a'.padEnd(2**31,'b').length",
		"'a'.padStart(2**31)",
		"new Array(2**32-1).fill(0)",
		"Array.from({length:2**32-1})",
		"Array.apply(null,{length:2**31})",
		"Reflect.apply(Math.max, null, {length: 2**31})",
		"Reflect.construct(Array, {length: 2**31})",
		"Array(2**25).join('abcdefgh').length",
		"Array(2**22).join('x'.repeat(100))",
		"new Array(2**32-1).sort()",
		"Array(2**32-1).forEach(() => {})",
		"[].unshift.call({length: 2**53-1}, 1)",
		"[].reverse.call({length: 2**53-1})",
		"new ArrayBuffer(2**33).byteLength",
		"new ArrayBuffer(2**36).byteLength",
		"new Float64Array(2**31).fill(1)",
		"new Uint8Array({length: 2**33})",
		"JSON.parse('['.repeat(1e5)+']'.repeat(1e5))",
		"JSON.parse('['.repeat(1e7)+']'.repeat(1e7))",
		"JSON.parse('{\"a\":'.repeat(5e6)+'1'+'}'.repeat(5e6))",
		"let o={}; for(let i=0;i<1e5;i++)o={o}; JSON.stringify(o).length",
		"let o=[1]; for(let i=0;i<40;i++)o=[o,o]; JSON.stringify(o)",
		"let o=[1]; for(let i=0;i<40;i++)o=[o,o]; o.join()",
		"let a=[]; for(let i=0;i<1e5;i++)a=[a]; await fetchIt(a)",
		"const o = {toJSON() { return {o} }}; JSON.stringify(o)",
		"class A { toJSON() { return [new A()] } } JSON.stringify({a: new A()})",
		"JSON.stringify({}, (k, v) => ({v}))",
		"const make = () => ({get x() { return make() }}); JSON.stringify(make())",
		"const make = () => new Proxy({x: 1}, {get: (t, k) => k === 'x' ? make() : undefined}); JSON.stringify([make()])",
		"const o = {toJSON() { return {o} }}; await fetchIt(o)",
		"JSON.parse({toString: () => '['.repeat(1e6) + ']'.repeat(1e6)})",
		"'x'.match('(?:a{1000}){1000}')",
		"'x'.search({toString: () => '(?:'.repeat(300) + ')'.repeat(300)})",
		"/x/.compile('(?:a{1000}){1000}')",
		"new RegExp('('.repeat(1e5)+')'.repeat(1e5)).test('')",
		"Array.prototype.indexOf.call({length:2**53-1},1)",
		"Array.prototype.includes.call({length:2**53-1},1)",
		"Array.prototype.lastIndexOf.call({length:2**53-1},1)",
		"2n**(2n**40n)",
		"1n<<2n**36n",
		"let b = 3n; b **= 10n ** 9n",
		"let b = 3n, k = 10n ** 9n; b <<= k",
		"(2n**16777216n).toString().length",
		"BigInt('9'.repeat(1e7))>0n",
		"Array(2**22).concat(Array(2**22))",
		"let a=[]; for(let i=0;i<1e5;i++)a=[a]; a.flat(Infinity).length",
		"const a=[];a.push(a);a.flat(Infinity)",
		"let a=[]; for(let i=0;i<1e5;i++)a=[a]; String(a).length",
		"String.raw({raw:{length:2**31}}, 1)",
		"const p=new Proxy({},{}); Object.setPrototypeOf(p,p); p.x",
		"const t={}; const p=new Proxy(t,{}); t.__proto__=p; t.x",
		"const t={}; const p=new Proxy(t,{}); Reflect.setPrototypeOf(t,Object.create(p)); t.x",
	}
	for _, source := range tests {
		t.Run(source, func(t *testing.T) {
			s := open(t, jsvm.Setup{})
			step := run(t, s, "let caught; try {"+source+"} catch (e) { caught = e } caught instanceof Error")
			if step.State != jsvm.Done || step.Echo != "true" {
				t.Fatalf("got %+v", step)
			}
			step = run(t, open(t, jsvm.Setup{}), source)
			if step.State != jsvm.Failed || !strings.Contains(step.Err.Message, "limit") && !strings.Contains(step.Err.Message, "deep") && !strings.Contains(step.Err.Message, "a Proxy cannot be") {
				t.Errorf("got %+v", step.Err)
			}
		})
	}
}

func TestBoundsLeaveUsualCallsAlone(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"'ab'.repeat(3) + 'x'.padEnd(3, '-') + [1, [2, [3]]].flat(Infinity).join()":                                             "abababx--1,2,3",
		"2 ** 10 + 2 ** 0.5 * 0 + (1 << 5) + Number(2n ** 70n >> 66n)":                                                          "1072",
		"let b = 2n; b **= 3n; b <<= 2n; b":                                                                                     "32n",
		"let n = 3; const k = 2; n **= k; n <<= k; n":                                                                           "36",
		"new Float64Array(4).length + new Uint8Array([1, 2]).length + new ArrayBuffer(8).byteLength":                            "14",
		"const a = [1]; a.push(a); a.join() + '|' + JSON.stringify({x: [1, {y: 2}]})":                                           "1,|{\"x\":[1,{\"y\":2}]}",
		"let calls = 0; 'x'.repeat({valueOf() { calls++; return 2 }}); [1].flat({valueOf() { calls++; return 2 }}); calls":      "2",
		"(() => { class P {} class Q {} return Object.setPrototypeOf(Q, P) === Q && Object.setPrototypeOf({}, null) !== 1 })()": "true",
		"[].fill.name + [].fill.length + [].fill":                                                                               "fill1function fill() { [native code] }",
		"JSON.stringify({d: new Date(0), a: {toJSON: () => [1]}, get g() { return {h: 1} }}, null, 1)":                          "{\n \"d\": \"1970-01-01T00:00:00.000Z\",\n \"a\": [\n  1\n ],\n \"g\": {\n  \"h\": 1\n }\n}",
		"JSON.stringify({a: {b: 2}, toJSON() { return {a: this.a, c: 3} }}, ['a', 'c'])":                                        "{\"a\":{},\"c\":3}",
		"JSON.stringify([1, {a: 2}], function (k, v) { return k === 'a' ? this.a + 1 : v })":                                    "[1,{\"a\":3}]",
		"BigInt('12') + BigInt(3)": "15n",
		"Math.max.apply(null, [1, 5, 2]) + Array.from({length: 3}, (_, i) => i).length": "8",
	}
	for source, want := range tests {
		s := open(t, jsvm.Setup{})
		if got := strings.Trim(outcome(run(t, s, source)), "'"); got != want {
			t.Errorf("%s: got %s", source, got)
		}
		if changes, err := s.Changes(t.Context()); err != nil || len(changes.Notes) > 0 {
			t.Errorf("%s: got notes %q, %v", source, changes.Notes, err)
		}
	}
}
