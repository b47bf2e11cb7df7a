package jobs

import (
	"fmt"
	"time"
)

// IllegalError is a move that the state machine refuses.
type IllegalError struct {
	Status Status
	Event  string
	Why    string
}

// Error implements error.
func (e *IllegalError) Error() string {
	return fmt.Sprintf("jobs: %s is illegal in state %s: %s", e.Event, e.Status, e.Why)
}

// Step applies one event: it returns the job afterwards and what must happen next. It is the only place
// where a job's state is decided. On an error the job is returned unchanged.
func Step(job Job, ev Event, now time.Time) (Job, []Effect, error) {
	next := job.clone()
	effects, why := next.apply(ev, now)
	if why != "" {
		return job, nil, &IllegalError{Status: job.Status, Event: ev.Kind(), Why: why}
	}
	if _, asked := ev.(Claimed); !asked {
		next.Seq++
	}
	return next, effects, nil
}

// apply changes j by one event; a non-empty second result says why the event is illegal.
func (j *Job) apply(ev Event, now time.Time) ([]Effect, string) {
	if _, first := ev.(Submitted); first != (j.Status == "") {
		return nil, "a history starts with submitted, once"
	}
	switch ev := ev.(type) {
	case Submitted:
		return j.submitted(ev)
	case Claimed:
		return j.next(now), ""
	case TakenOver:
		return nil, ""
	case CellStarted:
		return j.cellStarted(ev)
	case CallIssued:
		return j.callIssued(ev)
	case CallSettled:
		return j.callSettled(ev)
	case Console:
		return nil, j.needCell()
	case Slept:
		return j.slept()
	case CellEnded:
		return j.cellEnded(ev, now)
	case ModelRequested:
		return j.modelRequested(ev)
	case ModelReplied:
		return j.modelReplied(ev, now)
	case ModelFailed:
		return j.modelFailed(ev, now)
	case MessageReceived:
		return j.messageReceived(now), ""
	case ValueDiscarded:
		return nil, ""
	case Halted:
		return j.halted()
	case Resumed:
		return j.resumed(now)
	case Finished:
		return j.finished(ev)
	default:
		return nil, "unknown event"
	}
}

// next says what a job with nothing in flight must do.
func (j *Job) next(now time.Time) []Effect {
	switch {
	case j.Status == Done || j.Status == Paused || j.Status == Suspended:
		return []Effect{Rest{}}
	case j.Cell != nil:
		return []Effect{Execute{}}
	case j.Status == Ready && j.RunAt > now.UnixMilli():
		return []Effect{Rest{Until: time.UnixMilli(j.RunAt)}}
	case j.Exit && j.Unread == 0:
		return []Effect{End{Outcome: Succeeded, Result: j.Result}}
	case j.Warm < j.Blocks && !j.Exit:
		return []Effect{StartCell{Origin: FromWarmup, Index: j.Warm}}
	case j.Code:
		return []Effect{StartCell{Origin: FromReply, Index: j.Turns}}
	default:
		return j.ask(now)
	}
}

// ask requests the next turn, unless a limit is reached or the retry is not due.
func (j *Job) ask(now time.Time) []Effect {
	l := j.Limits.WithDefaults()
	if m := j.Model; m != nil {
		if m.Failed && m.RetryAt > now.UnixMilli() {
			return []Effect{Rest{Until: time.UnixMilli(m.RetryAt)}}
		}
		return []Effect{AskModel{Turn: m.Turn, Attempt: m.Attempt + 1}}
	}
	switch {
	case j.Turns-j.BaseTurns >= l.Turns:
		return []Effect{Halt{Reason: fmt.Sprintf("the budget of %d model turns is spent; resume grants as many again", l.Turns)}}
	case j.Exceptions-j.BaseExceptions >= l.Exceptions:
		return []Effect{Halt{Reason: fmt.Sprintf("%d failed replies: the limit is reached; resume grants as many again", l.Exceptions)}}
	case j.Streak >= l.Consecutive:
		return []Effect{Halt{Reason: fmt.Sprintf("%d failed replies in a row: the limit is reached; resume grants as many again", l.Consecutive)}}
	}
	return []Effect{AskModel{Turn: j.Turns + 1, Attempt: 1}}
}

func (j *Job) submitted(ev Submitted) ([]Effect, string) {
	if ev.Blocks < 0 {
		return nil, "negative number of warmup blocks"
	}
	j.Status, j.Blocks, j.Limits, j.RunAt = Ready, ev.Blocks, ev.Limits, ev.RunAt
	return nil, ""
}

func (j *Job) cellStarted(ev CellStarted) ([]Effect, string) {
	switch {
	case j.Status == Done || j.Status == Paused:
		return nil, "the job does not run"
	case j.Cell != nil:
		return nil, fmt.Sprintf("cell %d is open", j.Cell.Number)
	case j.Model != nil:
		return nil, "a model request is open"
	case ev.Cell != j.Cells+1:
		return nil, fmt.Sprintf("expected cell %d, got %d", j.Cells+1, ev.Cell)
	case ev.Origin == FromWarmup && ev.Index != j.Warm:
		return nil, fmt.Sprintf("expected warmup block %d, got %d", j.Warm, ev.Index)
	case ev.Origin == FromReply && !j.Code:
		return nil, "no reply's code is waiting"
	}
	j.Cells++
	j.Code = false
	j.Cell = &Cell{Number: ev.Cell, Origin: ev.Origin, Index: ev.Index}
	j.Status = j.running()
	return []Effect{Execute{}}, ""
}

func (j *Job) callIssued(ev CallIssued) ([]Effect, string) {
	if why := j.needCell(); why != "" {
		return nil, why
	}
	if ev.Call != j.Cell.Issued+1 {
		return nil, fmt.Sprintf("expected call %d, got %d", j.Cell.Issued+1, ev.Call)
	}
	p := Pending{Call: ev.Call, Name: ev.Name, Class: ev.Class}
	j.Cell.Issued++
	j.Cell.Open = append(j.Cell.Open, p)
	return []Effect{Perform{Call: p}}, ""
}

func (j *Job) callSettled(ev CallSettled) ([]Effect, string) {
	if why := j.needCell(); why != "" {
		return nil, why
	}
	i := j.Cell.find(ev.Call)
	if i < 0 {
		return nil, fmt.Sprintf("call %d is not open", ev.Call)
	}
	if (ev.Value == nil) == (ev.Error == nil) {
		return nil, "a call settles with a value or an error"
	}
	j.Cell.Open = append(j.Cell.Open[:i:i], j.Cell.Open[i+1:]...)
	if j.Status == Suspended {
		j.Status = j.running()
	}
	if j.Status == Paused {
		return nil, ""
	}
	return []Effect{Deliver{Call: ev.Call}}, ""
}

func (j *Job) slept() ([]Effect, string) {
	if why := j.needCell(); why != "" {
		return nil, why
	}
	if len(j.Cell.Open) == 0 || !j.Cell.OnlyWaits() {
		return nil, "only a cell whose open calls are all waits can sleep"
	}
	j.Status = Suspended
	return []Effect{Rest{}}, ""
}

func (j *Job) cellEnded(ev CellEnded, now time.Time) ([]Effect, string) {
	if why := j.needCell(); why != "" {
		return nil, why
	}
	cell := j.Cell
	if ev.State == "done" && ev.Exit == nil && !cell.OnlyWaits() {
		return nil, "a call that is not a wait is open"
	}
	if ev.State != "done" && ev.Error == nil {
		return nil, "a cell that failed or was aborted has an error"
	}
	j.Cell, j.Status = nil, Started
	switch {
	case ev.Exit != nil:
		j.Exit, j.Result = true, ev.Exit.Result
	case cell.Origin == FromReply && ev.State == "done":
		j.Streak = 0
	case cell.Origin == FromReply:
		j.Exceptions++
		j.Streak++
	}
	if cell.Origin == FromWarmup {
		return j.warmed(ev, now), ""
	}
	return j.next(now), ""
}

// warmed goes on after a warmup block. A failing block ends the job before any model is asked; an aborted
// one pauses it, and resume runs the block again.
func (j *Job) warmed(ev CellEnded, now time.Time) []Effect {
	if j.Warm+1 < j.Blocks && ev.Exit == nil || ev.State != "done" {
		j.Status = WarmingUp
	}
	switch ev.State {
	case "failed":
		return []Effect{End{Outcome: Failed, Error: "warmup: " + ev.Error.Error()}}
	case "aborted":
		return []Effect{Halt{Reason: "warmup: " + ev.Error.Error()}}
	}
	j.Warm++
	return j.next(now)
}

func (j *Job) modelRequested(ev ModelRequested) ([]Effect, string) {
	switch {
	case j.Status == Done || j.Status == Paused:
		return nil, "the job does not run"
	case j.Cell != nil:
		return nil, fmt.Sprintf("cell %d is open", j.Cell.Number)
	case j.Code:
		return nil, "the last reply's code has not run"
	case j.Warm < j.Blocks && !j.Exit:
		return nil, "warmup blocks are left"
	case ev.Turn != j.Turns+1:
		return nil, fmt.Sprintf("expected turn %d, got %d", j.Turns+1, ev.Turn)
	}
	want := 1
	if j.Model != nil {
		want = j.Model.Attempt + 1
	}
	if ev.Attempt != want {
		return nil, fmt.Sprintf("expected attempt %d, got %d", want, ev.Attempt)
	}
	j.Status, j.Unread, j.Exit = Started, 0, false
	j.Model = &Model{Turn: ev.Turn, Attempt: ev.Attempt}
	return []Effect{Send{}}, ""
}

func (j *Job) modelReplied(ev ModelReplied, now time.Time) ([]Effect, string) {
	if why := j.needModel(ev.Turn); why != "" {
		return nil, why
	}
	j.Turns++
	j.Model = nil
	switch {
	case ev.Code != "":
		j.Code = true
	case ev.Bad == "" && ev.Final:
		j.Exit, j.Result, j.Streak = true, nil, 0
	default:
		j.Exceptions++
		j.Streak++
	}
	return j.next(now), ""
}

func (j *Job) modelFailed(ev ModelFailed, now time.Time) ([]Effect, string) {
	if why := j.needModel(ev.Turn); why != "" {
		return nil, why
	}
	if ev.Attempt != j.Model.Attempt {
		return nil, fmt.Sprintf("expected attempt %d, got %d", j.Model.Attempt, ev.Attempt)
	}
	j.Model.Failed, j.Model.RetryAt = true, ev.RetryAt
	if !ev.Retryable || ev.Attempt >= j.Limits.WithDefaults().Attempts {
		return []Effect{Halt{Reason: fmt.Sprintf("model request failed (attempt %d): %s", ev.Attempt, ev.Error)}}, ""
	}
	return j.next(now), ""
}

// messageReceived keeps the message for the next turn; it reopens a succeeded job.
func (j *Job) messageReceived(now time.Time) []Effect {
	j.Unread++
	if j.Status == Done && j.Outcome == Succeeded {
		j.reopen()
		j.Completions++
	}
	if j.Status == Done || j.Status == Paused || j.Cell != nil || j.Model != nil && !j.Model.Failed {
		return nil
	}
	return j.next(now)
}

func (j *Job) halted() ([]Effect, string) {
	if j.Status == Done || j.Status == Paused {
		return nil, "the job does not run"
	}
	j.Status = Paused
	return []Effect{Rest{}}, ""
}

func (j *Job) resumed(now time.Time) ([]Effect, string) {
	switch {
	case j.Status == Done && j.Outcome != Succeeded:
		j.reopen()
	case j.Status != Paused:
		return nil, "only paused, failed and cancelled jobs can be resumed"
	}
	j.grant()
	if j.Model != nil && j.Model.Failed {
		j.Model = nil
	}
	j.Status = j.running()
	return j.next(now), ""
}

func (j *Job) finished(ev Finished) ([]Effect, string) {
	if j.Status == Done {
		return nil, "the job has ended"
	}
	if ev.Outcome == Succeeded && (j.Cell != nil || j.Model != nil && !j.Model.Failed) {
		return nil, "something is still open"
	}
	j.Status, j.Outcome, j.Result, j.Error = Done, ev.Outcome, ev.Result, ev.Error
	j.Cell, j.Model, j.Code, j.Exit = nil, nil, false, false
	return []Effect{Rest{}}, ""
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

// running is the state of a job that is not asleep.
func (j *Job) running() Status {
	if j.Warm < j.Blocks && !j.Exit {
		if j.Cells == 0 {
			return Ready
		}
		return WarmingUp
	}
	return Started
}

func (j *Job) needCell() string {
	if j.Cell == nil {
		return "no cell is open"
	}
	if j.Status == Done {
		return "the job has ended"
	}
	return ""
}

func (j *Job) needModel(turn int) string {
	switch {
	case j.Model == nil || j.Model.Failed:
		return "no model request is open"
	case j.Model.Turn != turn:
		return fmt.Sprintf("expected turn %d, got %d", j.Model.Turn, turn)
	case j.Status != Started:
		return "the job does not run"
	}
	return ""
}
