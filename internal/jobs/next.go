package jobs

import (
	"fmt"
	"time"
)

// next says what a job with nothing in flight must do. It is a function of the job alone, so a worker that
// takes the job over after a crash decides what the dead one would have decided.
func (j *Job) next(now time.Time) []Effect {
	switch {
	case j.Status.AtRest():
		return []Effect{Rest{}}
	case j.Status == Suspended:
		return []Effect{j.sleepOn(now)}
	case j.MustFail != "":
		return []Effect{End{Outcome: Failed, Error: j.MustFail}}
	case j.MustHalt != "":
		return []Effect{Halt{Reason: j.MustHalt}}
	case j.Cell != nil:
		return []Effect{Execute{}}
	case j.Status == Ready && j.RunAt > now.UnixMilli():
		return []Effect{Rest{Until: time.UnixMilli(j.RunAt)}}
	case j.Exit && j.Unread == 0:
		return []Effect{End{Outcome: Succeeded, Result: j.Result}}
	case j.Warm < j.Blocks:
		return []Effect{StartCell{Origin: FromWarmup, Index: j.Warm}}
	case j.Code:
		return []Effect{StartCell{Origin: FromReply, Index: j.Turns}}
	default:
		return j.ask(now)
	}
}

// ask requests the next turn, unless a limit is reached or the retry is not due.
func (j *Job) ask(now time.Time) []Effect {
	request, halt := j.request()
	switch {
	case halt != "":
		return []Effect{Halt{Reason: halt}}
	case j.askAt() > now.UnixMilli():
		return []Effect{Rest{Until: j.Wake()}}
	default:
		return []Effect{request}
	}
}

// request is what is to be asked next, or the limit that forbids it.
func (j *Job) request() (next AskModel, halt string) {
	l := j.Limits.WithDefaults()
	switch m := j.Model; {
	case m != nil && m.Attempt >= l.Attempts:
		return next, fmt.Sprintf("model request interrupted at its last attempt (%d)", m.Attempt)
	case m != nil:
		return AskModel{Turn: m.Turn, Attempt: m.Attempt + 1}, ""
	case j.Turns-j.BaseTurns >= l.Turns:
		return next, fmt.Sprintf("the budget of %d model turns is spent; resume grants as many again", l.Turns)
	case j.Exceptions-j.BaseExceptions >= l.Exceptions:
		return next, fmt.Sprintf("%d failed replies: the limit is reached; resume grants as many again", l.Exceptions)
	case j.Streak >= l.Consecutive:
		return next, fmt.Sprintf("%d failed replies in a row: the limit is reached; resume grants as many again", l.Consecutive)
	default:
		return AskModel{Turn: j.Turns + 1, Attempt: 1}, ""
	}
}

// reopen makes a DONE job run again.
func (j *Job) reopen() {
	j.Outcome, j.Result, j.Error, j.Exit = "", nil, "", false
	j.Status = Started
	j.grant()
}

// grant renews the budgets.
func (j *Job) grant() {
	j.BaseTurns, j.BaseExceptions, j.Streak = j.Turns, j.Exceptions, 0
}

// running is the state of a job that is neither asleep nor stopped.
func (j *Job) running() Status {
	switch {
	case j.Cells == 0 && j.Turns == 0 && j.Model == nil:
		return Ready
	case j.Warm < j.Blocks:
		return WarmingUp
	default:
		return Started
	}
}
