package jsvm_test

import (
	"strings"
	"testing"

	"statek/internal/jsvm"
)

// TestWhatIsDoneToBuiltInsIsNeverLostSilently: it throws, or a note says that it is not kept.
func TestWhatIsDoneToBuiltInsIsNeverLostSilently(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"Array.prototype.last = 1":                                                 "!not extensible",
		"Math.tau = 6":                                                             "!not extensible",
		"Object.prototype.x = 1":                                                   "!not extensible",
		"(async () => {}).constructor.prototype.x = 1":                             "!not extensible",
		"Array.prototype.push = function () { return 0 }":                          "replacing the built-in 'Array.prototype.push'",
		"String.prototype.includes = Array.prototype.includes":                     "replacing the built-in 'String.prototype.includes'",
		"Map.prototype.get = Map.prototype.has":                                    "replacing the built-in 'Map.prototype.get'",
		"[].constructor.prototype['po' + 'p'] = 5":                                 "replacing the built-in 'Array.prototype.pop'",
		"Object.defineProperty(Date.prototype, 'getTime', {get() { return 1 }})":   "replacing the built-in 'Date.prototype.getTime'",
		"Object.defineProperty(Math, 'max', {writable: false})":                    "replacing the built-in 'Math.max'",
		"Array.prototype[Symbol.iterator] = function* () {}":                       "replacing the built-in 'Array.prototype[Symbol.iterator]'",
		"Object.getPrototypeOf([][Symbol.iterator]()).next = () => ({done: true})": "replacing the built-in 'ArrayIterator.prototype.next'",
		"RegExp.escape = String":                                                   "replacing the built-in 'RegExp.escape'",
		"Number.prototype.toLocaleString = Number.prototype.toFixed":               "replacing the built-in 'Number.prototype.toLocaleString'",
		"delete Math.min":                                                          "deleting the built-in 'Math.min'",
		"delete Set.prototype.add":                                                 "deleting the built-in 'Set.prototype.add'",
		"delete globalThis.parseInt":                                               "deleting the built-in 'parseInt'",
		"delete globalThis.btoa":                                                   "deleting the built-in 'btoa'",
		"Uint8Array.prototype.last = 1":                                            "adding 'Uint8Array.prototype.last'",
		"DataView.extra = 1":                                                       "adding 'DataView.extra'",
		"Object.getPrototypeOf(Int8Array).prototype.fill = 1":                      "replacing the built-in 'TypedArray.prototype.fill'",
		"WeakMap.prototype.has = () => true":                                       "replacing the built-in 'WeakMap.prototype.has'",
		"URL.prototype.x = 1":                                                      "!not extensible",
		"TypeError.prototype.name = 'T'":                                           "replacing the built-in 'TypeError.prototype.name'",
		"new URL('http://a.b/?c=1').searchParams; [1].at(-1); 'x'.trim(); new Uint8Array(2); 1n": "",
		"[Error, URL, Uint8Array, JSON].map((x) => Object.getOwnPropertyNames(x)).length":        "",
	}
	for source, want := range tests {
		t.Run(source, func(t *testing.T) {
			t.Parallel()
			s := open(t, jsvm.Setup{})
			step := run(t, s, source)
			if threw, ok := strings.CutPrefix(want, "!"); ok {
				if step.Err == nil || !strings.Contains(step.Err.Message, threw) {
					t.Fatalf("got %+v, want an error with %q", step, threw)
				}
				want = ""
			}
			changes, err := s.Changes(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(changes.Notes, "\n"); want == "" && got != "" || !strings.Contains(got, want) || len(changes.Notes) > 1 {
				t.Errorf("got notes %q, want %q", changes.Notes, want)
			}
			if len(changes.Set) > 0 {
				t.Errorf("got variables:\n%s", rows(changes))
			}
		})
	}
}

// TestGlobalsThatAreMadeLater: a class that the prelude makes when it is first read is a plain global to a
// script, and can be declared or assigned like any other.
func TestGlobalsThatAreMadeLater(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"URL === globalThis.URL && new URL('http://a.b/c').host": "a.b",
		"TextEncoder = 5; TextEncoder":                           "5",
		"let URL = 1; URL":                                       "1",
		"typeof Uint8Array + typeof TextDecoder":                 "functionfunction",
		"const keep = URL; keep === URL":                         "true",
	}
	for source, want := range tests {
		s := open(t, jsvm.Setup{})
		if got := outcome(run(t, s, source)); got != want {
			t.Errorf("%s: got %s", source, got)
		}
		again, _, changes := reopen(t, s, nil, jsvm.Limits{})
		if len(changes.Notes) > 0 {
			t.Errorf("%s: got notes %q", source, changes.Notes)
		}
		for _, v := range changes.Set {
			if got := outcome(run(t, again, v.Name+" === undefined")); got != "false" {
				t.Errorf("%s: restored %s: got %s", source, v.Name, got)
			}
		}
	}
}
