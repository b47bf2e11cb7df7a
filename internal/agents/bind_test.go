package agents_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"statek/internal/agents"
)

// testTools are the tools the binding tests call by name.
func testTools(t *testing.T) map[string]agents.Tool {
	t.Helper()
	tools := map[string]agents.Tool{
		"nothing": {Name: "nothing", Kind: agents.GoTool},
		"blob":    {Name: "blob", Kind: agents.GoTool, Params: []agents.Param{{Name: "data", Type: "any"}}},
		"ids":     {Name: "ids", Kind: agents.GoTool, Params: []agents.Param{{Name: "ids", Type: "number[]"}, {Name: "on", Type: "boolean"}}},
	}
	for file, text := range map[string]string{"setPriority.sql": setPriority, "notify.http.yaml": notify} {
		tool, err := agents.ParseTool(file, text)
		if err != nil {
			t.Fatal(err)
		}
		tools[tool.Name] = tool
	}
	return tools
}

func bind(t *testing.T, tool, args string) (string, error) {
	t.Helper()
	var list []json.RawMessage
	if err := json.Unmarshal([]byte(args), &list); err != nil {
		t.Fatal(err)
	}
	bound, err := agents.BindArgs(testTools(t)[tool], list)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(bound)
	if err != nil {
		t.Fatal(err)
	}
	return string(text), nil
}

func TestArgumentsBindByPlaceOrByName(t *testing.T) {
	t.Parallel()
	cases := []struct{ tool, args, want string }{
		{"setPriority", `[1, "high"]`, `{"priority":"high","ticket":1}`},
		{"setPriority", `[{"priority": "high", "ticket": "9007199254740993"}]`, `{"priority":"high","ticket":"9007199254740993"}`},
		{"setPriority", `[1, null]`, `{"priority":null,"ticket":1}`},
		{"setPriority", `[1, "x", null, null]`, `{"priority":"x","ticket":1}`},
		{"nothing", `[]`, `{}`},
		{"nothing", `[{}]`, `{}`},
		{"blob", `[{"data": 1}]`, `{"data":{"data":1}}`},
		{"blob", `[[1.50]]`, `{"data":[1.50]}`},
		{"ids", `[[1, 2e3], true]`, `{"ids":[1,2e3],"on":true}`},
		{"notify", `["ann", "hi"]`, `{"text":"hi","to":"ann"}`},
		{"notify", `["ann", "hi", null, {"n": null}]`, `{"extra":{"n":null},"text":"hi","to":"ann"}`},
		{"notify", `[{"to": "ann", "text": "hi", "channel": "sms"}]`, `{"channel":"sms","text":"hi","to":"ann"}`},
	}
	for _, c := range cases {
		t.Run(c.tool+c.args, func(t *testing.T) {
			t.Parallel()
			got, err := bind(t, c.tool, c.args)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestBadArgumentsNameFieldValueAndRemedy(t *testing.T) {
	t.Parallel()
	const remedy = "setPriority(ticket: number, priority: string)"
	cases := []struct{ tool, args, want string }{
		{"setPriority", `[1]`, "setPriority: argument priority is missing; call " + remedy},
		{"setPriority", `[{"ticket": 1}]`, "argument priority is missing; call " + remedy},
		{"setPriority", `[{}]`, "argument ticket is missing"},
		{"setPriority", `[1, "x", 3]`, "3 arguments were given; call " + remedy},
		{"setPriority", `[{"ticket": 1, "prority": "x"}]`, `argument "prority" is unknown; call ` + remedy},
		{"setPriority", `["abc", "x"]`, `argument ticket must be a number, got "abc"`},
		{"setPriority", `[1, 2]`, "argument priority must be a string, got 2"},
		{"ids", `[[1, "x"], true]`, "argument ids must be an array whose items are each a number"},
		{"ids", `[3, true]`, "argument ids must be an array of number, got 3"},
		{"ids", `[[], "yes"]`, "argument on must be true or false"},
		{"nothing", `[1]`, "1 arguments were given; call nothing()"},
		{"notify", `["", "hi"]`, `argument to is "": minLength: got 0, want 1; call notify(to: string`},
		{"notify", `["ann", "hi", "fax"]`, `argument channel is "fax": value must be one of 'mail', 'sms'`},
		{"notify", `["ann", "hi", null, {"n": "x"}]`, `argument extra/n is "x": got string, want null or integer`},
	}
	for _, c := range cases {
		t.Run(c.tool+c.args, func(t *testing.T) {
			t.Parallel()
			_, err := bind(t, c.tool, c.args)
			var ae *agents.ArgumentError
			if !errors.As(err, &ae) {
				t.Fatalf("got %v, want an *ArgumentError", err)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %q, want …%s…", err, c.want)
			}
		})
	}
}

func FuzzBindArgs(f *testing.F) {
	f.Add(`[1, "x"]`)
	f.Add(`[{"ticket": 1, "priority": "x"}]`)
	f.Add(`[{"to": {}, "text": null}]`)
	f.Fuzz(func(t *testing.T, args string) {
		var list []json.RawMessage
		if json.Unmarshal([]byte(args), &list) != nil {
			return
		}
		for name, tool := range testTools(t) {
			bound, err := agents.BindArgs(tool, list)
			var ae *agents.ArgumentError
			if err != nil && !errors.As(err, &ae) {
				t.Fatalf("%s%s: untyped error %v", name, args, err)
			}
			if err == nil && len(bound) > len(tool.Params) {
				t.Fatalf("%s%s bound %d arguments", name, args, len(bound))
			}
		}
	})
}
