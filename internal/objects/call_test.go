package objects_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"statek/internal/objects"
)

func parse(t *testing.T, name, args string) (objects.Call, error) {
	t.Helper()
	var list []json.RawMessage
	if err := json.Unmarshal([]byte(args), &list); err != nil {
		t.Fatal(err)
	}
	return objects.Parse(name, list)
}

func TestParse(t *testing.T) {
	t.Parallel()
	version := func(v int64) *int64 { return &v }
	tests := []struct {
		name, args string
		want       objects.Call
	}{
		{objects.Get, `["tasks","a/b"]`, objects.Call{Collection: "tasks", Key: "a/b", Limit: 50}},
		{objects.Put, `["tasks","a",{"n":1.0}]`, objects.Call{Collection: "tasks", Key: "a", Value: json.RawMessage(`{"n":1.0}`), Limit: 50}},
		{objects.Put, `["tasks","a",null,{"version":7}]`, objects.Call{Collection: "tasks", Key: "a", Value: json.RawMessage(`null`), Expected: version(7), Limit: 50}},
		{objects.Put, `["tasks","a",1,{"version":null}]`, objects.Call{Collection: "tasks", Key: "a", Value: json.RawMessage(`1`), Expected: version(0), Limit: 50}},
		{objects.Put, `["tasks","a",1,null]`, objects.Call{Collection: "tasks", Key: "a", Value: json.RawMessage(`1`), Limit: 50}},
		{objects.Update, `["tasks","a",{"b":null},{"version":0}]`, objects.Call{Collection: "tasks", Key: "a", Value: json.RawMessage(`{"b":null}`), Expected: version(0), Limit: 50}},
		{objects.Delete, `["tasks","😀\u00e9"]`, objects.Call{Collection: "tasks", Key: "😀é", Limit: 50}},
		{objects.Delete, `["tasks","\ud83d\ude00",{"version":3}]`, objects.Call{Collection: "tasks", Key: "😀", Expected: version(3), Limit: 50}},
		{objects.List, `["tasks"]`, objects.Call{Collection: "tasks", Limit: 50}},
		{objects.List, `["tasks",{"prefix":"a/","after":"a/1","limit":200}]`, objects.Call{Collection: "tasks", Begins: "a/", After: "a/1", Limit: 200}},
	}
	for _, test := range tests {
		got, err := parse(t, test.name, test.args)
		if err != nil {
			t.Errorf("%s%s: %v", test.name, test.args, err)
			continue
		}
		test.want.Name = test.name
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s%s (-want +got):\n%s", test.name, test.args, diff)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, args, want string }{
		{objects.Get, `["tasks"]`, "objects.get: called with 1 arguments; write objects.get(collection, key)"},
		{objects.Get, `["tasks","a",{}]`, "called with 3 arguments"},
		{objects.Get, `[7,"a"]`, "objects.get: collection must be a string, got 7"},
		{objects.Get, `["my tasks","a"]`, `objects.get: collection must have 1 to 64 letters, digits, '_', '.' or '-', got "my tasks"`},
		{objects.Get, `["tasks",null]`, "key must be a string, got null"},
		{objects.Get, `["tasks",""]`, "key must have 1 to 512 bytes"},
		{objects.Get, `["tasks","` + strings.Repeat("é", 257) + `"]`, "got 514 bytes"},
		{objects.Get, `["tasks","a\u0000"]`, "no control characters"},
		{objects.Get, `["tasks","a\nb"]`, "no control characters"},
		{objects.Get, `["tasks","a\ud800"]`, "half of a surrogate pair"},
		{objects.Put, `["tasks","a"]`, "write objects.put(collection, key, value, {version})"},
		{objects.Put, `["tasks","a",1,7]`, "objects.put: options must be an object such as {version}, got 7"},
		{objects.Put, `["tasks","a",1,{"ver":7}]`, `has an unknown field "ver"; known are version`},
		{objects.Put, `["tasks","a",1,{"version":"7"}]`, "options.version must be a version, 0 or null"},
		{objects.Put, `["tasks","a",1,{"version":-1}]`, "got -1"},
		{objects.Put, `["tasks","a",1,{"version":1.5}]`, "got 1.5"},
		{objects.List, `["tasks",{"limit":201}]`, "objects.list: options.limit must be between 1 and 200, got 201"},
		{objects.List, `["tasks",{"prefix":5}]`, "options.prefix must be a string, got 5"},
		{objects.List, `["tasks",{"after":"\u0000"}]`, "no NUL"},
		{"objects.drop", `[]`, "is no function on objects"},
	}
	for _, test := range tests {
		_, err := parse(t, test.name, test.args)
		var wrong *objects.ArgumentError
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s%s: got %v, want an ArgumentError with %q", test.name, test.args, err, test.want)
		}
	}
}

// TestFunctionsAreKnown: what is shown can be called, and the other way round.
func TestFunctionsAreKnown(t *testing.T) {
	t.Parallel()
	for _, f := range objects.Functions() {
		if !objects.Known(f.Name) || !strings.HasPrefix(f.Signature, f.Name+"(") || f.Doc == "" {
			t.Errorf("%+v: want it known, with a signature of its name and a description", f)
		}
		if _, err := parse(t, f.Name, `[]`); f.Name != objects.Changed && !strings.Contains(err.Error(), "write "+f.Name) {
			t.Errorf("%s without arguments: %v", f.Name, err)
		}
	}
	if objects.Known("objects") || objects.Known("objects.drop") {
		t.Error("knows what is not there")
	}
}
