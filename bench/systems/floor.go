package systems

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"statek/bench/contender"
	"statek/internal/app"
	"statek/internal/jsvm"
)

// floorSystem is Statek without a VM: the cell's two calls come from a machine that knows nothing else. What is left is the
// price of durability: submission, claim, calls with their records, workspace, end.
type floorSystem struct {
	app     *app.App
	stop    context.CancelFunc
	running sync.WaitGroup
}

func openFloor(ctx context.Context, databaseURL string) (contender.System, error) {
	return newFloor(ctx, databaseURL, false)
}

func openSharedFloor(ctx context.Context, databaseURL string) (contender.System, error) {
	return newFloor(ctx, databaseURL, true)
}

func newFloor(ctx context.Context, databaseURL string, shared bool) (contender.System, error) {
	if err := prepare(ctx, databaseURL); err != nil {
		return nil, err
	}
	a, err := app.Open(ctx, app.Config{DatabaseURL: databaseURL, Logger: quiet(), Machine: script{}})
	if err != nil {
		return nil, fmt.Errorf("systems: open Statek: %w", err)
	}
	if err := a.Migrate(ctx); err != nil {
		return nil, fmt.Errorf("systems: migrate Statek: %w", err)
	}
	_, err = a.Apply(ctx, definitions(shared), "/")
	if err := errors.Join(grant(ctx, databaseURL), err); err != nil {
		return nil, fmt.Errorf("systems: prepare Statek: %w", err)
	}
	worker, err := app.NewWorker(a, app.WorkerConfig{Logger: quiet()})
	if err != nil {
		return nil, fmt.Errorf("systems: make a worker: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	s := &floorSystem{app: a, stop: stop}
	s.running.Go(func() { _ = a.Run(ctx) })
	s.running.Go(func() { _ = worker.Run(ctx) })
	return s, nil
}

// Job implements contender.System.
func (s *floorSystem) Job(ctx context.Context) error {
	job, err := s.app.Submit(ctx, app.SubmitRequest{Role: "two_steps", SharedVars: map[string]json.RawMessage{"n": json.RawMessage("1")}})
	if err != nil {
		return err
	}
	job, err = s.app.WaitJob(ctx, job.ID, time.Minute)
	if err == nil && job.Outcome != "succeeded" {
		err = fmt.Errorf("systems: job %s is %s: %s %s", job.ID, job.Status, job.Error, job.BlockedWhy)
	}
	return err
}

// Sleeper implements contender.System.
func (s *floorSystem) Sleeper(context.Context) (func(context.Context) error, error) { return nil, nil }

// Close implements contender.System.
func (s *floorSystem) Close() {
	s.stop()
	s.running.Wait()
	s.app.Close()
}

// script is a machine whose every cell is twoStepsCell.
type script struct{}

// Analyze implements jsvm.Machine.
func (script) Analyze(_ context.Context, _, source string, _ jsvm.Limits) (jsvm.Analysis, error) {
	if source != twoStepsCell {
		return jsvm.Analysis{}, nil
	}
	return jsvm.Analysis{Free: []string{"add", "n", "exit"}, Called: []string{"add", "exit"}, Declared: []string{"a", "b"}}, nil
}

// Open implements jsvm.Machine.
func (script) Open(_ context.Context, setup jsvm.Setup) (jsvm.Session, error) {
	for _, v := range setup.Variables {
		if v.Name == "n" {
			return &scriptSession{n: v.Value}, nil
		}
	}
	return nil, errors.New("systems: the script needs n")
}

// scriptSession plays the cell; n, a and b are JSON texts.
type scriptSession struct{ n, a, b []byte }

// Run implements jsvm.Session.
func (s *scriptSession) Run(_ context.Context, cell jsvm.Cell) (jsvm.Step, error) {
	if len(cell.Recorded) > 0 {
		return jsvm.Step{}, errors.New("systems: the script cannot be replayed: do not interrupt a benchmark")
	}
	return s.call(1, s.n), nil
}

// Deliver implements jsvm.Session.
func (s *scriptSession) Deliver(_ context.Context, deliveries ...jsvm.Delivery) (jsvm.Step, error) {
	for _, d := range deliveries {
		switch {
		case d.Err != nil:
			return jsvm.Step{State: jsvm.Failed, Err: d.Err}, nil
		case s.a == nil:
			s.a = d.Value
			var a int
			if err := json.Unmarshal(s.a, &a); err != nil {
				return jsvm.Step{}, fmt.Errorf("systems: read a result: %w", err)
			}
			return s.call(2, fmt.Append(nil, a+1)), nil
		default:
			s.b = d.Value
		}
	}
	return jsvm.Step{State: jsvm.Done, Exit: &jsvm.Exit{Result: s.b}, Hash: "end"}, nil
}

func (s *scriptSession) call(id int, argument []byte) jsvm.Step {
	args := append(append([]byte{'['}, argument...), ']')
	return jsvm.Step{State: jsvm.Pending, Calls: []jsvm.Call{{ID: id, Name: "add", Args: args}}, Hash: fmt.Sprint("call ", id)}
}

// Changes implements jsvm.Session.
func (s *scriptSession) Changes(context.Context) (jsvm.Changes, error) {
	return jsvm.Changes{Set: []jsvm.Variable{{Name: "a", Value: s.a, Type: "number"}, {Name: "b", Value: s.b, Type: "number"}}}, nil
}

// Close implements jsvm.Session.
func (s *scriptSession) Close() {}
