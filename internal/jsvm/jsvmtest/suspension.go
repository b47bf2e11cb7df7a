package jsvmtest

import (
	"slices"
	"testing"

	"statek/internal/jsvm"
)

// Suspension runs programs that would notice if suspending threw, ran a finally block, or lost a microtask. Each
// runs once without a stop, with results in several orders and with failures among them, and then once for every
// place where a job may be put to sleep.
func Suspension(t *testing.T, m jsvm.Machine) {
	t.Helper()
	orders := map[string]settler{
		"in order":      func(open []jsvm.Call, n int) jsvm.Delivery { return answer(open[0], n, false) },
		"reversed":      func(open []jsvm.Call, n int) jsvm.Delivery { return answer(open[len(open)-1], n, false) },
		"some failures": func(open []jsvm.Call, n int) jsvm.Delivery { return answer(open[n%len(open)], n, n%2 == 1) },
		"all fail":      func(open []jsvm.Call, n int) jsvm.Delivery { return answer(open[0], n, true) },
	}
	for name, source := range hostile {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for order, settle := range orders {
				s := stage{t, m, jsvm.Limits{}}
				p := &play{stage: s, vars: prepared(s), cell: jsvm.Cell{Number: 2, Source: source, Seed: 5, Now: 1_700_000_000_000}}
				p.live(bounded(settle))
				if len(p.shown.Calls) == 0 {
					t.Fatalf("%s makes no calls: %+v", source, p.shown)
				}
				if p.shown.Err != nil && p.shown.Err.Name == "SyntaxError" {
					t.Fatal(p.shown.Err)
				}
				t.Logf("%s: %d deliveries, %s", order, len(p.deliveries), p.shown.State)
				p.everywhere()
			}
		})
	}
}

func answer(call jsvm.Call, nth int, fails bool) jsvm.Delivery {
	d := jsvm.Delivery{Call: call.ID, Value: firstArg(call), Now: 1_700_000_000_000 + int64(nth)*1000}
	if fails {
		d.Value, d.Err = nil, &jsvm.Error{Name: "ToolError", Message: "no", Code: "failed"}
	}
	return d
}

// bounded answers waits last: a tool may not stay open, a wait may.
func bounded(settle settler) settler {
	return func(open []jsvm.Call, n int) jsvm.Delivery {
		tools := slices.DeleteFunc(slices.Clone(open), func(c jsvm.Call) bool { return c.Name == "sleep" })
		if len(tools) > 0 && n%3 != 2 {
			return settle(tools, n)
		}
		return settle(open, n)
	}
}
