package jsvm_test

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"statek/internal/jsvm"
	"statek/internal/jsvm/jsvmtest"
)

// FuzzAnalyze feeds arbitrary text to the scan, the parsers, the resolver and the rewriter: any text is
// either a cell or a syntax error with a place inside of it.
func FuzzAnalyze(f *testing.F) {
	for _, seed := range []string{
		"const {a, b: {c = 5}, ...rest} = x", "for (var [k, v] of m) {}", "class A { #p; static { } }", "`${`${1}`}`", "/[/]\\//.test(a) / 2",
		"})(), (async()=>{", "label: for (;;) break label", "export const x = 1", "let a: number = 1", "for await (const a of b) {}", "if (x) /'/.test(y)",
		"try {} catch { var e = 1 }", "a?.b?.[c]?.(d)", "async () => { await using x = y }", "({get a() {}, async *b() {}, [c]: 1})",
	} {
		f.Add(seed)
	}
	m := jsvm.NewInProcess()
	f.Fuzz(func(t *testing.T, source string) {
		if len(source) > 2000 {
			t.Skip("long texts only slow the search down")
		}
		_, err := m.Analyze(t.Context(), "", source, jsvm.Limits{})
		var syntax *jsvm.SyntaxError
		if err != nil && !errors.As(err, &syntax) {
			t.Fatalf("%q: %v", source, err)
		}
		if err != nil && (syntax.Line < 1 || syntax.Line > strings.Count(source, "\n")+2 || syntax.Column < 0) {
			t.Errorf("%q: error at %d:%d", source, syntax.Line, syntax.Column)
		}
	})
}

// FuzzReplays draws programs for as long as it is let: see jsvmtest.Replays.
func FuzzReplays(f *testing.F) {
	m := jsvm.NewInProcess()
	f.Fuzz(rapid.MakeFuzz(func(t *rapid.T) { jsvmtest.Replay(t, m, rapid.Bool().Draw(t, "lowered")) }))
}

// FuzzRestore opens sessions with rows that no codec wrote: a value or an error, and nothing else.
func FuzzRestore(f *testing.F) {
	for _, row := range jsvmtest.HostileRows {
		f.Add(row)
	}
	m := jsvm.NewInProcess()
	f.Fuzz(func(t *testing.T, row string) {
		if len(row) > 4000 {
			t.Skip("long rows only slow the search down")
		}
		jsvmtest.Hostile(t, m, row)
	})
}

// FuzzGraphs draws object graphs for as long as it is let.
func FuzzGraphs(f *testing.F) {
	m := jsvm.NewInProcess()
	f.Fuzz(rapid.MakeFuzz(func(t *rapid.T) { jsvmtest.Graph(t, m) }))
}
