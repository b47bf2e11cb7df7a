package objects_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"statek/internal/objects"
)

// TestMergeAsTheRFCSays has the cases of RFC 7386, appendix A, and the document of its section 3.
func TestMergeAsTheRFCSays(t *testing.T) {
	t.Parallel()
	cases := []struct{ target, patch, want string }{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`["a","b"]`, `["c","d"]`, `["c","d"]`},
		{`{"a":"b"}`, `["c"]`, `["c"]`},
		{`{"a":"foo"}`, `null`, `null`},
		{`{"a":"foo"}`, `"bar"`, `"bar"`},
		{`{"e":null}`, `{"a":1}`, `{"e":null,"a":1}`},
		{`[1,2]`, `{"a":"b","c":null}`, `{"a":"b"}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
		{`{"title":"Goodbye!","author":{"givenName":"John","familyName":"Doe"},"tags":["example","sample"],"content":"This will be unchanged"}`,
			`{"title":"Hello!","phoneNumber":"+01-123-456-7890","author":{"familyName":null},"tags":["example"]}`,
			`{"title":"Hello!","author":{"givenName":"John"},"tags":["example"],"content":"This will be unchanged","phoneNumber":"+01-123-456-7890"}`},
	}
	for _, c := range cases {
		got, err := objects.Merge(json.RawMessage(c.target), json.RawMessage(c.patch))
		if err != nil || string(got) != c.want {
			t.Errorf("%s with %s: got %s (%v), want %s", c.target, c.patch, got, err, c.want)
		}
	}
}

// TestMergeKeepsBytes: what is not touched stays as it was written, in its place.
func TestMergeKeepsBytes(t *testing.T) {
	t.Parallel()
	cases := []struct{ target, patch, want string }{
		{`{"z":-0, "n":12345678901234567890.10,"a":{ "deep" : [1, 2] }}`, `{"m":1.0}`, `{"z":-0,"n":12345678901234567890.10,"a":{ "deep" : [1, 2] },"m":1.0}`},
		{`{"b":1,"a":2}`, `{"a":3,"b":4}`, `{"b":4,"a":3}`},
		{`{"\u0061":1}`, `{"a":2}`, `{"\u0061":2}`},
		{`{"a":1,"b":2,"a":3}`, `{"c":4}`, `{"a":3,"b":2,"c":4}`},
		{`{"\ud800":1,"\ud801":2,"\u0000":3}`, `{"\ud801":null}`, `{"\ud800":1,"\u0000":3}`},
		{`{"a":1}`, `{"a":null,"a":2}`, `{"a":2}`},
		{``, `{"a":{"b":null,"c":1}}`, `{"a":{"c":1}}`},
		{`{"a":"<&>\u2028"}`, ` {"b":"<&>"}`, `{"a":"<&>\u2028","b":"<&>"}`},
	}
	for _, c := range cases {
		got, err := objects.Merge(json.RawMessage(c.target), json.RawMessage(c.patch))
		if err != nil || string(got) != c.want {
			t.Errorf("%s with %s: got %s (%v), want %s", c.target, c.patch, got, err, c.want)
		}
	}
}

// TestMergeAgreesWithTheDefinition compares with the RFC's pseudo code over maps.
func TestMergeAgreesWithTheDefinition(t *testing.T) {
	t.Parallel()
	var define func(target, patch any) any
	define = func(target, patch any) any {
		changes, ok := patch.(map[string]any)
		if !ok {
			return patch
		}
		doc, ok := target.(map[string]any)
		if !ok {
			doc = map[string]any{}
		}
		for name, v := range changes {
			if v == nil {
				delete(doc, name)
			} else {
				doc[name] = define(doc[name], v)
			}
		}
		return doc
	}
	decode := func(t *rapid.T, text string) (v any) {
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return v
	}
	rapid.Check(t, func(t *rapid.T) {
		target, patch := document(t, 3), document(t, 3)
		got, err := objects.Merge(json.RawMessage(target), json.RawMessage(patch))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(define(decode(t, target), decode(t, patch)), decode(t, string(got))); diff != "" {
			t.Fatalf("%s with %s (-want +got):\n%s", target, patch, diff)
		}
	})
}

func document(t *rapid.T, depth int) string {
	kinds := 3
	if depth > 0 {
		kinds = 6
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return "null"
	case 1:
		return "-1.50"
	case 2:
		return `"text"`
	case 3:
		return "[" + document(t, depth-1) + "]"
	default:
		var list []string
		for range rapid.IntRange(0, 3).Draw(t, "members") {
			list = append(list, rapid.SampledFrom([]string{`"a"`, `"b"`, `"c"`}).Draw(t, "name")+": "+document(t, depth-1))
		}
		return "{" + strings.Join(list, ", ") + "}"
	}
}
