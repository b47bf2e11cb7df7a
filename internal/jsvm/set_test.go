package jsvm_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"statek/internal/jsvm"
)

// waitGrants are two waits and a tool.
var waitGrants = []jsvm.Grant{{Name: "event", Wait: true}, {Name: "sleep", Wait: true}, {Name: "fetchIt"}}

// TestWhichCallsCompete runs code, delivers 1, 2 … as told ("2" a value for call 2, "-2" an error), and looks at
// the sets that it made and the lines that it printed.
func TestWhichCallsCompete(t *testing.T) {
	t.Parallel()
	set := func(mode string, calls ...int) jsvm.Set { return jsvm.Set{Mode: mode, Calls: calls} }
	tests := map[string]struct {
		source  string
		deliver []int
		sets    []jsvm.Set
		lines   string
	}{
		"first":                       {"print(await first(event('a'), sleep(1)))", []int{1}, []jsvm.Set{set("first", 1, 2)}, "1"},
		"race is first":               {"print(await Promise.race([event('a'), sleep(1)]))", []int{2}, []jsvm.Set{set("first", 1, 2)}, "2"},
		"race of any iterable":        {"print(await Promise.race(new Set([event('a'), sleep(1)])))", []int{2}, []jsvm.Set{set("first", 1, 2)}, "2"},
		"a timeout decides a first":   {"try { await first(event('a'), event('b')) } catch (e) { print(e.name) }", []int{-2}, []jsvm.Set{set("first", 1, 2)}, "E"},
		"any waits for a value":       {"print(await Promise.any([event('a'), event('b'), event('c')]))", []int{-2, 3}, []jsvm.Set{set("any", 1, 2, 3)}, "3"},
		"any of failures":             {"try { await Promise.any([event('a'), event('b')]) } catch (e) { print(e.name) }", []int{-1, -2}, []jsvm.Set{set("any", 1, 2)}, "AggregateError"},
		"all competes with nobody":    {"print(await all(event('a'), fetchIt()))", []int{2, 1}, nil, "[1, 2]"},
		"Promise.all, likewise":       {"print(await Promise.all([event('a'), sleep(1)]))", []int{2, 1}, nil, "[1, 2]"},
		"one is no competition":       {"print(await first(event('a')))", []int{1}, nil, "1"},
		"twice the same":              {"const p = event('a'); print(await first(p, p))", []int{1}, nil, "1"},
		"a wait and a tool":           {"print(await Promise.race([event('a'), fetchIt()]))", []int{2}, nil, "2"},
		"a race of thens":             {"print(await Promise.race([event('a').then(() => 'A'), sleep(1)]))", []int{1}, nil, "A"},
		"a race of races":             {"print(await Promise.race([first(event('a'), event('b')), sleep(1)]))", []int{2}, []jsvm.Set{set("first", 1, 2)}, "2"},
		"joined later":                {"const p = event('a'); await fetchIt(); print(await first(p, sleep(1)))", []int{2, 1}, []jsvm.Set{set("first", 1, 3)}, "1"},
		"one had settled":             {"const p = event('a'); await p; print(await first(sleep(1), p))", []int{1}, []jsvm.Set{{Mode: "first", Calls: []int{2, 1}, Won: 1}}, "1"},
		"a failed one is no any":      {"const p = event('a'); await p.catch(() => 0); print(await Promise.any([p, sleep(1), sleep(2)]))", []int{-1, 3}, []jsvm.Set{set("any", 1, 2, 3)}, "3"},
		"the loser rejects":           {"const p = event('a'); await first(p, sleep(1)); try { await p } catch (e) { print(e.name, e.code) }", []int{2}, []jsvm.Set{set("first", 1, 2)}, "WithdrawnError withdrawn"},
		"the loser is not complained": {"const p = event('a'); p.then(() => 0); print(await first(p, sleep(1)))", []int{2}, []jsvm.Set{set("first", 1, 2)}, "2"},
		"the loser is called anew":    {"for (let i = 0; i < 2; i++) print(await Promise.race([event('a'), sleep(1)]))", []int{2, 4}, []jsvm.Set{set("first", 1, 2), set("first", 3, 4)}, "2|4"},
		"a late delivery":             {"print(await first(event('a'), event('b'))); await fetchIt()", []int{1, 2, 3}, []jsvm.Set{set("first", 1, 2)}, "1"},
		"names are free":              {"const first = 1, all = 2; print(first + all)", nil, nil, "3"},
		"docs":                        {"print(docs(first).includes('WithdrawnError'), docs('all').includes('Promise.all'))", nil, nil, "true true"},
		"first of nothing":            {"try { first() } catch (e) { print(e.name, e.message.includes('at least one')) }", nil, nil, "TypeError true"},
		"all of nothing":              {"try { all() } catch (e) { print(e.name, e.message.includes('at least one')) }", nil, nil, "TypeError true"},
		"first of an array":           {"try { first([event('a')]) } catch (e) { print(e.name, e.message.includes('...list')) }", nil, nil, "TypeError true"},
		"first of a tool":             {"try { first(event('a'), fetchIt()) } catch (e) { print(e.name, e.message.includes('argument 2')) }", []int{2}, nil, "TypeError true"},
		"first of a value":            {"try { first(event('a'), 5) } catch (e) { print(e.name, e.message.includes('got 5')) }", nil, nil, "TypeError true"},
		"first of a loser":            {"const p = event('a'); await first(p, sleep(1)); try { first(p, sleep(2)) } catch (e) { print(e.message.includes('has lost')) }", []int{2}, []jsvm.Set{set("first", 1, 2)}, "true"},
		"a refused wait tells why":    {"try { await first(event(sleep(1)), event('a')) } catch (e) { print(e.name, e.message.includes('await it first')) }", nil, nil, "TypeError true"},
		"two firsts of one":           {"const p = event('a'); first(p, sleep(1)); try { first(p, sleep(2)) } catch (e) { print(e.message.includes('in one')) }", nil, []jsvm.Set{set("first", 1, 2)}, "true"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sets, lines := compete(t, jsvm.Cell{Number: 1, Source: tc.source}, tc.deliver)
			if diff := cmp.Diff(tc.sets, sets); diff != "" {
				t.Errorf("sets (-want +got):\n%s", diff)
			}
			if got := strings.Join(lines, "|"); got != tc.lines {
				t.Errorf("printed %q, want %q", got, tc.lines)
			}
		})
	}
}

// compete runs a cell to where its deliveries lead, twice: the second time as a replay of the first.
func compete(t *testing.T, cell jsvm.Cell, deliver []int) (sets []jsvm.Set, lines []string) {
	t.Helper()
	s := open(t, jsvm.Setup{Grants: waitGrants})
	step, err := s.Run(t.Context(), cell)
	for i := 0; err == nil; i++ {
		sets, lines = append(sets, step.Sets...), append(lines, step.Console...)
		cell.Recorded = append(cell.Recorded, step.Calls...)
		if i == len(deliver) || step.State != jsvm.Pending {
			break
		}
		step, err = s.Deliver(t.Context(), result(deliver[i]))
	}
	if err != nil {
		t.Fatal(err)
	}
	cell.Sets = sets
	again := open(t, jsvm.Setup{Grants: waitGrants})
	replayed, err := again.Run(t.Context(), cell)
	for i := 0; err == nil && i < len(deliver) && replayed.State == jsvm.Pending; i++ {
		d := result(deliver[i])
		d.Replay = true
		replayed, err = again.Deliver(t.Context(), d)
	}
	if err != nil || replayed.Hash != step.Hash || len(replayed.Sets) > 0 {
		t.Errorf("a replay leads to %+v (%v), want hash %s and no new set", replayed, err, step.Hash)
	}
	return sets, lines
}

func result(n int) jsvm.Delivery {
	if n < 0 {
		return jsvm.Delivery{Call: -n, Err: &jsvm.Error{Name: "E", Message: "failed"}, Now: 1}
	}
	return jsvm.Delivery{Call: n, Value: []byte{byte('0' + n)}, Now: 1}
}

// TestSetsAreReplayed: other sets than the recorded ones are a divergence.
func TestSetsAreReplayed(t *testing.T) {
	t.Parallel()
	const source = "await first(event('a'), sleep(1))"
	calls := []jsvm.Call{{ID: 1, Name: "event", Args: []byte(`["a"]`)}, {ID: 2, Name: "sleep", Args: []byte(`[1]`)}}
	for name, cell := range map[string]jsvm.Cell{
		"another mode":  {Source: source, Recorded: calls, Sets: []jsvm.Set{{Mode: "any", Calls: []int{1, 2}}}},
		"other calls":   {Source: source, Recorded: calls, Sets: []jsvm.Set{{Mode: "first", Calls: []int{2, 1}}}},
		"none any more": {Source: "event('a'); sleep(1); 5", Recorded: calls, Sets: []jsvm.Set{{Mode: "first", Calls: []int{1, 2}}}},
		"a third call":  {Source: source, Recorded: calls, Sets: []jsvm.Set{{Mode: "first", Calls: []int{1, 3}}}},
	} {
		s := open(t, jsvm.Setup{Grants: waitGrants})
		cell.Number = 1
		_, err := s.Run(t.Context(), cell)
		var diverged *jsvm.DivergedError
		if !errors.As(err, &diverged) {
			t.Errorf("%s: got %v, want a divergence", name, err)
		}
	}
}
