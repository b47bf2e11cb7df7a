package temporal_test

import (
	"testing"

	"statek/internal/temporal"
)

func TestSweepIsSlowUntilSomethingGoesWrong(t *testing.T) {
	t.Parallel()
	s := temporal.FirstSweep()
	for range 20 {
		s = s.After(temporal.Round{Looked: 3})
	}
	if s.Quiet != temporal.QuietMost || s.Alert != 0 {
		t.Errorf("after quiet rounds: %+v, want the slowest", s)
	}
	busy := s.After(temporal.Round{Looked: s.Most})
	if busy != s {
		t.Errorf("a full round made it %+v, want no change from %+v: there is more to look at", busy, s)
	}
	for name, r := range map[string]temporal.Round{"a failed mark": {FailedMarks: 1}, "a catch": {Looked: 1, Caught: 1}} {
		alert := s.After(r)
		if alert.Quiet != 0 || alert.Most <= s.Most || alert.Alert < 2 {
			t.Errorf("after %s: %+v, want thorough rounds", name, alert)
		}
		rounds := 0
		for ; alert.Quiet == 0; rounds++ {
			alert = alert.After(temporal.Round{Looked: 1})
		}
		if rounds < 3 || alert.Quiet != temporal.QuietLeast {
			t.Errorf("after %s: %d thorough rounds, then %+v", name, rounds, alert)
		}
	}
}
