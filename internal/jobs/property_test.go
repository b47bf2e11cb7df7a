package jobs_test

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"statek/internal/jobs"
	"statek/internal/temporal"
)

// TestRandomLives drives jobs the way an engine does: it does what the effects say, with random results, and
// between any two events the worker may crash, mail may come, and an event may be tried twice. After every
// event check holds the job to what doc.go promises.
func TestRandomLives(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := newLife(t)
		t.Repeat(map[string]func(*rapid.T){
			"":        l.check,
			"work":    l.work,
			"work on": l.work, // twice as likely as the rest
			"crash":   l.crash,
			"mail":    l.mail,
			"wait":    func(*rapid.T) { l.now = l.now.Add(3 * time.Second) },
			"again":   l.again,
			"nonsense": func(t *rapid.T) {
				l.try(t, rapid.SampledFrom(moves(l.job)).Draw(t, "event"))
			},
		})
		l.rescue(t)
	})
}

// life is one job with its worker.
type life struct {
	job     jobs.Job
	history []jobs.Entry
	effects []jobs.Effect
	now     time.Time
	mails   int64
	last    jobs.Event
}

func newLife(t *rapid.T) *life {
	l := &life{now: start}
	limits := jobs.Limits{
		Turns:       rapid.IntRange(1, 4).Draw(t, "turns"),
		Exceptions:  rapid.IntRange(1, 3).Draw(t, "exceptions"),
		Consecutive: rapid.IntRange(1, 3).Draw(t, "consecutive"),
		Attempts:    rapid.IntRange(1, 3).Draw(t, "attempts"),
	}
	ev := jobs.Submitted{Blocks: rapid.IntRange(0, 3).Draw(t, "blocks"), Limits: limits}
	if rapid.Bool().Draw(t, "delayed") {
		ev.RunAt = start.Add(5 * time.Second).UnixMilli()
	}
	l.must(t, ev)
	return l
}

// must applies an event that has to be legal.
func (l *life) must(t *rapid.T, ev jobs.Event) {
	if err := l.apply(t, ev); err != nil {
		t.Fatalf("%s after %s: %v", sort(ev), showJob(l.job), err)
	}
}

// try applies an event that may be illegal; the job goes on either way.
func (l *life) try(t *rapid.T, ev jobs.Event) {
	var illegal *jobs.IllegalError
	if err := l.apply(t, ev); err != nil && !errors.As(err, &illegal) {
		t.Fatalf("%s: expected an IllegalError, got %v", sort(ev), err)
	}
}

func (l *life) apply(t *rapid.T, ev jobs.Event) error {
	before, input := l.job, encode(t, l.job)
	next, effects, err := jobs.Step(l.job, ev, l.now)
	if after := encode(t, l.job); input != after {
		t.Fatalf("%s changed its input:\n%s\n%s", sort(ev), input, after)
	}
	if err != nil {
		if diff := cmp.Diff(before, next); diff != "" || effects != nil {
			t.Fatalf("a refused %s changed the job:\n%s", sort(ev), diff)
		}
		return err
	}
	want := before.Seq + 1
	if _, asked := ev.(jobs.Claimed); asked {
		want--
		if diff := cmp.Diff(before, next); diff != "" {
			t.Fatalf("a claim changed the job:\n%s", diff)
		}
	} else {
		l.history = append(l.history, jobs.Entry{Seq: next.Seq, At: l.now, Event: ev})
	}
	if next.Seq != want {
		t.Fatalf("%s: expected seq %d, got %d", sort(ev), want, next.Seq)
	}
	l.terminal(t, before, next, ev)
	l.job, l.effects, l.last = next, effects, ev
	return nil
}

// terminal: a job leaves DONE only by a message after success or by resume, and PAUSED only by resume or its end.
func (l *life) terminal(t *rapid.T, before, next jobs.Job, ev jobs.Event) {
	if before.Status == jobs.Paused && next.Status != jobs.Paused {
		switch ev.(type) {
		case jobs.Resumed, jobs.Finished:
		default:
			t.Fatalf("%s ended a pause", sort(ev))
		}
	}
	if before.Status != jobs.Done || next.Status == jobs.Done {
		return
	}
	switch ev.(type) {
	case jobs.MessageReceived:
		if before.Outcome == jobs.Succeeded {
			return
		}
	case jobs.Resumed:
		if before.Outcome != jobs.Succeeded {
			return
		}
	}
	t.Fatalf("%s reopened a job that has %s", sort(ev), before.Outcome)
}

// work performs the next effect; a worker without one asks.
func (l *life) work(t *rapid.T) {
	if len(l.effects) == 0 {
		l.must(t, jobs.Claimed{})
	}
	if ev := l.perform(t, l.effects[0]); ev != nil {
		l.must(t, ev)
	}
}

// perform draws what comes of an effect.
func (l *life) perform(t *rapid.T, e jobs.Effect) jobs.Event {
	switch e := e.(type) {
	case jobs.StartCell:
		return jobs.CellStarted{Cell: l.job.Cells + 1, Origin: e.Origin, Index: e.Index}
	case jobs.Execute, jobs.Deliver, jobs.Perform, jobs.Withdraw:
		return l.drain(t)
	case jobs.AskModel:
		if rapid.IntRange(0, 3).Draw(t, "turn") == 0 {
			return jobs.ModelDelayed{Turn: e.Turn, Attempt: e.Attempt, Until: l.now.Add(2 * time.Second).UnixMilli()}
		}
		return jobs.ModelRequested{Turn: e.Turn, Attempt: e.Attempt}
	case jobs.Send:
		return l.answer(t)
	case jobs.Halt:
		return jobs.Halted{Reason: e.Reason}
	case jobs.End:
		return jobs.Finished{Outcome: e.Outcome, Result: e.Result, Error: e.Error}
	default: // Rest
		return nil
	}
}

// drain is what running code may bring about.
func (l *life) drain(t *rapid.T) jobs.Event {
	c := l.job.Cell
	fault := &jobs.Fault{Message: "oops"}
	events := []jobs.Event{
		jobs.Console{Lines: []string{"hi"}},
		jobs.CallIssued{Call: c.Issued + 1, Name: "lookup", Class: jobs.Tool},
		jobs.CallIssued{Call: c.Issued + 1, Name: "message", Class: jobs.Wait},
		jobs.CellEnded{State: "aborted", Error: fault},
		jobs.CellEnded{State: "done", Exit: &jobs.Exit{Result: json.RawMessage("1")}},
	}
	if c.OnlyWaits() {
		events = append(events, jobs.CellEnded{State: "done"}, jobs.CellEnded{State: "failed", Error: fault})
	}
	if len(c.Open) > 0 && c.Resting() {
		events = append(events, jobs.Slept{})
	}
	retry := l.now.Add(2 * time.Second).UnixMilli()
	for _, p := range c.Open {
		switch {
		case p.Class == jobs.Wait:
		case p.Failed && p.RetryAt <= l.now.UnixMilli() && l.job.MustHalt == "":
			return jobs.CallRetried{Call: p.Call, Name: p.Name, Attempt: p.Attempt + 1}
		case !p.Failed:
			events = append(events, jobs.CallFailed{Call: p.Call, Name: p.Name, Attempt: max(p.Attempt, 1), Error: fault, RetryAt: retry},
				jobs.CallFailed{Call: p.Call, Name: p.Name, Attempt: max(p.Attempt, 1), Error: fault, Pause: true})
			events = append(events, jobs.CallSettled{Call: p.Call, Name: p.Name, Value: json.RawMessage("null")})
		}
	}
	var free []int
	for _, p := range c.Open {
		if p.Class == jobs.Wait && !slices.ContainsFunc(c.Sets, func(s jobs.Set) bool { return slices.Contains(s.Calls, p.Call) }) {
			free = append(free, p.Call)
		}
	}
	if len(free) > 1 {
		mode := rapid.SampledFrom([]temporal.Mode{temporal.First, temporal.Any}).Draw(t, "mode")
		events = append(events, jobs.WaitsJoined{Mode: mode, Calls: free}, jobs.WaitsJoined{Mode: mode, Calls: free[:2]})
	}
	if l.job.Status == jobs.Suspended {
		t.Fatalf("nothing is due, and the sleeping cell is to run: %s", showJob(l.job))
	}
	return rapid.SampledFrom(events).Draw(t, "drain")
}

// answer is what a request may come to.
func (l *life) answer(t *rapid.T) jobs.Event {
	m := l.job.Model
	retry := l.now.Add(2 * time.Second).UnixMilli()
	return rapid.SampledFrom([]jobs.Event{
		jobs.ModelReplied{Turn: m.Turn, Code: "x"},
		jobs.ModelReplied{Turn: m.Turn, Code: "x"},
		jobs.ModelReplied{Turn: m.Turn, Bad: "no code"},
		jobs.ModelReplied{Turn: m.Turn, Final: true},
		jobs.ModelFailed{Turn: m.Turn, Attempt: m.Attempt, Error: "503", Retryable: true, RetryAt: retry},
		jobs.ModelFailed{Turn: m.Turn, Attempt: m.Attempt, Error: "401"},
	}).Draw(t, "answer")
}

// crash: the worker is gone; another takes over and asks.
func (l *life) crash(t *rapid.T) {
	if rapid.Bool().Draw(t, "noticed") {
		l.must(t, jobs.TakenOver{Worker: "w", Epoch: 2})
	}
	l.must(t, jobs.Claimed{})
}

// mail puts in a row of any kind. What it means is legal whatever the job is doing.
func (l *life) mail(t *rapid.T) {
	l.mails++
	kinds := []string{"message", "interrupt", "resolved", "timeout", "rejected", "cancel", "pause", "resume", "resume"}
	m := jobs.Mail{ID: l.mails, Kind: rapid.SampledFrom(kinds).Draw(t, "kind"), Payload: json.RawMessage(`"hi"`)}
	if c := l.job.Cell; c != nil {
		m.Cell, m.Call = c.Number, rapid.IntRange(1, max(1, c.Issued)).Draw(t, "call")
		for _, p := range c.Open {
			if p.Call == m.Call && p.Class == jobs.Tool {
				return // nobody resolves a tool call by mail
			}
		}
	}
	events, later := jobs.Open(l.job, m, l.now)
	if later && len(events) > 0 {
		t.Fatalf("%s is kept for later, with events %v", m.Kind, events)
	}
	if later && l.job.Cell == nil {
		l.codeComesFirst(t)
	}
	was := l.effects
	for _, ev := range events {
		l.must(t, ev)
	}
	if len(events) > 0 && l.effects == nil {
		l.effects = was // nothing new to do: what was being done goes on
	}
}

// codeComesFirst: mail is kept for code; what the model would be asked or the job end without is not kept.
func (l *life) codeComesFirst(t *rapid.T) {
	_, effects, err := jobs.Step(l.job, jobs.Claimed{}, l.now)
	if err != nil {
		t.Fatal(err)
	}
	switch effects[0].(type) {
	case jobs.StartCell, jobs.Rest:
	default:
		t.Fatalf("a message is kept in the mailbox although the next is %T: %s", effects[0], showJob(l.job))
	}
}

// again applies the last event once more, as a confused worker might.
func (l *life) again(t *rapid.T) {
	switch l.last.(type) {
	case jobs.Claimed, jobs.TakenOver, jobs.Console, jobs.MessageReceived, jobs.ValueDiscarded, jobs.WaitsJoined, jobs.ModelDelayed:
		return // these may come twice, and what has joined already changes nothing
	}
	if _, _, err := jobs.Step(l.job, l.last, l.now); err == nil {
		t.Fatalf("%s was accepted twice: %s", sort(l.last), showJob(l.job))
	}
}

// rescue: whatever happened, a resumed job in good hands comes to an end.
func (l *life) rescue(t *rapid.T) {
	if l.job.Status == jobs.Done {
		return
	}
	if l.job.Status == jobs.Paused {
		l.must(t, jobs.Resumed{})
	}
	l.now = l.now.Add(time.Hour)
	for range 60 {
		l.must(t, jobs.Claimed{})
		switch e := l.effects[0].(type) {
		case jobs.Execute:
			for _, p := range l.job.Cell.Open {
				if p.Failed {
					l.must(t, jobs.CallRetried{Call: p.Call, Name: p.Name, Attempt: p.Attempt + 1})
				}
			}
			l.must(t, jobs.CellEnded{State: "done", Exit: &jobs.Exit{}})
		case jobs.AskModel:
			l.must(t, jobs.ModelRequested{Turn: e.Turn, Attempt: e.Attempt})
			l.must(t, jobs.ModelReplied{Turn: e.Turn, Final: true})
		case jobs.Rest:
			if l.job.Status == jobs.Suspended {
				p := l.job.Cell.Open[0]
				if p.Failed {
					t.Fatalf("its attempt is due, and it rests: %s", showJob(l.job))
				}
				l.must(t, jobs.CallSettled{Call: p.Call, Value: json.RawMessage("1")})
				continue
			}
			if l.job.Status != jobs.Done {
				t.Fatalf("rests for ever: %s", showJob(l.job))
			}
			return
		case jobs.Halt:
			l.must(t, jobs.Halted{Reason: e.Reason})
			l.must(t, jobs.Resumed{})
		default:
			l.must(t, l.perform(t, e))
		}
	}
	t.Fatalf("came to no end: %s", showJob(l.job))
}

func encode(t *rapid.T, job jobs.Job) string {
	b, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
