package jsvmtest

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"statek/internal/jsvm"
)

// trap defines variables in one cell and asks about them in another. With refused, the workspace must not be
// kept: a note says why, and so does whoever reads the variable.
type trap struct{ define, probe, refused string }

// Workspaces stores and restores what is known to be hard.
func Workspaces(t *testing.T, m jsvm.Machine) {
	t.Helper()
	for _, traps := range [][]trap{plainTraps, objectTraps, codeTraps, refusedTraps, spyTraps} {
		for _, trap := range traps {
			t.Run(trap.define, func(t *testing.T) {
				t.Parallel()
				trap.play(stage{t, m, jsvm.Limits{}})
			})
		}
	}
	t.Run("hostile rows", func(t *testing.T) {
		t.Parallel()
		hostileRows(t, m)
	})
	t.Run("random graphs", func(t *testing.T) {
		t.Parallel()
		left := graphCount
		rapid.Check(t, func(t *rapid.T) {
			if left > 0 {
				Graph(t, m)
				left--
			}
		})
	})
}

// Traps plays a corpus of definitions and probes: what a definition makes must answer the probe as if it had never
// been stored, or be refused loudly.
func Traps(t *testing.T, m jsvm.Machine, file string) {
	t.Helper()
	for _, c := range corpus[struct{ Define, Probe string }](t, file) {
		t.Run(c.Define, func(t *testing.T) {
			t.Parallel()
			s := stage{t, m, jsvm.Limits{}}
			live := s.open(nil)
			defer live.Close()
			defined := s.run(live, c.Define)
			if defined.State == jsvm.Failed && strings.Contains(defined.Err.Message, "not extensible") {
				return // the write was rejected: nothing can be lost
			}
			if defined.State != jsvm.Done {
				t.Fatalf("define: %+v", defined.Err)
			}
			changes := s.changes(live)
			vars := Merge(nil, changes)
			s.settled(vars, "after define")
			restored := s.open(vars)
			defer restored.Close()
			want, got := Outcome(s.run(live, c.Probe)), Outcome(s.run(restored, c.Probe))
			loud := len(changes.Notes) > 0 && strings.Contains(got, "was not kept")
			if got != want && !loud {
				t.Errorf("%s\n got %s\nwant %s\nrows %s", c.Probe, got, want, Rows(vars))
			}
		})
	}
}

// spies tells traps that only look whether their code runs: what else comes of them others test.
func (c trap) spies() bool { return strings.HasPrefix(c.define, spy) }

// graphCount bounds how many graphs Workspaces draws; a fuzz target over Graph draws as many as it likes.
const graphCount = 40

// play compares a session that lives through with one that is restored from what the first wrote.
func (c trap) play(s stage) {
	s.Helper()
	live := s.open(nil)
	defer live.Close()
	if step := s.run(live, c.define); step.Err != nil {
		s.Fatalf("define: %v", step.Err)
	}
	changes := s.changes(live)
	vars := Merge(nil, changes)
	s.settled(vars, "after define")
	restored := s.open(vars)
	defer restored.Close()
	want, got := Outcome(s.run(live, c.probe)), Outcome(s.run(restored, c.probe))
	notes := strings.Join(changes.Notes, "\n")
	if c.refused != "" {
		if !strings.Contains(notes, c.refused) || !strings.Contains(got, c.refused) {
			s.Errorf("want a refusal with %q, got notes %q, and from the probe %s\n%s", c.refused, notes, got, Rows(vars))
		}
		return
	}
	if c.spies() {
		notes = ""
	}
	if notes != "" || got != want || strings.HasPrefix(want, "!") {
		s.Errorf("live %s\nrestored %s\nnotes %q\n%s", want, got, notes, Rows(vars))
		return
	}
	if c.spies() && !strings.HasPrefix(got, "0") {
		s.Errorf("code of the cell ran: %s", got)
	}
	// The probe may have changed something. Both sessions write the same next generation.
	a, b := Merge(vars, s.changes(live)), Merge(vars, s.changes(restored))
	if Rows(a) != Rows(b) {
		s.Errorf("after the probe the live session has\n%sand the restored one\n%s", Rows(a), Rows(b))
	}
	s.settled(b, "after probe")
}
