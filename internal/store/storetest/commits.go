package storetest

import (
	"encoding/json"
	"errors"
	"slices"

	"github.com/google/uuid"

	"statek/internal/jobs"
	"statek/internal/temporal"
)

// commits is what is written together, and read again.
var commits = map[string]func(*kit){
	"a commit appends to history and moves the job": func(k *kit) {
		job, w := k.job(), k.worker()
		l := k.claim(job, w)
		l.commit(l.events(start(1), jobs.Console{Lines: []string{"a"}}))
		l.commit(l.events(jobs.Console{Lines: []string{"b"}}))
		k.same("history", []string{"1 submitted 0/0", "2 cell_started 1/0", "3 console 1/0", "4 console 1/0"}, k.history(job))
		again := k.claim(job, w)
		k.same("state", l.state, again.State)
		entries, err := k.World.History(k.ctx, job)
		k.must(err)
		folded, err := jobs.Fold(entries)
		k.must(err)
		k.same("fold", l.state, folded)
	},
	"a commit that does not follow history is refused, and is no fence": func(k *kit) {
		l := k.claim(k.job(), k.worker())
		c := l.events(start(1))
		l.commit(c)
		_, err := k.Jobs.Commit(k.ctx, c) // again, as after a reply that was lost
		if err == nil || errors.Is(err, jobs.ErrFenced) || errors.Is(err, jobs.ErrUnknownOutcome) {
			k.Errorf("commit = %v, want it refused", err)
		}
		k.same("rows", 2, len(k.history(l.Job)))
	},
	"whoever takes a job over knows the calls that its state trails": func(k *kit) {
		l := k.claim(k.job(), k.worker())
		l.commit(l.events(start(1), jobs.CallIssued{Call: 1, Name: "note", Class: jobs.Tool, Args: json.RawMessage("[]")}))
		for call := range 3 {
			c := l.events(jobs.CallSettled{Call: call + 1, Name: "note", Value: json.RawMessage("1")},
				jobs.CallIssued{Call: call + 2, Name: "note", Class: jobs.Tool, Args: json.RawMessage("[]")})
			c.Trailing = true
			k.same("released", false, l.commit(c))
		}
		again := l.events(jobs.CallSettled{Call: 4, Name: "note", Value: json.RawMessage("1")})
		again.Trailing = true
		l.commit(again)
		if _, err := k.Jobs.Commit(k.ctx, again); err == nil || errors.Is(err, jobs.ErrFenced) {
			k.Errorf("commit = %v, want it refused", err)
		}
		k.must(k.Jobs.HandOver(k.ctx, l.Hold))
		next := k.claim(l.Job, k.worker())
		k.same("state", l.state, next.State)
		k.same("rows", 10, len(k.history(l.Job)))
		next.commit(next.events(jobs.Console{Lines: []string{"x"}}))
		k.same("state", next.state, k.claim(l.Job, next.Owner).State)
	},
	"a call that is recorded with its result is two facts for all who read": func(k *kit) {
		l := k.claim(k.job(), k.worker())
		call := func(n int) []jobs.Event {
			return []jobs.Event{
				jobs.CallIssued{Call: n, Name: "note", Class: jobs.Tool, Args: json.RawMessage(`["\u0000",{"b":-0,"a":1}]`), Hash: "h", After: n - 1},
				jobs.CallSettled{Call: n, Name: "note", Value: json.RawMessage(`{"b":"\ud800","a":1}`), Now: 7},
			}
		}
		l.commit(l.events(append([]jobs.Event{start(1)}, call(1)...)...))
		c := l.events(call(2)...)
		c.Trailing = true
		l.commit(c)
		want := []string{"2 cell_started 1/0", "3 call_issued 1/1", "4 call_settled 1/1", "5 call_issued 1/2", "6 call_settled 1/2"}
		cell, err := k.Jobs.CellHistory(k.ctx, l.Job, 1, 2)
		k.must(err)
		k.same("cell", want, kinds(cell))
		k.same("call", call(2)[0], cell[3].Event)
		k.same("result", call(2)[1], cell[4].Event)
		k.same("history", append([]string{"1 submitted 0/0"}, want...), k.history(l.Job))
		shown, err := k.Jobs.ModelHistory(k.ctx, l.Job)
		k.must(err)
		k.same("shown", want, kinds(shown))
		k.same("state", l.state, k.claim(l.Job, l.Owner).State)
	},
	"mail is consumed with its commit and no other": func(k *kit) {
		job, w := k.job(), k.worker()
		for _, text := range []string{"a", "b", "c"} {
			k.put(job, "message", text)
		}
		l := k.claim(job, w)
		c := l.events(jobs.MessageReceived{Mail: l.Mail[1].ID, Payload: l.Mail[1].Payload})
		c.Mail = []int64{l.Mail[1].ID}
		stale := c
		stale.Epoch--
		_, err := k.Jobs.Commit(k.ctx, stale)
		k.fenced("a stale commit", err)
		k.same("mail", 3, len(k.mail(job)))
		l.commit(c)
		k.same("mail", []string{`message 0/0 "a"`, `message 0/0 "c"`}, k.mail(job))
	},
	"variables are kept until they are replaced or deleted": func(k *kit) {
		job, w := k.job(), k.worker()
		l := k.claim(job, w)
		c := l.events(start(1), jobs.CellEnded{State: "done"})
		c.Variables = []jobs.Workspace{{Cell: 1, Set: []jobs.Variable{
			{Name: "a", Value: []byte(`1`), Type: "number"}, {Name: "b", Value: []byte(`{"z":1,"a":-0}`), Type: "object"},
			{Name: "c", Type: "function", Refused: "a closure"},
		}}}
		l.commit(c)
		c = l.events(start(2), jobs.CellEnded{State: "done"})
		c.Variables = []jobs.Workspace{{
			Cell: 2, Set: []jobs.Variable{{Name: "a", Value: []byte(`2`), Type: "number"}}, Replaced: []string{"a"}, Deleted: []string{"c"},
		}}
		l.commit(c)
		k.same("variables", []jobs.Variable{
			{Name: "a", Value: []byte(`2`), Type: "number"}, {Name: "b", Value: []byte(`{"z":1,"a":-0}`), Type: "object"},
		}, byName(k.claim(job, w).Variables))
	},
	"a replay reads all of its cell and nothing else": func(k *kit) {
		job, w := k.job(), k.worker()
		l := k.claim(job, w)
		l.commit(l.events(start(1), jobs.Console{Lines: []string{"earlier"}}, jobs.CellEnded{State: "done"}))
		since := l.state.Seq + 1
		l.commit(l.events(start(2),
			jobs.CallIssued{Call: 1, Name: "event", Class: jobs.Wait, Args: json.RawMessage(`["x"]`)},
			jobs.CallIssued{Call: 2, Name: "message", Class: jobs.Wait, Args: json.RawMessage(`[]`)},
			jobs.WaitsJoined{Mode: temporal.Any, Calls: []int{1, 2}}, jobs.Console{Lines: []string{"x"}},
			jobs.Slept{On: []string{"event"}}, jobs.TakenOver{Worker: "w"},
			jobs.CallSettled{Call: 1, Name: "event", Value: json.RawMessage(`{"z":1,"a":-0}`)},
			jobs.ValueDiscarded{Cell: 2, Call: 1, Value: json.RawMessage(`1`)}, jobs.MessageReceived{Payload: json.RawMessage(`"m"`)},
		))
		entries, err := k.Jobs.CellHistory(k.ctx, job, 2, since)
		k.must(err)
		want := []string{
			"5 cell_started 2/0", "6 call_issued 2/1", "7 call_issued 2/2", "8 waits_joined 2/0", "9 console 2/0", "10 suspended 2/0",
			"12 call_settled 2/1", "13 value_discarded 2/1",
		}
		k.same("cell", want, kinds(entries))
		settled, _ := entries[6].Event.(jobs.CallSettled)
		k.same("bytes of a value", `{"z":1,"a":-0}`, string(settled.Value))
	},
	"a claim of a sleeping job brings its open cell": func(k *kit) {
		job := k.asleep(temporal.First, []int{1, 2}, wait{"event", `["x"]`}, wait{"message", `[]`})
		l := k.claim(job, k.worker())
		k.same("open cell", []string{"2 cell_started 1/0", "3 call_issued 1/1", "4 call_issued 1/2", "5 waits_joined 1/0", "6 suspended 1/0"}, kinds(l.Open))
	},
	"the model is shown what was said": func(k *kit) {
		l := k.claim(k.job(), k.worker())
		l.commit(l.events(start(1), jobs.CellEnded{State: "done", Exit: &jobs.Exit{}}, jobs.MessageReceived{Payload: json.RawMessage(`"m"`)},
			jobs.ModelRequested{Turn: 1, Attempt: 1}, jobs.ModelReplied{Turn: 1, Text: "t", Code: "c"}))
		entries, err := k.Jobs.ModelHistory(k.ctx, l.Job)
		k.must(err)
		k.same("dialogue", []string{"2 cell_started 1/0", "3 cell_ended 1/0", "4 message_received 0/0", "6 model_replied 0/0"}, kinds(entries))
		reply, err := k.Jobs.LastReply(k.ctx, l.Job)
		k.must(err)
		k.same("reply", jobs.ModelReplied{Turn: 1, Text: "t", Code: "c"}, reply)
	},
	"a tool's effect is there with its record": func(k *kit) {
		l := k.calling("note")
		k.must(k.SQL.RunTool(k.ctx, Note(l.Job, "one"), l.settles(1)))
		k.same("history", "4 call_settled 1/1", k.history(l.Job)[3])
		notes, err := k.World.Ledger(k.ctx)
		k.must(err)
		k.same("ledger", []string{"one"}, notes)
		entries, err := k.World.History(k.ctx, l.Job)
		k.must(err)
		settled, _ := entries[3].Event.(jobs.CallSettled)
		k.same("value", `"one"`, string(settled.Value))
	},
	"a tool's failure is recorded, and nothing of it is left": func(k *kit) {
		l := k.calling("note")
		k.must(k.SQL.RunTool(k.ctx, Note(l.Job, "fail"), l.settles(1)))
		entries, err := k.World.History(k.ctx, l.Job)
		k.must(err)
		settled, _ := entries[3].Event.(jobs.CallSettled)
		if settled.Error == nil || settled.Error.Name != "SQLError" || settled.Error.Code != "23514" {
			k.Errorf("recorded %v, want the refusal", settled.Error)
		}
		notes, err := k.World.Ledger(k.ctx)
		k.must(err)
		k.same("ledger", 0, len(notes))
	},
	"a tool whose record is refused leaves nothing": func(k *kit) {
		l := k.calling("note")
		told := errors.New("not told")
		no := errors.New("no")
		err := k.SQL.RunTool(k.ctx, Note(l.Job, "one"), func(json.RawMessage, *jobs.Fault) (jobs.Commit, jobs.Ended, error) {
			return jobs.Commit{}, nil, no
		})
		if !errors.Is(err, no) {
			k.Errorf("tool = %v, want what settling said", err)
		}
		stale := l.events(jobs.CallSettled{Call: 1, Name: "note", Value: json.RawMessage("1")})
		stale.Owner = uuid.New()
		err = k.SQL.RunTool(k.ctx, Note(l.Job, "one"), func(json.RawMessage, *jobs.Fault) (jobs.Commit, jobs.Ended, error) {
			return stale, func(_ bool, err error) { told = err }, nil
		})
		k.fenced("a tool of another owner", err)
		k.fenced("what settling was told", told)
		notes, err := k.World.Ledger(k.ctx)
		k.must(err)
		k.same("ledger", 0, len(notes))
	},
}

// calling is a job whose first cell has called a tool.
func (k *kit) calling(tool string) *life {
	k.Helper()
	l := k.claim(k.job(), k.worker())
	l.commit(l.events(start(1), jobs.CallIssued{Call: 1, Name: tool, Class: jobs.Tool, Args: json.RawMessage("[]")}))
	return l
}

// settles makes the commit of a call out of its result.
func (l *life) settles(call int) func(json.RawMessage, *jobs.Fault) (jobs.Commit, jobs.Ended, error) {
	return func(value json.RawMessage, f *jobs.Fault) (jobs.Commit, jobs.Ended, error) {
		before := l.state
		c := l.events(jobs.CallSettled{Call: call, Name: "note", Value: value, Error: f})
		return c, func(_ bool, err error) {
			if err != nil {
				l.state = before
			}
		}, nil
	}
}

func byName(vars []jobs.Variable) []jobs.Variable {
	return slices.SortedFunc(slices.Values(vars), func(a, b jobs.Variable) int { return slices.Compare([]byte(a.Name), []byte(b.Name)) })
}
