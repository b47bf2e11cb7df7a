package jsvm_test

import (
	"errors"
	"strings"
	"testing"

	"statek/internal/jsvm"
)

// TestADivergenceIsReadable: it says what was recorded, what came now, where they differ first, and how far the
// cell was; and it is short, whatever the arguments are.
func TestADivergenceIsReadable(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 5000)
	tests := map[string]struct {
		source   string
		recorded []jsvm.Call
		printed  []string
		want     string
	}{
		"an argument": {
			"await fetchIt(1); await search('q', {n: 2, list: [1, 2]})",
			[]jsvm.Call{{ID: 1, Name: "fetchIt", Args: []byte("[1]")}, {ID: 2, Name: "search", Args: []byte(`["q",{"n":2,"list":[1,3]}]`)}}, nil,
			"replay diverged at call 2, after 1 results\n" +
				"  recorded: search[\"q\",{\"n\":2,\"list\":[1,3]}]\n" +
				"  now:      search[\"q\",{\"n\":2,\"list\":[1,2]}]\n" +
				"  differs:  arguments[1].list[1]: 3, now 2",
		},
		"a name":        {"await fetchIt(1)", []jsvm.Call{{ID: 1, Name: "search", Args: []byte("[1]")}}, nil, "  differs:  the name: search, now fetchIt"},
		"a key":         {"await fetchIt({a: 1})", []jsvm.Call{{ID: 1, Name: "fetchIt", Args: []byte(`[{"b":1}]`)}}, nil, "arguments[0].a: was not there, now 1"},
		"another type":  {"await fetchIt({a: [1]})", []jsvm.Call{{ID: 1, Name: "fetchIt", Args: []byte(`[{"a":{"b":1}}]`)}}, nil, `arguments[0].a: {"b":1}, now [1]`},
		"order of keys": {"await fetchIt({a: 1, b: 2})", []jsvm.Call{{ID: 1, Name: "fetchIt", Args: []byte(`[{"b":2,"a":1}]`)}}, nil, "the order of keys"},
		"fewer calls":   {"print(1)", []jsvm.Call{{ID: 1, Name: "fetchIt", Args: []byte("[1]")}}, nil, "recorded: fetchIt[1]\n  now:      the cell ended as done"},
		"a line":        {"print('a'); print('c'); await fetchIt(2)", []jsvm.Call{{ID: 1, Name: "fetchIt", Args: []byte("[1]")}}, []string{"a", "b"}, "  console:  line 2 was \"b\", now \"c\""},
		"no syntax":     {"let = =", []jsvm.Call{{ID: 1, Name: "fetchIt", Args: []byte("[1]")}}, nil, "now:      SyntaxError"},
		"long ones":     {"await fetchIt('" + long + "b" + long + "')", []jsvm.Call{{ID: 1, Name: "fetchIt", Args: []byte(`["` + long + "a" + long + `"]`)}}, []string{long}, "xxb"},
		"long lines":    {"print('" + long + "ü'); await fetchIt(1)", []jsvm.Call{{ID: 1, Name: "fetchIt", Args: []byte(`[2]`)}}, []string{long + "ä"}, "console:  line 1 was"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, jsvm.Setup{})
			step, err := s.Run(t.Context(), jsvm.Cell{Number: 1, Source: test.source, Recorded: test.recorded, Printed: test.printed})
			if err == nil && step.State == jsvm.Pending {
				_, err = s.Deliver(t.Context(), jsvm.Delivery{Call: 1, Value: []byte("1"), Replay: true})
			}
			var diverged *jsvm.DivergedError
			if !errors.As(err, &diverged) || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v\nwant %s", err, test.want)
			}
			if len(err.Error()) > 2048 {
				t.Errorf("it has %d bytes", len(err.Error()))
			}
		})
	}
}

// TestADivergedStateIsReadable: when calls and arguments are the same, something else is not.
func TestADivergedStateIsReadable(t *testing.T) {
	t.Parallel()
	s := open(t, jsvm.Setup{})
	cell := jsvm.Cell{Number: 1, Source: "print(Math.random() < 2); await fetchIt(1)", Printed: []string{"false"}, Recorded: []jsvm.Call{{ID: 1, Name: "fetchIt", Args: []byte("[1]")}}}
	if _, err := s.Run(t.Context(), cell); err != nil {
		t.Fatal(err)
	}
	_, err := s.Deliver(t.Context(), jsvm.Delivery{Call: 1, Value: []byte("1"), Replay: true, Expect: "another"})
	for _, want := range []string{"after 0 results", "state another", "calls and arguments are the same", `line 1 was "false", now "true"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
