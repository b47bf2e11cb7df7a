package storetest

import (
	"encoding/json"
	"fmt"
	"sync"

	"github.com/google/uuid"

	"statek/internal/jobs"
	"statek/internal/temporal"
)

// riding is what the end of a job is that goes with the commit of its last call.
var riding = map[string]func(*kit){
	"the end of a job goes with its last call, and the job is let go": func(k *kit) {
		for _, batch := range []bool{false, true} {
			l := k.calling("note")
			waiter := k.asleep("", nil, wait{"job", fmt.Sprintf(`["%s"]`, l.Job)})
			call := Note(l.Job, "last")
			call.Batch = batch
			var told verdict
			k.must(k.SQL.RunTool(k.ctx, call, l.ends(&told)))
			k.same("told", verdict{Times: 1, Released: true}, told)
			k.quiet()
			k.same("rings", []jobs.ID{waiter}, k.rings()) // and none of a job that has ended
			k.same("mail of who waits for it", 1, len(k.mail(waiter)))
			k.same("history", l.endedWith("4 call_settled 1/1"), k.history(l.Job))
			k.isFree(l)
		}
		notes, err := k.World.Ledger(k.ctx)
		k.must(err)
		k.same("ledger", []string{"last", "last"}, notes)
	},
	"a job that was rung meanwhile ends with its last call, and its owner keeps it": func(k *kit) {
		for _, batch := range []bool{false, true} {
			l := k.calling("note")
			call := Note(l.Job, "last")
			call.Batch = batch
			k.knock(l.Job)
			var told verdict
			k.must(k.SQL.RunTool(k.ctx, call, l.ends(&told)))
			k.same("told", verdict{Times: 1}, told)
			k.same("mail", []string{`message 0/0 "wait"`}, k.mail(l.Job))
			k.same("history", l.endedWith("4 call_settled 1/1"), k.history(l.Job))
			released, err := k.Jobs.Release(k.ctx, l.Hold)
			k.must(err)
			k.same("released while it is rung", false, released)
			k.must(k.Jobs.ClearRung(k.ctx, l.Hold))
			released, err = k.Jobs.Release(k.ctx, l.Hold)
			k.must(err)
			k.same("released", true, released)
		}
	},
	"the doorbell of a job that ends with its last call is left to the next owner": func(k *kit) {
		l := k.calling("note")
		k.put(l.Job, "message", "nobody has seen it")
		var told verdict
		k.must(k.SQL.RunTool(k.ctx, Note(l.Job, "last"), l.ends(&told)))
		k.same("told", verdict{Times: 1, Released: true}, told)
		k.same("rings", []jobs.ID{l.Job}, k.rings())
		k.same("mail of the next owner", []string{`message 0/0 "nobody has seen it"`}, letters(k.claim(l.Job, k.worker()).Mail))
	},
	"the end of a job goes with a call that fails": func(k *kit) {
		l := k.calling("note")
		var told verdict
		k.must(k.SQL.RunTool(k.ctx, Note(l.Job, "fail"), l.ends(&told)))
		k.same("told", verdict{Times: 1, Released: true}, told)
		k.same("history", l.endedWith("4 call_settled 1/1"), k.history(l.Job))
		notes, err := k.World.Ledger(k.ctx)
		k.must(err)
		k.same("ledger", 0, len(notes))
		k.isFree(l)
	},
	"an end that is refused leaves the call open and the job with its owner": func(k *kit) {
		l := k.calling("note")
		before := l.state
		var told verdict
		err := k.SQL.RunTool(k.ctx, Note(l.Job, "last"), func(value json.RawMessage, f *jobs.Fault) (jobs.Commit, jobs.Ended, error) {
			c, ended, err := l.ends(&told)(value, f)
			c.Epoch--
			return c, ended, err
		})
		k.fenced("the end under a stale hold", err)
		k.same("told", verdict{Times: 1, Failed: true}, told)
		k.same("rows", 3, len(k.history(l.Job)))
		notes, err := k.World.Ledger(k.ctx)
		k.must(err)
		k.same("ledger", 0, len(notes))
		l.state = before
		var again verdict
		k.must(k.SQL.RunTool(k.ctx, Note(l.Job, "last"), l.ends(&again)))
		k.same("told", verdict{Times: 1, Released: true}, again)
		k.isFree(l)
	},
	"of calls that share a commit each job is let go for itself": func(k *kit) {
		w := k.worker()
		lives, told := make([]*life, 9), make([]verdict, 9)
		for i := range lives {
			lives[i] = k.claim(k.job(), w)
			lives[i].commit(lives[i].events(start(1), jobs.CallIssued{Call: 1, Name: "note", Class: jobs.Tool, Args: json.RawMessage("[]")}))
			if i%3 == 2 {
				k.knock(lives[i].Job)
			}
		}
		var group sync.WaitGroup
		errs := make([]error, len(lives))
		for i, l := range lives {
			settle := l.ends(&told[i])
			if i%3 == 0 {
				settle = l.notes(&told[i])
			}
			group.Go(func() {
				call := Note(l.Job, "one of many")
				call.Batch = true
				errs[i] = k.SQL.RunTool(k.ctx, call, settle)
			})
		}
		group.Wait()
		other := k.worker()
		for i, l := range lives {
			k.must(errs[i])
			k.same(fmt.Sprint("told ", i%3), verdict{Times: told[i].Times, Released: i%3 == 1}, told[i]) // a batch that came apart is told of, too
			if i%3 == 1 {
				k.isFree(l)
			} else {
				k.refused(l.Job, other, false)
			}
		}
		notes, err := k.World.Ledger(k.ctx)
		k.must(err)
		k.same("notes", len(lives), len(notes))
	},
	"values can be given back with the end of a job": func(k *kit) {
		for _, rung := range []bool{false, true} {
			l := k.calling("note")
			if rung {
				k.knock(l.Job)
			}
			var told verdict
			k.must(k.SQL.GiveBack(k.ctx, l.Job, Prefix, []temporal.Discard{{Cell: 1, Call: 1, Name: "event", Value: json.RawMessage("1")}},
				func(outcomes []string) (jobs.Commit, jobs.Ended, error) {
					k.same("outcomes", []string{""}, outcomes)
					return l.ends(&told)(json.RawMessage("1"), nil)
				}))
			k.same("told", verdict{Times: 1, Released: !rung}, told)
			if rung {
				k.refused(l.Job, k.worker(), false)
			} else {
				k.isFree(l)
			}
		}
	},
}

// knock is mail for a held job, whose doorbell somebody has answered in vain.
func (k *kit) knock(job jobs.ID) {
	k.Helper()
	k.put(job, "message", "wait")
	k.same("rings", []jobs.ID{job}, k.rings())
	k.refused(job, k.worker(), false)
}

// verdict is what was told of a commit that was handed out; Times counts how often that was.
type verdict struct {
	Times            int
	Released, Failed bool
}

func (v *verdict) hear(released bool, err error) {
	v.Times++
	v.Released, v.Failed = released, err != nil
}

// ends makes the commit of a call out of its result, and of the end of its job.
func (l *life) ends(told *verdict) func(json.RawMessage, *jobs.Fault) (jobs.Commit, jobs.Ended, error) {
	return l.settling(told, true, jobs.CellEnded{State: "done", Exit: &jobs.Exit{Result: json.RawMessage("7")}},
		jobs.Finished{Outcome: jobs.Succeeded, Result: json.RawMessage("7")})
}

// notes makes that of a call whose job goes on.
func (l *life) notes(told *verdict) func(json.RawMessage, *jobs.Fault) (jobs.Commit, jobs.Ended, error) {
	return l.settling(told, false)
}

func (l *life) settling(told *verdict, release bool, then ...jobs.Event) func(json.RawMessage, *jobs.Fault) (jobs.Commit, jobs.Ended, error) {
	return func(value json.RawMessage, f *jobs.Fault) (jobs.Commit, jobs.Ended, error) {
		before := l.state
		c := l.events(append([]jobs.Event{jobs.CallSettled{Call: 1, Name: "note", Value: value, Error: f}}, then...)...)
		c.Release = release
		return c, func(released bool, err error) {
			told.hear(released, err)
			if err != nil {
				l.state = before
			}
		}, nil
	}
}

func (l *life) endedWith(call string) []string {
	return []string{"1 submitted 0/0", "2 cell_started 1/0", "3 call_issued 1/1", call, "5 cell_ended 1/0", "6 finished 0/0"}
}

// isFree: nobody owns the job, which has ended.
func (k *kit) isFree(l *life) {
	k.Helper()
	next := k.claim(l.Job, k.worker())
	k.same("the owner before", uuid.Nil, next.Previous)
	k.same("status", jobs.Done, next.State.Status)
	k.same("state", l.state, next.State)
}
