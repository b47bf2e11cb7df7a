package temporal_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"statek/internal/objects"
	"statek/internal/temporal"
)

func objectGroup(args string, dep string) *temporal.Group {
	return &temporal.Group{Prefix: "/acme/dev", Kind: temporal.Object, Name: objects.Changed, Args: json.RawMessage(args), Deps: []string{dep}}
}

func TestPlanObjectChanged(t *testing.T) {
	t.Parallel()
	due := now.Add(time.Second)
	long := strings.Repeat("k", 300)
	tests := []struct {
		args  string
		due   *time.Time
		group *temporal.Group
	}{
		{`["cfg","a"]`, nil, objectGroup(`{"collection":"cfg","key":"a"}`, "object:/acme/dev:cfg:a")},
		{`["cfg","a",{"since":7,"timeout":"1s"}]`, &due, objectGroup(`{"collection":"cfg","key":"a","since":7}`, "object:/acme/dev:cfg:a")},
		{`["cfg","a",{"since":0}]`, nil, objectGroup(`{"collection":"cfg","key":"a","since":0}`, "object:/acme/dev:cfg:a")},
		{`["cfg","` + long + `"]`, nil, objectGroup(`{"collection":"cfg","key":"`+long+`"}`, "object:/acme/dev:cfg:"+temporal.DepKey(long))},
		{`["cfg"]`, nil, objectGroup(`{"collection":"cfg"}`, "object:/acme/dev:cfg")},
		{`["cfg",{"timeout":1000}]`, &due, objectGroup(`{"collection":"cfg"}`, "object:/acme/dev:cfg")},
		{`["cfg",null,{"since":"10:20:10,14"}]`, nil, objectGroup(`{"collection":"cfg","since":"10:20:10,14"}`, "object:/acme/dev:cfg")},
		{`["cfg",{"since":"10:10:"}]`, nil, objectGroup(`{"collection":"cfg","since":"10:10:"}`, "object:/acme/dev:cfg")},
	}
	for _, test := range tests {
		got, err := plan(t, objects.Changed, test.args)
		if err != nil {
			t.Errorf("%s: %v", test.args, err)
			continue
		}
		want := temporal.Spec{Kind: temporal.Object, Name: objects.Changed, Cell: 3, Call: 7, Due: test.due, Group: test.group}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.args, diff)
		}
	}
	if !temporal.BuiltIn(objects.Changed) || temporal.BuiltIn(objects.Get) {
		t.Error("of the functions on objects, changed alone is a wait")
	}
}

func TestPlanObjectChangedRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ args, want string }{
		{`[]`, "objects.changed: called with 0 arguments; write objects.changed(collection, key, {since, timeout})"},
		{`[5]`, "collection must be a string, got 5"},
		{`["a b"]`, "collection must have 1 to 64 letters"},
		{`["cfg",5]`, "key must be a string, got 5"},
		{`["cfg","a\n"]`, "no control characters"},
		{`["cfg","a",{"since":"7"}]`, "options.since must be a version of the object"},
		{`["cfg","a",{"since":-1}]`, "options.since must be a version"},
		{`["cfg",{"since":7}]`, "options.since must be the since of an earlier result, as it was; got 7"},
		{`["cfg",{"since":"7"}]`, "options.since must be the since"},
		{`["cfg",{"since":"20:10:"}]`, "options.since must be the since"},
		{`["cfg",{"since":"10:20:14,12"}]`, "options.since must be the since"},
		{`["cfg",{"since":"10:20:20"}]`, "options.since must be the since"},
		{`["cfg",{"since":"10:20:10,"}]`, "options.since must be the since"},
		{`["cfg",{"since":"0:1:"}]`, "options.since must be the since"},
		{`["cfg",{},{}]`, "called with 3 arguments"},
		{`["cfg","a",{"tiemout":1}]`, `has an unknown field "tiemout"; known are since, timeout`},
	}
	for _, test := range tests {
		_, err := plan(t, objects.Changed, test.args)
		var wrong *temporal.ArgumentError
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want an ArgumentError with %q", test.args, err, test.want)
		}
	}
}

// TestMarked: a wait that does not say since when gets it from its caller; one that does is left alone.
func TestMarked(t *testing.T) {
	t.Parallel()
	spec, err := plan(t, objects.Changed, `["cfg","a"]`)
	if err != nil {
		t.Fatal(err)
	}
	args, ok := temporal.Unmarked(spec)
	if !ok {
		t.Fatal("a wait without since is not found")
	}
	spec = temporal.Marked(spec, args, json.RawMessage("4"))
	if diff := cmp.Diff(objectGroup(`{"collection":"cfg","key":"a","since":4}`, "object:/acme/dev:cfg:a"), spec.Group); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, again := temporal.Unmarked(spec); again {
		t.Error("a wait with since is found again")
	}
	event, err := plan(t, "event", `["a"]`)
	if _, ok := temporal.Unmarked(event); err != nil || ok {
		t.Errorf("an event is taken for a wait for an object (%v)", err)
	}
}
