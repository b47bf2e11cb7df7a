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
	case WaitsJoined:
		return j.waitsJoined(ev)
	case CallSettled:
		return j.callSettled(ev)
	case CallFailed:
		return j.callFailed(ev, now)
	case CallRetried:
		return j.callRetried(ev)
	case Console:
		return nil, j.needRunningCell()
	case Slept:
		return j.slept()
	case CellEnded:
		return j.cellEnded(ev, now)
	case ModelDelayed:
		return j.modelDelayed(ev, now)
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
		return j.halted(ev)
	case Resumed:
		return j.resumed(now)
	case Finished:
		return j.finished(ev)
	default:
		return nil, "unknown event"
	}
}

func (j *Job) submitted(ev Submitted) ([]Effect, string) {
	if ev.Blocks < 0 {
		return nil, "negative number of warmup blocks"
	}
	j.Status, j.Blocks, j.Limits, j.RunAt = Ready, ev.Blocks, ev.Limits, ev.RunAt
	return nil, ""
}

func (j *Job) cellStarted(ev CellStarted) ([]Effect, string) {
	if why := j.needIdle(); why != "" {
		return nil, why
	}
	switch {
	case j.Model != nil:
		return nil, "a model request is open"
	case ev.Cell != j.Cells+1:
		return nil, fmt.Sprintf("expected cell %d, got %d", j.Cells+1, ev.Cell)
	case ev.Origin == FromWarmup && (ev.Index != j.Warm || j.Warm >= j.Blocks):
		return nil, fmt.Sprintf("expected warmup block %d of %d, got %d", j.Warm, j.Blocks, ev.Index)
	case ev.Origin == FromReply && !j.Code:
		return nil, "no reply's code is waiting"
	case ev.Origin == FromReply && ev.Index != j.Turns:
		return nil, fmt.Sprintf("expected the code of turn %d, got %d", j.Turns, ev.Index)
	case ev.Origin != FromWarmup && ev.Origin != FromReply:
		return nil, fmt.Sprintf("unknown origin %q", ev.Origin)
	}
	j.Cells++
	j.Code = false
	j.Cell = &Cell{Number: ev.Cell, Origin: ev.Origin, Index: ev.Index, Since: j.Seq + 1}
	j.Status = j.running()
	return []Effect{Execute{}}, ""
}

func (j *Job) callIssued(ev CallIssued) ([]Effect, string) {
	if why := j.needRunningCell(); why != "" {
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
	if j.Cell == nil {
		return nil, noCell
	}
	i := j.Cell.find(ev.Call)
	if i < 0 {
		return nil, fmt.Sprintf("call %d is not open", ev.Call)
	}
	if (ev.Value == nil) == (ev.Error == nil) {
		return nil, "a call settles with a value or an error"
	}
	j.Cell.close(ev.Call)
	lost := withdraw(j.Cell.decide(ev.Call, ev.Error == nil))
	if j.Status == Suspended {
		j.Status = j.running()
	}
	if j.Status == Paused {
		return lost, ""
	}
	return append([]Effect{Deliver{Call: ev.Call}}, lost...), ""
}

func (j *Job) slept() ([]Effect, string) {
	if why := j.needRunningCell(); why != "" {
		return nil, why
	}
	if len(j.Cell.Open) == 0 || !j.Cell.Resting() {
		return nil, "only a cell whose open calls are all waits, or have failed and are made again later, can sleep"
	}
	if j.MustHalt != "" {
		return nil, "the job has to stop"
	}
	j.Status = Suspended
	return []Effect{j.rest()}, ""
}

// cellEnded closes the open cell. A cell that sleeps or is paused has no VM: it can only be aborted, and a
// pause outlives it.
func (j *Job) cellEnded(ev CellEnded, now time.Time) ([]Effect, string) {
	if why := j.needRunningCell(); why != "" && (j.Cell == nil || ev.State != aborted) {
		return nil, why
	}
	switch {
	case ev.State != done && ev.State != failed && ev.State != aborted:
		return nil, fmt.Sprintf("unknown state of a cell %q", ev.State)
	case ev.State != aborted && ev.Exit == nil && !j.Cell.OnlyWaits():
		return nil, "a call that is not a wait is open"
	case ev.State != done && ev.Error == nil:
		return nil, "a cell that failed or was aborted has an error"
	}
	paused, origin := j.Status == Paused, j.Cell.Origin
	j.Cell = nil
	if ev.Exit != nil {
		j.Exit, j.Result = true, ev.Exit.Result
	}
	if origin == FromWarmup {
		j.warmed(ev, paused)
	} else {
		j.answered(ev)
	}
	if paused {
		return nil, ""
	}
	j.Status = j.running()
	return j.next(now), ""
}

// warmed closes a warmup block. One that fails ends the job before any model is asked; an aborted one
// pauses it, and resume runs the block again. After exit no further block runs.
func (j *Job) warmed(ev CellEnded, paused bool) {
	switch {
	case ev.Exit != nil:
		j.Warm = j.Blocks
	case ev.State == failed:
		j.MustFail = "warmup: " + ev.Error.Error()
	case ev.State == done:
		j.Warm++
	case !paused:
		j.MustHalt = "warmup: " + ev.Error.Error()
	}
}

// answered counts a reply's cell. One that a person interrupted is no failure of the model.
func (j *Job) answered(ev CellEnded) {
	switch {
	case ev.State == done:
		j.Streak = 0
	case ev.Error.Code != interrupted:
		j.Exceptions++
		j.Streak++
	}
}

func (j *Job) modelRequested(ev ModelRequested) ([]Effect, string) {
	if why := j.needTurn(ev.Turn, ev.Attempt); why != "" {
		return nil, why
	}
	j.Status, j.Unread, j.Exit, j.Result, j.NotBefore = Started, 0, false, nil, 0
	j.Model = &Model{Turn: ev.Turn, Attempt: ev.Attempt}
	return []Effect{Send{}}, ""
}

func (j *Job) modelReplied(ev ModelReplied, now time.Time) ([]Effect, string) {
	if why := j.needModel(ev.Turn); why != "" {
		return nil, why
	}
	j.Turns++
	j.Model, j.NotBefore = nil, 0 // also of a repeat that had drawn its turn, and is not needed any more
	switch {
	case ev.Bad == "" && ev.Code != "":
		j.Code = true
	case ev.Bad == "" && ev.Final:
		j.Exit, j.Result, j.Streak = true, nil, 0
	default:
		j.BadReplies++
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
		j.MustHalt = fmt.Sprintf("model request failed (attempt %d): %s", ev.Attempt, ev.Error)
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
	if j.Status.AtRest() || j.Cell != nil || j.Model != nil && !j.Model.Failed {
		return nil
	}
	return j.next(now)
}

func (j *Job) halted(ev Halted) ([]Effect, string) {
	if j.Status.AtRest() {
		return nil, "the job does not run"
	}
	j.Status, j.Reason, j.MustHalt = Paused, ev.Reason, ""
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
	j.forgive()
	j.Status, j.Model, j.Reason, j.NotBefore = j.running(), nil, "", 0
	return j.next(now), ""
}

func (j *Job) finished(ev Finished) ([]Effect, string) {
	switch {
	case j.Status == Done:
		return nil, "the job has ended"
	case ev.Outcome != Succeeded && ev.Outcome != Failed && ev.Outcome != Cancelled:
		return nil, fmt.Sprintf("unknown outcome %q", ev.Outcome)
	case ev.Outcome == Succeeded && (j.Status == Paused || !j.Exit || j.Unread > 0):
		return nil, "only a running job succeeds, after exit and with no message left to show"
	}
	j.Status, j.Outcome, j.Result, j.Error = Done, ev.Outcome, ev.Result, ev.Error
	j.Cell, j.Model, j.Code, j.Exit, j.Reason, j.NotBefore = nil, nil, false, false, "", 0
	j.MustHalt, j.MustFail = "", ""
	return []Effect{Rest{}}, ""
}

// noCell is why much is refused.
const noCell = "no cell is open"

// needIdle says why nothing new can be started.
func (j *Job) needIdle() string {
	switch {
	case j.Status.AtRest():
		return "the job does not run"
	case j.MustHalt != "" || j.MustFail != "":
		return "the job has to stop"
	case j.Cell != nil:
		return fmt.Sprintf("cell %d is open", j.Cell.Number)
	default:
		return ""
	}
}

// needRunningCell says why no code can be running.
func (j *Job) needRunningCell() string {
	switch {
	case j.Cell == nil:
		return noCell
	case j.Status == Paused:
		return "the job does not run"
	case j.Status == Suspended:
		return "the cell sleeps"
	default:
		return ""
	}
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
