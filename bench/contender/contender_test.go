package contender_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"statek/bench/contender"
)

// fake counts its jobs; the one numbered broken fails.
type fake struct {
	jobs, woken atomic.Int64
	broken      int64
	closed      bool
}

func (f *fake) Job(context.Context) error {
	if f.jobs.Add(1) == f.broken {
		return errors.New("the disk is full")
	}
	return nil
}

func (f *fake) Sleeper(context.Context) (func(context.Context) error, error) {
	return func(context.Context) error { f.woken.Add(1); return nil }, nil
}

func (f *fake) Close() { f.closed = true }

func serve(t *testing.T, f *fake, orders string) []contender.Answer {
	t.Helper()
	var out bytes.Buffer
	err := contender.Serve(t.Context(), strings.NewReader(orders), &out, func(context.Context) (contender.System, error) { return f, nil })
	if err != nil {
		t.Fatal(err)
	}
	var answers []contender.Answer
	for dec := json.NewDecoder(&out); dec.More(); {
		var a contender.Answer
		if err := dec.Decode(&a); err != nil {
			t.Fatal(err)
		}
		answers = append(answers, a)
	}
	if !f.closed {
		t.Error("the system was not closed")
	}
	return answers
}

// TestOrdersAreObeyed: each order is answered with as many latencies as jobs, after one answer to the opening.
func TestOrdersAreObeyed(t *testing.T) {
	t.Parallel()
	f := &fake{}
	answers := serve(t, f, `{"do":"load","n":50,"in_flight":7} {"do":"trickle","n":2} {"do":"wake","n":2}`)
	if len(answers) != 4 || f.jobs.Load() != 52 || f.woken.Load() != 2 {
		t.Fatalf("%d answers, %d jobs, %d woken; want 4, 52, 2", len(answers), f.jobs.Load(), f.woken.Load())
	}
	for i, want := range []int{0, 50, 2, 2} {
		if a := answers[i]; len(a.Latencies) != want || a.Err != "" {
			t.Errorf("answer %d: %d latencies, error %q; want %d and none", i, len(a.Latencies), a.Err, want)
		}
	}
}

// TestFailureEndsTheLoad: a job that fails makes the answer say so, and the jobs after it are not begun.
func TestFailureEndsTheLoad(t *testing.T) {
	t.Parallel()
	f := &fake{broken: 10}
	answers := serve(t, f, `{"do":"load","n":100000,"in_flight":3} {"do":"dance"}`)
	if got := answers[1].Err; got != "the disk is full" {
		t.Errorf("error = %q", got)
	}
	if n := f.jobs.Load(); n > 1000 {
		t.Errorf("%d jobs were run after one had failed", n)
	}
	if got := answers[2].Err; !strings.Contains(got, `got "dance"`) {
		t.Errorf("error = %q, want the order named", got)
	}
}
