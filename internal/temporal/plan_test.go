package temporal_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"statek/internal/sqldef"
	"statek/internal/temporal"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func pick() *temporal.Definition {
	return &temporal.Definition{
		Name:    "pick",
		Params:  []sqldef.Param{{Name: "queue", Type: "text"}, {Name: "shard", Type: "int"}, {Name: "extra", Type: "jsonb"}},
		Watches: []temporal.Watch{{Relation: "app.tasks", Column: "queue", Param: "queue"}, {Relation: "app.shards", Column: "no", Param: "shard"}, {Relation: "app.config"}},
		Recheck: "5s",
	}
}

func plan(t *testing.T, name, args string) (temporal.Spec, error) {
	t.Helper()
	var list []json.RawMessage
	if err := json.Unmarshal([]byte(args), &list); err != nil {
		t.Fatal(err)
	}
	scope := temporal.Scope{Cell: 3, Call: 7, Now: now, Prefix: "/acme/dev", JobCreated: now.Add(-time.Hour), TemporalID: "id"}
	if name == "pick" {
		scope.Def = pick()
	}
	return temporal.Plan(name, list, scope)
}

func TestPlan(t *testing.T) {
	t.Parallel()
	at := func(d time.Duration) *time.Time { x := now.Add(d); return &x }
	event := func(deps []string, args string) *temporal.Group {
		return &temporal.Group{Prefix: "/acme/dev", Kind: temporal.Event, Name: "event", Args: json.RawMessage(args), Deps: deps}
	}
	sql := func(args string, deps ...string) *temporal.Group {
		return &temporal.Group{
			Prefix: "/acme/dev", Kind: temporal.SQL, Name: "pick", TemporalID: "id", Args: json.RawMessage(args),
			Deps: deps, Recheck: 5 * time.Second,
		}
	}
	deps := []string{"app.config:*", "app.shards:7", "app.tasks:main"}
	tests := []struct {
		name, args string
		want       temporal.Spec
	}{
		{"sleep", `[1500]`, temporal.Spec{Kind: temporal.Sleep, Due: at(1500 * time.Millisecond)}},
		{"until", `["2026-01-02T03:04:06Z"]`, temporal.Spec{Kind: temporal.Until, Due: at(time.Second)}},
		{"until", `["2026-01-02T04:04:06.000+01:00"]`, temporal.Spec{Kind: temporal.Until, Due: at(time.Second)}},
		{"until", `[1767323046000]`, temporal.Spec{Kind: temporal.Until, Due: at(time.Second)}},
		{"message", `[]`, temporal.Spec{Kind: temporal.Message}},
		{"message", `[null]`, temporal.Spec{Kind: temporal.Message}},
		{"message", `[{"timeout": "2s"}]`, temporal.Spec{Kind: temporal.Message, Due: at(2 * time.Second)}},
		{"event", `["paid"]`, temporal.Spec{Kind: temporal.Event, Since: at(-time.Hour), Group: event(
			[]string{"fact:/:paid", "fact:/acme/dev:paid", "fact:/acme:paid"}, `{"name":"paid"}`)}},
		{"event", `["paid", {"key": "o1", "since": "2026-01-02T03:04:05Z", "timeout": 1000}]`, temporal.Spec{Kind: temporal.Event, Since: at(0), Due: at(time.Second), Group: event(
			[]string{"fact:/:paid#o1", "fact:/acme/dev:paid#o1", "fact:/acme:paid#o1"}, `{"name":"paid","key":"o1"}`)}},
		{"pick", `["main", 7, {"b": 1.50, "a": 2}]`, temporal.Spec{Kind: temporal.SQL, Group: sql(`{"extra":{"b":1.50,"a":2},"queue":"main","shard":7}`, deps...)}},
		{"pick", `["main", 7.0, 1, {"timeout": "1s"}]`, temporal.Spec{Kind: temporal.SQL, Due: at(time.Second), Group: sql(`{"extra":1,"queue":"main","shard":7}`, deps...)}},
		{"pick", `[{"queue": "main", "shard": "07", "extra": null, "timeout": "1s"}]`, temporal.Spec{Kind: temporal.SQL, Due: at(time.Second), Group: sql(`{"extra":null,"queue":"main","shard":7}`, deps...)}},
	}
	for _, test := range tests {
		t.Run(test.name+test.args, func(t *testing.T) {
			t.Parallel()
			got, err := plan(t, test.name, test.args)
			if err != nil {
				t.Fatal(err)
			}
			test.want.Name, test.want.Cell, test.want.Call = test.name, 3, 7
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPlanRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, args, want string }{
		{"sleep", `[]`, "sleep: called with 0 arguments; write sleep(duration)"},
		{"sleep", `[1, 2]`, "called with 2 arguments"},
		{"sleep", `["soon"]`, `sleep: duration must be a number of milliseconds`},
		{"sleep", `[-5]`, `sleep: duration must not be negative, got -5`},
		{"until", `["tomorrow"]`, `until: time must be a Date, an ISO text`},
		{"until", `["2026-01-02 03:04"]`, `(with a zone)`},
		{"until", `["2099-01-01T00:00:00Z"]`, `within ten years`},
		{"until", `[1e99]`, `until: time must be`},
		{"event", `[5]`, "event: name must be a string, got 5"},
		{"event", `[""]`, "1 to 200 characters"},
		{"event", `["a\u0000"]`, "no NUL"},
		{"event", `["a", {"key": 5}]`, "event: options.key must be a string, got 5"},
		{"event", `["a", {"since": true}]`, "event: options.since must be a Date"},
		{"event", `["a", {"tiemout": 5}]`, `has an unknown field "tiemout"; known are key, since, timeout`},
		{"event", `["a", "b"]`, `event: options must be an object such as {key, since, timeout}, got "b"`},
		{"message", `[{"timeout": "x"}]`, "message: options.timeout must be"},
		{"pick", `["main"]`, "pick: shard is missing; write pick(queue, shard, extra, {timeout})"},
		{"pick", `[5, 7, 1]`, "pick: queue must be a string, got 5"},
		{"pick", `["main", 7.5, 1]`, "pick: shard must be an integer, got 7.5"},
		{"pick", `[null, 7, 1]`, "pick: queue must be a string, number or boolean, because app.tasks is watched by it; got null"},
		{"pick", `["main", 7, 1, 5]`, "pick: options must be an object"},
		{"pick", `["main", 7, 1, {}, 5]`, "called with 5 arguments"},
		{"pick", `["a\u0000", 7, 1]`, "must not hold a NUL"},
	}
	for _, test := range tests {
		t.Run(test.name+test.args, func(t *testing.T) {
			t.Parallel()
			_, err := plan(t, test.name, test.args)
			var wrong *temporal.ArgumentError
			if !errors.As(err, &wrong) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an ArgumentError with %q", err, test.want)
			}
		})
	}
	if _, err := temporal.Plan("nothing", nil, temporal.Scope{}); !errors.Is(err, temporal.ErrUnknown) {
		t.Errorf("got %v, want ErrUnknown", err)
	}
}

// TestEqualWaitsShareAGroup also pins that what differs does not.
func TestEqualWaitsShareAGroup(t *testing.T) {
	t.Parallel()
	hash := func(name, args string) string {
		spec, err := plan(t, name, args)
		if err != nil {
			t.Fatal(err)
		}
		return string(spec.Group.Hash())
	}
	same := hash("pick", `["main", 7, {"a": 1}]`)
	for _, args := range []string{`["main", 7.0, {"a":1}]`, `["main", "7", { "a" : 1 }, {"timeout": 5}]`} {
		if hash("pick", args) != same {
			t.Errorf("%s is another group", args)
		}
	}
	for _, args := range []string{`["main2", 7, {"a": 1}]`, `["main", 8, {"a": 1}]`, `["main", 7, {"a": 2}]`} {
		if hash("pick", args) == same {
			t.Errorf("%s is the same group", args)
		}
	}
	if hash("event", `["a"]`) == hash("event", `["a", {"key": "k"}]`) {
		t.Error("a keyed event is the same group as one without key")
	}
}

func TestLongKeysAreDigested(t *testing.T) {
	t.Parallel()
	if got := temporal.DepKey(strings.Repeat("x", 200)); len(got) != 200 {
		t.Errorf("200 bytes became %d", len(got))
	}
	if got := temporal.DepKey(strings.Repeat("x", 201)); len(got) != 33 || got[0] != '#' {
		t.Errorf("got %q, want a digest", got)
	}
}

func TestBind(t *testing.T) {
	t.Parallel()
	params := []sqldef.Param{{Name: "a", Type: "text"}, {Name: "b", Type: "jsonb"}, {Name: "c", Type: "text[]"}, {Name: "d", Type: "numeric"}, {Name: "e", Type: "int"}}
	st := sqldef.Statement{Args: []string{"d", "c", "b", "a", "job_id", "e"}}
	args := `{"a":"x\"y","b":"q","c":["a,b","say \"hi\" \\",null,"NULL"],"d":1234567890123456789.0010,"e":null}`
	got, err := temporal.Bind(st, params, json.RawMessage(args), map[string]string{"job_id": "J"})
	if err != nil {
		t.Fatal(err)
	}
	want := [][]byte{[]byte("1234567890123456789.0010"), []byte(`{"a,b","say \"hi\" \\",NULL,"NULL"}`), []byte(`"q"`), []byte(`x"y`), []byte("J"), nil}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := temporal.Bind(sqldef.Statement{Args: []string{"value"}}, params, json.RawMessage(args), nil); err == nil {
		t.Error("an unknown parameter was bound")
	}
}
