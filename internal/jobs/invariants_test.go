package jobs_test

import (
	"encoding/json"
	"slices"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"statek/internal/jobs"
)

// check holds the job to what is always true.
func (l *life) check(t *rapid.T) {
	j := l.job
	folded, err := jobs.Fold(l.history)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(folded, j); diff != "" {
		t.Fatalf("the fold of the history (-) is not the job (+):\n%s", diff)
	}
	var back jobs.Job
	if err := json.Unmarshal([]byte(encode(t, j)), &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(j, back); diff != "" {
		t.Fatalf("JSON reads back as another job:\n%s", diff)
	}
	l.checkShape(t)
	l.checkSets(t)
	l.checkLimits(t)
	l.checkClaim(t)
}

// checkShape: at most one thing is in flight, and every state means what it says.
func (l *life) checkShape(t *rapid.T) {
	j := l.job
	inFlight := 0
	for _, open := range []bool{j.Cell != nil, j.Model != nil, j.Code, j.Exit && j.Status != jobs.Done} {
		if open {
			inFlight++
		}
	}
	c := j.Cell
	for _, law := range []struct {
		broken bool
		says   string
	}{
		{inFlight > 1, "at most one of cell, model request, waiting code and exit is open"},
		{(j.Status == jobs.Done) != (j.Outcome != ""), "an outcome means DONE"},
		{j.Status == jobs.Done && inFlight > 0, "a DONE job has nothing open"},
		{j.Status == jobs.Suspended && (c == nil || len(c.Open) == 0 || !c.Resting()), "a SUSPENDED job has open waits and calls to be made again, nothing else"},
		{c != nil && slices.ContainsFunc(c.Open, func(p jobs.Pending) bool { return p.Class == jobs.Wait && (p.Failed || p.Attempt > 0) }), "waits have no attempts"},
		{c != nil && slices.ContainsFunc(c.Open, func(p jobs.Pending) bool { return !p.Failed && p.RetryAt != 0 }), "what is due again has failed"},
		{j.Status == jobs.Ready && j.Turns+j.Cells > 0, "nothing of a READY job has run"},
		{j.Status == jobs.WarmingUp && (j.Warm >= j.Blocks || j.Turns > 0), "a job that warms up has blocks left and no reply"},
		{j.Status == jobs.Started && j.Warm < j.Blocks, "a STARTED job is warm"},
		{j.NotBefore > 0 && (j.Status == jobs.Done || j.Cell != nil), "a drawn turn belongs to a job that is to ask"},
		{(j.Reason != "") != (j.Status == jobs.Paused), "a reason means PAUSED"},
		{j.Result != nil && !j.Exit && j.Outcome != jobs.Succeeded, "a result comes from exit"},
	} {
		if law.broken {
			t.Fatalf("%s: %s", law.says, encode(t, j))
		}
	}
}

// checkSets: an undecided set has at least two members, all of them open waits, and no wait is in two sets.
func (l *life) checkSets(t *rapid.T) {
	if l.job.Cell == nil {
		return
	}
	open := map[int]bool{}
	for _, p := range l.job.Cell.Open {
		open[p.Call] = p.Class == jobs.Wait
	}
	for _, s := range l.job.Cell.Sets {
		if len(s.Calls) < 2 {
			t.Fatalf("a set of %v: %s", s.Calls, showJob(l.job))
		}
		for _, call := range s.Calls {
			if !open[call] {
				t.Fatalf("call %d is in a set and is no open wait, or is in two: %s", call, showJob(l.job))
			}
			open[call] = false
		}
	}
}

// checkLimits: budgets and attempts are never overdrawn.
func (l *life) checkLimits(t *rapid.T) {
	j := l.job
	if m := j.Model; m != nil && m.Attempt > j.Limits.Attempts {
		t.Fatalf("attempt %d of %d", m.Attempt, j.Limits.Attempts)
	}
	if spent := j.Turns - j.BaseTurns; spent > j.Limits.Turns {
		t.Fatalf("%d turns of %d", spent, j.Limits.Turns)
	}
	if failed := j.Exceptions - j.BaseExceptions; failed > j.Limits.Exceptions {
		t.Fatalf("%d failures of %d", failed, j.Limits.Exceptions)
	}
	if j.Streak > j.Limits.Consecutive {
		t.Fatalf("%d failures in a row of %d", j.Streak, j.Limits.Consecutive)
	}
}

// checkClaim: whoever claims the job hears what to do, and it is what the last event's owner heard.
func (l *life) checkClaim(t *rapid.T) {
	j := l.job
	_, effects, err := jobs.Step(j, jobs.Claimed{}, l.now)
	if err != nil || len(effects) != 1 {
		t.Fatalf("a claim of %s: effects %v, error %v", showJob(j), effects, err)
	}
	if rest, ok := effects[0].(jobs.Rest); ok {
		asleep := j.Status == jobs.Done || j.Status == jobs.Paused || j.Status == jobs.Suspended
		if !asleep && !rest.Until.After(l.now) {
			t.Fatalf("nothing to do, and it neither rests nor sleeps: %s", showJob(j))
		}
		if j.Status == jobs.Suspended && !rest.Until.IsZero() && !rest.Until.After(l.now) {
			t.Fatalf("an attempt is due, and it sleeps: %s", showJob(j))
		}
		if (!asleep || j.Status == jobs.Suspended) && !rest.Until.Equal(j.Wake()) {
			t.Fatalf("rests until %s, but is woken at %s", rest.Until, j.Wake())
		}
	}
	if len(l.effects) != 1 || j.Cell != nil || j.Model != nil && !j.Model.Failed {
		return // a live VM or request knows more than a claim does
	}
	_, old := l.effects[0].(jobs.Rest) // the clock may have moved on since
	if diff := cmp.Diff(effects, l.effects); diff != "" && !old {
		t.Fatalf("%s: a claim (-) and the event's owner (+) hear different things:\n%s", sort(l.last), diff)
	}
}
