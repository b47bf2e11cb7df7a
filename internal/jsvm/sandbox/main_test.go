package sandbox

import (
	"context"
	"encoding/json"
	"os"
	"testing"

	"go.uber.org/goleak"

	"statek/internal/jsvm"
)

func TestMain(m *testing.M) {
	Main()
	jsvm.PinUTC()
	if err := os.Setenv(secretName, makeSecret()); err != nil { //nolint:forbidigo // a secret that no child may see
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// grants are tools that give their first argument back, and a wait.
var grants = []jsvm.Grant{{Name: "fetchIt"}, {Name: "search"}, {Name: "wait", Wait: true}}

// newPool makes a pool that ends with the test.
func newPool(t testing.TB, cfg Config) *Pool {
	t.Helper()
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func open(t testing.TB, m jsvm.Machine, setup jsvm.Setup) jsvm.Session {
	t.Helper()
	if setup.Grants == nil {
		setup.Grants = grants
	}
	if setup.Prefix == "" {
		setup.Prefix = "/acme"
	}
	s, err := m.Open(t.Context(), setup)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// answer gives a call its first argument back.
func answer(call jsvm.Call) jsvm.Delivery {
	var args []json.RawMessage
	if err := json.Unmarshal(call.Args, &args); err != nil || len(args) == 0 {
		return jsvm.Delivery{Call: call.ID, Value: []byte("null")}
	}
	return jsvm.Delivery{Call: call.ID, Value: args[0]}
}

// finish answers every call until the cell ends.
func finish(ctx context.Context, s jsvm.Session, step jsvm.Step) (jsvm.Step, error) {
	var err error
	console, calls := step.Console, step.Calls
	for step.State == jsvm.Pending && len(calls) > 0 {
		if step, err = s.Deliver(ctx, answer(calls[0])); err != nil {
			return step, err
		}
		calls = append(calls[1:], step.Calls...)
		console = append(console, step.Console...)
	}
	step.Console = console
	return step, nil
}

func run(t testing.TB, s jsvm.Session, source string) jsvm.Step {
	t.Helper()
	step, err := s.Run(t.Context(), jsvm.Cell{Number: 1, Source: source, Seed: 7, Now: 1_700_000_000_000})
	if err == nil {
		step, err = finish(t.Context(), s, step)
	}
	if err != nil {
		t.Fatalf("run %.200q: %v", source, err)
	}
	return step
}

func outcome(step jsvm.Step) string {
	switch {
	case step.Err != nil:
		return "!" + step.Err.Error()
	case step.Echo == "":
		return "undefined"
	}
	return step.Echo
}

func readJSON[T any](t testing.TB, file string) T {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out T
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}
