package jsvm_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"statek/internal/jsvm"
	"statek/internal/jsvm/jsvmtest"
)

func objectGrants() []jsvm.Grant {
	return []jsvm.Grant{
		{Name: "fetchIt"},
		{Name: "objects.get", Signature: "objects.get(key: string): Promise<any>", Doc: "Reads one."},
		{Name: "objects.put"}, {Name: "objects.update", Doc: "Changes one."},
		{Name: "objects.changed", Wait: true},
	}
}

// shelf answers objects.get and objects.put as a database would; busy is how many writes others win.
type shelf struct {
	value   string
	version int
	busy    int
	calls   []string
}

func (o *shelf) answer(t *testing.T, call jsvm.Call) jsvm.Delivery {
	t.Helper()
	o.calls = append(o.calls, call.Name+string(call.Args))
	d := jsvm.Delivery{Call: call.ID, Now: int64(call.ID)}
	var args []json.RawMessage
	if err := json.Unmarshal(call.Args, &args); err != nil {
		t.Fatal(err)
	}
	switch {
	case call.Name == "objects.get" && o.version == 0:
		d.Value = []byte("null")
	case call.Name == "objects.get":
		d.Value = fmt.Appendf(nil, `{"key":"k","value":%s,"version":%d,"updatedAt":"then"}`, o.value, o.version)
	case o.busy > 0:
		o.busy--
		o.version++
		o.value = fmt.Sprintf(`{"n":%d}`, o.version*10)
		d.Err = &jsvm.Error{Name: "ConflictError", Code: "conflict", Message: "too late", Data: fmt.Appendf(nil, `{"version":%d}`, o.version)}
	default:
		o.version++
		o.value = string(args[2])
		d.Value = fmt.Appendf(nil, `{"key":"k","version":%d,"updatedAt":"now"}`, o.version)
	}
	return d
}

// play runs a cell to its end, then once more with everything recorded, and wants the same to come of it.
func (o *shelf) play(t *testing.T, source string) jsvm.Step {
	t.Helper()
	cell := jsvm.Cell{Number: 1, Source: source}
	s := open(t, jsvm.Setup{Grants: objectGrants()})
	step, err := s.Run(t.Context(), cell)
	var deliveries []jsvm.Delivery
	for err == nil && step.State == jsvm.Pending && len(step.Calls) > 0 {
		cell.Recorded = append(cell.Recorded, step.Calls...)
		d := o.answer(t, step.Calls[0])
		d.Expect = step.Hash
		deliveries = append(deliveries, d)
		step, err = s.Deliver(t.Context(), d)
	}
	if err != nil {
		t.Fatal(err)
	}
	for i := range deliveries {
		deliveries[i].Replay = true
	}
	again := open(t, jsvm.Setup{Grants: objectGrants()})
	repeated, err := again.Run(t.Context(), cell)
	if err == nil && len(deliveries) > 0 {
		repeated, err = again.Deliver(t.Context(), deliveries...)
	}
	if err != nil || repeated.Hash != step.Hash || repeated.Echo != step.Echo {
		t.Errorf("the replay gives %+v (%v), want %+v", repeated, err, step)
	}
	return step
}

// TestUpdateWithAFunction: the function form is a loop of recorded calls, which a replay repeats exactly.
func TestUpdateWithAFunction(t *testing.T) {
	t.Parallel()
	const add = "const r = await objects.update('c', 'k', (v) => ({n: (v?.n ?? 0) + 1})); JSON.stringify(r)"
	for name, c := range map[string]struct {
		shelf  shelf
		source string
		want   string
		calls  []string
	}{
		"of what is not there": {shelf{}, add, `{"key":"k","value":{"n":1},"version":1,"updatedAt":"now"}`,
			[]string{`objects.get["c","k"]`, `objects.put["c","k",{"n":1},{"version":0}]`}},
		"of what is there": {shelf{value: `{"n":4}`, version: 7}, add, `{"key":"k","value":{"n":5},"version":8,"updatedAt":"now"}`,
			[]string{`objects.get["c","k"]`, `objects.put["c","k",{"n":5},{"version":7}]`}},
		"others are faster": {shelf{value: `{"n":4}`, version: 7, busy: 2}, add, `{"key":"k","value":{"n":91},"version":10,"updatedAt":"now"}`, []string{
			`objects.get["c","k"]`, `objects.put["c","k",{"n":5},{"version":7}]`, `objects.get["c","k"]`, `objects.put["c","k",{"n":81},{"version":8}]`,
			`objects.get["c","k"]`, `objects.put["c","k",{"n":91},{"version":9}]`}},
		"a function that waits for others": {shelf{value: `1`, version: 1}, "(await objects.update('c', 'k', async (v) => v + (await objects.get('c', 'k')).value)).value", "2",
			[]string{`objects.get["c","k"]`, `objects.get["c","k"]`, `objects.put["c","k",2,{"version":1}]`}},
		"a function that returns nothing": {shelf{value: `{}`, version: 1}, "await objects.update('c', 'k', (v) => { v.n = 1 })",
			"!TypeError: objects.update: the function returned undefined; return the new value, or throw to leave it as it is (cell:1:21)", []string{`objects.get["c","k"]`}},
		"a function that throws": {shelf{value: `{}`, version: 1}, "await objects.update('c', 'k', () => { throw new RangeError('no') })",
			"!RangeError: no (cell:1:46)", []string{`objects.get["c","k"]`}},
		"a patch": {shelf{}, "(await objects.update('c', 'k', {a: null})).version", "1", []string{`objects.update["c","k",{"a":null}]`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			step := c.shelf.play(t, c.source)
			if got := outcome(step); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if diff := cmp.Diff(c.calls, c.shelf.calls); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUpdateGivesUp(t *testing.T) {
	t.Parallel()
	o := shelf{busy: 1000}
	step := o.play(t, "let got; try { await objects.update('c', 'k', () => 1) } catch (e) { got = [e.name, e.code, e.version].join() } got")
	if step.Echo != "ConflictError,conflict,10" || len(o.calls) != 20 {
		t.Errorf("got %s after %d calls, want the tenth conflict", outcome(step), len(o.calls))
	}
	step = (&shelf{}).play(t, "await objects.update('c', 'k', () => 1, {version: 1})")
	if got := outcome(step); !strings.Contains(got, "a function takes no options") {
		t.Errorf("got %s", got)
	}
}

// TestNamespaceIsFixed: code can neither replace the global nor its methods, nor take its name.
func TestNamespaceIsFixed(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"objects.get = 1":             "!Cannot assign to read only property 'get'",
		"objects.mine = 1":            "!TypeError",
		"delete objects.put":          "!Cannot delete property 'put'",
		"objects = {}":                "!Cannot assign to read only property 'objects'",
		"const objects = []":          "!objects",
		"globalThis.objects = 1":      "!Cannot assign to read only property 'objects'",
		"typeof objects.get":          "function",
		"objects.get.name":            "objects.get",
		"new objects.get()":           "!TypeError",
		"Object.isFrozen(objects)":    "true",
		"docs('objects.get')":         "objects.get(key: string): Promise<any>\n\nReads one.",
		"docs(objects.get)":           "objects.get(key: string): Promise<any>\n\nReads one.",
		"docs('objects').length > 80": "true",
		"docs(objects) === docs('objects') && docs(objects).includes('Changes one.')": "true",
		"docs('objects.drop')":                                  "!there is no tool 'objects.drop'; there are: fetchIt, objects.get",
		"tools().map((t) => t.name).join()":                     "fetchIt,objects.get,objects.put,objects.update,objects.changed,first,all",
		"objects.changed('a'); 'not awaited'":                   "not awaited",
		"const {get} = objects; typeof get":                     "function",
		"let x; try { objects.x() } catch (e) { x = e.name } x": "TypeError",
	} {
		s := open(t, jsvm.Setup{Grants: objectGrants()})
		if got := outcome(run(t, s, source)); !jsvmtest.Matches(want, got) {
			t.Errorf("%s: got %q, want %q", source, got, want)
		}
	}
}

// TestMethodsCanBeKept in variables, as other tools can; revoked, they are lost with a word.
func TestMethodsCanBeKept(t *testing.T) {
	t.Parallel()
	s := open(t, jsvm.Setup{Grants: objectGrants()})
	run(t, s, "const read = objects.get, write = objects.update, all = objects; let e; try { await fetchIt.nothing() } catch (x) { e = x }")
	changes, err := s.Changes(t.Context())
	if err != nil || len(changes.Notes) != 0 {
		t.Fatalf("notes %q (%v)", changes.Notes, err)
	}
	next := open(t, jsvm.Setup{Grants: objectGrants(), Variables: changes.Set})
	if step := run(t, next, "read === objects.get && write === objects.update && all === objects"); step.Echo != "true" {
		t.Errorf("got %s, want the same functions", outcome(step))
	}
	revoked := open(t, jsvm.Setup{Grants: objectGrants()[:1], Variables: changes.Set})
	if got := outcome(run(t, revoked, "read")); !strings.Contains(got, "ReferenceError") || !strings.Contains(got, "objects") {
		t.Errorf("got %s, want a ReferenceError that names what is gone", got)
	}
}

// TestErrorsCarryData: what came with a refusal stands on the error, and survives in a variable.
func TestErrorsCarryData(t *testing.T) {
	t.Parallel()
	s := open(t, jsvm.Setup{Grants: objectGrants()})
	o := shelf{value: "1", version: 4, busy: 1}
	step, err := s.Run(t.Context(), jsvm.Cell{Number: 1, Source: "let e; try { await objects.put('c', 'k', 1, {version: 3}) } catch (x) { e = x } e.version + 1"})
	if err == nil {
		step, err = s.Deliver(t.Context(), o.answer(t, step.Calls[0]))
	}
	if err != nil || step.Echo != "6" {
		t.Fatalf("got %s (%v), want 6", outcome(step), err)
	}
	changes, err := s.Changes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	next := open(t, jsvm.Setup{Grants: objectGrants(), Variables: changes.Set})
	if step := run(t, next, "e.name + e.code + e.version"); step.Echo != "ConflictErrorconflict5" {
		t.Errorf("got %s", outcome(step))
	}
}
