package temporal_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"statek/internal/temporal"
)

func TestAfter(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		in   temporal.Evaluation
		want temporal.Decision
	}{
		"nobody waits":       {temporal.Evaluation{Recheck: time.Second}, temporal.Decision{State: temporal.Empty}},
		"not ready":          {temporal.Evaluation{Waiters: 1}, temporal.Decision{State: temporal.Idle}},
		"not ready, recheck": {temporal.Evaluation{Waiters: 1, Recheck: time.Second}, temporal.Decision{State: temporal.Idle, Retry: time.Second}},
		"served":             {temporal.Evaluation{Waiters: 1, Served: 2}, temporal.Decision{State: temporal.Served}},
		"served all it may":  {temporal.Evaluation{Waiters: 1, Served: 2, Full: true}, temporal.Decision{State: temporal.Served, Again: true, Retry: temporal.FullAgain}},
		"locked by others": {temporal.Evaluation{Waiters: 1, Ready: true},
			temporal.Decision{State: temporal.Contended, Retry: 10 * time.Millisecond, Attempts: 1}},
		"still locked": {temporal.Evaluation{Waiters: 1, Ready: true, Last: temporal.Contended, Attempts: 3},
			temporal.Decision{State: temporal.Contended, Retry: 80 * time.Millisecond, Attempts: 4}},
		"served some, one locked": {temporal.Evaluation{Waiters: 1, Served: 1, Ready: true, Last: temporal.Contended, Attempts: 9},
			temporal.Decision{State: temporal.Contended, Retry: 10 * time.Millisecond, Attempts: 1}},
		"deadlock": {temporal.Evaluation{Waiters: 1, Err: "x", Transient: true},
			temporal.Decision{State: temporal.Contended, Retry: 10 * time.Millisecond, Attempts: 1}},
		"failed": {temporal.Evaluation{Waiters: 1, Err: "x", Last: temporal.Contended, Attempts: 9},
			temporal.Decision{State: temporal.Failed, Retry: time.Second, Attempts: 1}},
		"failed again": {temporal.Evaluation{Waiters: 1, Err: "x", Last: temporal.Failed, Attempts: 2},
			temporal.Decision{State: temporal.Failed, Retry: 4 * time.Second, Attempts: 3}},
	} {
		if diff := cmp.Diff(test.want, temporal.After(test.in)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestBackoffGrowsAndIsBounded repeats one outcome and follows the times between looks.
func TestBackoffGrowsAndIsBounded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		failing := rapid.Bool().Draw(t, "failing")
		least, most := temporal.ContendedLeast, temporal.ContendedMost
		e := temporal.Evaluation{Waiters: 1, Ready: true, Last: temporal.Idle}
		if failing {
			least, most = temporal.FailedLeast, temporal.FailedMost
			e = temporal.Evaluation{Waiters: 1, Err: "x", Last: temporal.Idle}
		}
		var last time.Duration
		for range rapid.IntRange(1, 200).Draw(t, "looks") {
			d := temporal.After(e)
			if d.Retry < max(last, least) || d.Retry > most || d.Again {
				t.Fatalf("after %v came %+v; want between %v and %v, growing", last, d, least, most)
			}
			last, e.Last, e.Attempts = d.Retry, d.State, d.Attempts
		}
	})
}

// TestSomethingAlwaysLooksAgain: while the condition holds or fails, no decision leaves the group alone.
func TestSomethingAlwaysLooksAgain(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		e := temporal.Evaluation{
			Waiters: rapid.IntRange(1, 3).Draw(t, "waiters"), Served: rapid.IntRange(0, 20).Draw(t, "served"),
			Ready: rapid.Bool().Draw(t, "ready"), Full: rapid.Bool().Draw(t, "full"),
			Err:       rapid.SampledFrom([]string{"", "broken"}).Draw(t, "err"),
			Transient: rapid.Bool().Draw(t, "transient"),
			Last:      rapid.SampledFrom([]temporal.State{"", temporal.Idle, temporal.Contended, temporal.Failed}).Draw(t, "last"),
			Attempts:  rapid.IntRange(-1, 1<<30).Draw(t, "attempts"),
			Recheck:   rapid.SampledFrom([]time.Duration{0, time.Second}).Draw(t, "recheck"),
		}
		d := temporal.After(e)
		owes := e.Ready || e.Full || e.Err != "" || e.Recheck > 0
		if owes && d.Retry == 0 && !d.Again {
			t.Fatalf("%+v is left alone: %+v", e, d)
		}
	})
}
