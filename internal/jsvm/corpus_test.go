package jsvm_test

import (
	"context"
	"encoding/json"
	"testing"

	"statek/internal/jsvm"
)

// grants are two tools that give their first argument back.
var grants = []jsvm.Grant{{Name: "fetchIt"}, {Name: "search"}}

func open(t *testing.T, setup jsvm.Setup) jsvm.Session {
	t.Helper()
	if setup.Grants == nil {
		setup.Grants = grants
	}
	s, err := jsvm.NewInProcess().Open(t.Context(), setup)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// finish answers every call with its first argument until the cell ends.
func finish(ctx context.Context, s jsvm.Session, step jsvm.Step) (jsvm.Step, error) {
	var err error
	console := step.Console
	calls := step.Calls
	for step.State == jsvm.Pending {
		if len(calls) == 0 {
			break
		}
		call := calls[0]
		var args []json.RawMessage
		if err := json.Unmarshal(call.Args, &args); err != nil {
			return step, err
		}
		value := json.RawMessage("null")
		if len(args) > 0 {
			value = args[0]
		}
		if step, err = s.Deliver(ctx, jsvm.Delivery{Call: call.ID, Value: value}); err != nil {
			return step, err
		}
		calls = append(calls[1:], step.Calls...)
		console = append(console, step.Console...)
	}
	step.Console = console
	return step, nil
}

func run(t *testing.T, s jsvm.Session, source string) jsvm.Step {
	t.Helper()
	step, err := s.Run(t.Context(), jsvm.Cell{Number: 1, Source: source, Seed: 7, Now: 1_700_000_000_000})
	if err == nil {
		step, err = finish(t.Context(), s, step)
	}
	if err != nil {
		t.Fatalf("run %q: %v", source, err)
	}
	return step
}

// outcome renders a step as the corpus writes it.
func outcome(step jsvm.Step) string {
	switch {
	case step.Err != nil:
		return "!" + step.Err.Error()
	case step.Echo == "":
		return "undefined"
	}
	return step.Echo
}
