package jsvm_test

import (
	"strings"
	"testing"

	"statek/internal/jsvm"
)

// TestUnevenStacks: a generator that throws out of a finally block while it returns leaves values on goja's
// stacks. Microtasks must run on, the echo be rendered, and the workspace be kept.
func TestUnevenStacks(t *testing.T) {
	t.Parallel()
	const gen = "function* g() { try { yield 1 } finally { yield 2; throw new Error('out') } } const it = g(); it.next(); it.return(9);"
	tests := map[string]string{
		gen + "try { it.next() } catch (e) { print(e.message) } await null; await fetchIt(1); print('on'); ({a: 1})":                "out\non {a: 1}",
		gen + "const p = (async () => it.next())(); await p.catch((e) => print(e.message)); await fetchIt(1); print('on'); 'end'":   "out\non end",
		gen + "Promise.resolve().then(() => it.next()).catch((e) => print(e.message)).then(() => print('then')); await fetchIt(1);": "out\nthen 1",
		gen + "[1, 2].map((x) => { try { return x + it.next() } catch (e) { return x } })":                                          " [1, \"2[object Object]\"]",
	}
	for source, want := range tests {
		s := open(t, jsvm.Setup{})
		step := run(t, s, source)
		if got := strings.Join(step.Console, "\n") + " " + outcome(step); got != want {
			t.Errorf("%s\n got %s\nwant %s", source, got, want)
		}
		if _, err := s.Changes(t.Context()); err != nil {
			t.Errorf("%s: %v", source, err)
		}
	}
}

// TestNothingRunsAfterExit: not the rest of the cell, and no microtask, also not while the workspace is kept.
func TestNothingRunsAfterExit(t *testing.T) {
	t.Parallel()
	for _, source := range []string{
		"let kept = [1]; Promise.resolve().then(() => { kept.push('late') }); exit()",
		"let kept = [1]; await null; Promise.resolve().then(() => { kept.push('late') }); exit()",
		"let kept = [1]; await fetchIt(0); Promise.resolve().then(() => { kept.push('late') }); [1].forEach(() => exit())",
		"let kept = [1]; const late = async () => { for (;;) { await null; kept.push('late') } }; Promise.resolve().then(() => { late(); exit() }); await fetchIt(0)",
		"let kept = [1]; fetchIt(1).then(() => kept.push('late')); fetchIt(2).then(() => { Promise.resolve().then(() => kept.push('late')); exit() }); Promise.resolve().then(exit)",
		"let kept = [1]; function* g() { try { yield 1 } finally { yield 2; throw new Error('out') } } const it = g(); it.next(); it.return(9); try { it.next() } catch { Promise.resolve().then(() => kept.push('late')); exit() }",
	} {
		s := open(t, jsvm.Setup{})
		if step := run(t, s, source); step.Exit == nil {
			t.Errorf("%s: %+v", source, step)
		}
		changes, err := s.Changes(t.Context())
		if got := rows(changes); err != nil || !strings.Contains(got, "kept = [1]\n") {
			t.Errorf("%s: %v\n%s", source, err, got)
		}
	}
}
