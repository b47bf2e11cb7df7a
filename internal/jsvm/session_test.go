package jsvm_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"statek/internal/jsvm"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCallsAreNumberedAndWaitForResults(t *testing.T) {
	t.Parallel()
	s := open(t, jsvm.Setup{})
	step, err := s.Run(t.Context(), jsvm.Cell{Number: 1, Source: "const [a, b] = await Promise.all([fetchIt({d: new Date(5), u: undefined}, undefined), search('q')]); print(a, b); a + b"})
	if err != nil {
		t.Fatal(err)
	}
	want := []jsvm.Call{
		{ID: 1, Name: "fetchIt", Args: []byte(`[{"d":"1970-01-01T00:00:00.005Z"},null]`)},
		{ID: 2, Name: "search", Args: []byte(`["q"]`)},
	}
	if diff := cmp.Diff(want, step.Calls); diff != "" || step.State != jsvm.Pending {
		t.Fatalf("state %s, calls (-want +got):\n%s", step.State, diff)
	}
	step, err = s.Deliver(t.Context(), jsvm.Delivery{Call: 2, Value: []byte("2"), Now: 7}, jsvm.Delivery{Call: 1, Value: []byte("1"), Now: 8})
	if err != nil {
		t.Fatal(err)
	}
	if step.State != jsvm.Done || step.Echo != "3" || len(step.Console) != 1 || step.Console[0] != "1 2" {
		t.Errorf("got %+v", step)
	}
}

func TestHowCellsEnd(t *testing.T) {
	t.Parallel()
	waits := []jsvm.Grant{{Name: "sleep", Wait: true}, {Name: "fetchIt"}}
	tests := map[string]struct {
		source string
		state  jsvm.State
		err    string
		lines  string
		exit   string
	}{
		"a wait may stay open":             {source: "sleep(5); 1", state: jsvm.Done},
		"a tool may not":                   {source: "fetchIt(5); 1", state: jsvm.Pending},
		"an awaited wait is pending":       {source: "await sleep(5)", state: jsvm.Pending},
		"nothing left to settle":           {source: "await new Promise(() => {})", state: jsvm.Failed, err: "can never continue"},
		"unhandled rejections are printed": {source: "Promise.reject(new Error('lost')); Promise.reject(1).catch(() => {}); 1", state: jsvm.Done, lines: "Unhandled rejection: Error: lost (cell:1:16)"},
		"exit runs nothing more":           {source: "try { exit({a: 1}) } finally { print('no') }", state: jsvm.Done, exit: `{"a":1}`},
		"exit inside a callback":           {source: "await null; [1].map(() => exit(2)); print('no')", state: jsvm.Done, exit: `2`},
		"an endless loop":                  {source: "for (;;) {}", state: jsvm.Aborted, err: "drain_time"},
		"an endless microtask loop":        {source: "for (;;) await null", state: jsvm.Aborted, err: "drain_time"},
		"endless recursion":                {source: "(function f() { f() })()", state: jsvm.Aborted, err: "call_stack"},
		"eval is off":                      {source: "eval('1')", state: jsvm.Failed, err: "eval is off"},
		"so are function constructors":     {source: "(function*(){}).constructor('1')", state: jsvm.Failed, err: "is off"},
		"sources are bounded":              {source: "1" + strings.Repeat("+1", 3000), state: jsvm.Failed, err: "operators"},
		"brackets are bounded":             {source: strings.Repeat("[", 300) + strings.Repeat("]", 300), state: jsvm.Failed, err: "nesting"},
		"panic prints":                     {source: "panic('hard'); 1", state: jsvm.Done, lines: "panic: hard"},
		"no wait is given NaN":             {source: "await sleep(undefined * 2)", state: jsvm.Failed, err: "argument 1 of sleep is NaN, which is no value to wait with"},
		"nor as an option":                 {source: "await sleep({a: 1, timeout: 1 / 0})", state: jsvm.Failed, err: `argument 1 of sleep, field "timeout", is Infinity`},
		"nor an invalid date":              {source: "await sleep(5, {since: new Date('soon')})", state: jsvm.Failed, err: `argument 2 of sleep, field "since", is an invalid Date`},
		"a tool may be":                    {source: "await fetchIt(NaN, {a: 1 / 0})", state: jsvm.Pending},
		"promises are no arguments":        {source: "await fetchIt(sleep(1))", state: jsvm.Failed, err: "argument 1 of fetchIt is a promise; await it first"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, jsvm.Setup{Grants: waits, Limits: jsvm.Limits{DrainTime: 200 * time.Millisecond}})
			step, err := s.Run(t.Context(), jsvm.Cell{Number: 1, Source: test.source})
			if err != nil {
				t.Fatal(err)
			}
			if step.State != test.state {
				t.Fatalf("got %+v", step)
			}
			if test.err != "" && !strings.Contains(step.Err.Error(), test.err) {
				t.Errorf("got error %v, want %s", step.Err, test.err)
			}
			if got := strings.Join(step.Console, "\n"); got != test.lines {
				t.Errorf("got console %q, want %q", got, test.lines)
			}
			if test.exit != "" && (step.Exit == nil || string(step.Exit.Result) != test.exit) {
				t.Errorf("got exit %+v", step.Exit)
			}
			if _, err := s.Changes(t.Context()); (err == nil) != (step.State == jsvm.Done || step.State == jsvm.Failed) {
				t.Errorf("changes after %s: %v", step.State, err)
			}
		})
	}
}

func TestExitKeepsVariables(t *testing.T) {
	t.Parallel()
	s := open(t, jsvm.Setup{})
	step := run(t, s, "let kept = [1]; await fetchIt(0); Promise.resolve().then(() => { kept.push('late') }); [1].forEach(() => { kept.push(2); exit() })")
	if step.State != jsvm.Done || step.Exit == nil || step.Exit.Result != nil {
		t.Fatalf("got %+v", step)
	}
	changes, err := s.Changes(t.Context())
	if err != nil || rows(changes) != "kept = [1,2]\n" {
		t.Errorf("got %s, %v", rows(changes), err)
	}
	if _, err := s.Run(t.Context(), jsvm.Cell{Source: "1"}); !errors.Is(err, jsvm.ErrSession) {
		t.Errorf("run after exit: got %v", err)
	}
}

func TestLimitsOnCallsReject(t *testing.T) {
	t.Parallel()
	limits := jsvm.Limits{PendingCalls: 2, TotalCalls: 3, ArgBytes: 100, ResultBytes: 50}
	tests := map[string]string{
		"const r = await Promise.allSettled([1,2,3].map((x) => fetchIt(x))); r[2].reason.name + r[2].reason.message": "LimitError2 calls are pending; the limit is 2",
		"for (let i = 0; i < 4; i++) await fetchIt(i)":                                                               "LimitError: this cell has made 3 calls; the limit is 3",
		"await fetchIt('x'.repeat(200))":                                                                             "LimitError: the arguments of fetchIt have 204 bytes; the limit is 100",
		"try { await fetchIt('x'.repeat(60)) } catch (e) { print(e.name, e.code) }":                                  "ResultTooLarge limit",
	}
	for source, want := range tests {
		s := open(t, jsvm.Setup{Limits: limits})
		step := run(t, s, source)
		if got := outcome(step) + strings.Join(step.Console, ""); !strings.Contains(got, want) {
			t.Errorf("%s: got %s", source, got)
		}
	}
}

func TestReplayComparesCallsAndHashes(t *testing.T) {
	t.Parallel()
	const source = "const a = await fetchIt(1); print(a, Math.random(), Date.now()); const b = await search(a); b"
	cell := jsvm.Cell{Number: 3, Source: source, Seed: 42, Now: 1000}
	live := open(t, jsvm.Setup{})
	first, err := live.Run(t.Context(), cell)
	if err != nil {
		t.Fatal(err)
	}
	d := jsvm.Delivery{Call: 1, Value: []byte("5"), Now: 2000}
	second, err := live.Deliver(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	d.Expect, d.Replay = first.Hash, true
	cell.Recorded = append(first.Calls, second.Calls...)
	replayed := open(t, jsvm.Setup{})
	if _, err := replayed.Run(t.Context(), cell); err != nil {
		t.Fatal(err)
	}
	again, err := replayed.Deliver(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	second.Calls = nil // recorded ones are not reported again
	if diff := cmp.Diff(second, again); diff != "" {
		t.Errorf("replay differs (-live +replay):\n%s", diff)
	}

	var diverged *jsvm.DivergedError
	cell.Recorded[0].Args = []byte("[2]")
	if _, err := open(t, jsvm.Setup{}).Run(t.Context(), cell); !errors.As(err, &diverged) || diverged.Want != "fetchIt[2]" || diverged.Got != "fetchIt[1]" {
		t.Errorf("got %v", err)
	}
	cell.Recorded[0].Args = []byte("[1]")
	d.Expect = "0000"
	s := open(t, jsvm.Setup{})
	if _, err := s.Run(t.Context(), cell); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Deliver(t.Context(), d); !errors.As(err, &diverged) {
		t.Errorf("got %v", err)
	}
	cell.Source = "1"
	if _, err := open(t, jsvm.Setup{}).Run(t.Context(), cell); !errors.As(err, &diverged) {
		t.Errorf("got %v", err)
	}
}

func TestErrorsReachScripts(t *testing.T) {
	t.Parallel()
	s := open(t, jsvm.Setup{})
	if _, err := s.Run(t.Context(), jsvm.Cell{Source: "try { await fetchIt(1) } catch (e) { print(e instanceof Error, e.name, e.message, e.code) }"}); err != nil {
		t.Fatal(err)
	}
	step, err := s.Deliver(t.Context(), jsvm.Delivery{Call: 1, Err: &jsvm.Error{Name: "TimeoutError", Message: "too late", Code: "timeout"}})
	if err != nil || len(step.Console) != 1 || step.Console[0] != "true TimeoutError too late timeout" {
		t.Errorf("got %+v, %v", step, err)
	}
}

func TestStacksCarryNoByteCodeOffsets(t *testing.T) {
	t.Parallel()
	s := open(t, jsvm.Setup{})
	step := run(t, s, "function f() { return new Error('x').stack }\nclass St { stack = [1]; top() { return this.stack.at(-1) } }\nf() + new St().top()")
	if want := "Error: x\n\tat f (cell:1:23)\n\tat cell:3:2" + "1"; step.Echo != want {
		t.Errorf("got %q, want %q", step.Echo, want)
	}
}

func TestStacksAreCleanHoweverTheyAreRead(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"e.stack":                    "Error: x\n\tat cell:1:11",
		"e['stack']":                 "Error: x\n\tat cell:1:11",
		"e?.stack":                   "Error: x\n\tat cell:1:11",
		"e?.['stack']":               "Error: x\n\tat cell:1:11",
		"const {stack} = e; stack":   "Error: x\n\tat cell:1:11",
		"let s; ({stack: s} = e); s": "Error: x\n\tat cell:1:11",
		"const {'stack': r} = e; r":  "Error: x\n\tat cell:1:11",
		"let u; u?.stack":            "undefined",
		"let u; ((x, y) => x + '|' + y)(u?.b.stack, 2)":                                                                      "undefined|2",
		"const o = {stack: [1]}; o.stack.push(2); o.stack?.[1]":                                                              "2",
		"class S { get stack() { return 7 } } class T extends S { get stack() { return super.stack + 1 } } new T()['stack']": "8",
	}
	for source, want := range tests {
		s := open(t, jsvm.Setup{})
		if got := outcome(run(t, s, "const e = new Error('x');\n"+source)); got != want {
			t.Errorf("%s: got %q, want %q", source, got, want)
		}
	}
}

func TestContextEndsADrive(t *testing.T) {
	t.Parallel()
	s := open(t, jsvm.Setup{})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Run(ctx, jsvm.Cell{Source: "for (;;) {}"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestEngineIsChecked(t *testing.T) {
	t.Parallel()
	if _, err := jsvm.NewInProcess().Open(t.Context(), jsvm.Setup{Engine: jsvm.Engine + 1}); !errors.Is(err, jsvm.ErrEngine) {
		t.Errorf("got %v", err)
	}
}

func TestConsoleKeepsHeadAndTail(t *testing.T) {
	t.Parallel()
	s := open(t, jsvm.Setup{Limits: jsvm.Limits{ConsoleBytes: 400}})
	step := run(t, s, "for (let i = 0; i < 100; i++) print('line ' + i)")
	if len(step.Console) > 60 || step.Console[0] != "line 0" || step.Console[len(step.Console)-1] != "line 99" {
		t.Errorf("got %d lines: %q", len(step.Console), step.Console)
	}
	if !strings.Contains(strings.Join(step.Console, "\n"), "omitted") {
		t.Errorf("nothing says that lines are missing: %q", step.Console)
	}
}

func TestAnalyze(t *testing.T) {
	t.Parallel()
	tests := []struct {
		source string
		want   jsvm.Analysis
	}{
		{"print(event); const r = await pickNextTask(queue); r.x", jsvm.Analysis{Free: []string{"event", "pickNextTask", "queue"}, Called: []string{"pickNextTask"}, Declared: []string{"r"}}},
		{"const x = x + 1; function f(a) { return a + y + later } let later = 1", jsvm.Analysis{Free: []string{"x", "y"}, Declared: []string{"x", "f", "later"}}},
		{"for (const k of keys) { let t = k; print(t, Math.max(1)) }", jsvm.Analysis{Free: []string{"keys"}}},
		{"const {a, b: {c = d}} = e; ({a, g}); typeof h", jsvm.Analysis{Free: []string{"e", "d", "g"}, Declared: []string{"a", "c"}}},
		{"let n: number = input as number; for await (const q of src) {}", jsvm.Analysis{Free: []string{"input", "src"}, Declared: []string{"n"}}},
		{"await a(1); b(); [c()].map((x) => a(x)); c; typeof d; d(); f?.(); new g(); h``; ({i}); i(); j = 1; j(); k.m(); const l = m; const n = (o) => o()", jsvm.Analysis{
			Free: []string{"a", "b", "c", "d", "f", "g", "h", "i", "j", "k", "m"}, Called: []string{"a", "b"}, Declared: []string{"l", "n"},
		}},
		{"for await (const v of event('x')) {}", jsvm.Analysis{Free: []string{"event"}, Called: []string{"event"}}},
		{"try { z } catch (err) { err } label: for (;;) { break label }", jsvm.Analysis{Free: []string{"z"}}},
	}
	for _, test := range tests {
		got, err := jsvm.NewInProcess().Analyze(t.Context(), "", test.source, jsvm.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", test.want) {
			t.Errorf("%s\n got %q\nwant %q", test.source, got, test.want)
		}
	}
	var syntax *jsvm.SyntaxError
	if _, err := jsvm.NewInProcess().Analyze(t.Context(), "", "let a = 1;\nlet b = ;", jsvm.Limits{}); !errors.As(err, &syntax) || syntax.Line != 2 || syntax.Column != 9 {
		t.Errorf("got %v", err)
	}
}
