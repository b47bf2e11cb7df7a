package jobs

import (
	"encoding/json"
	"time"
)

// Mail is one mailbox row.
type Mail struct {
	ID      int64
	Kind    string // message, interrupt, resolved, timeout, rejected, cancel, pause, resume
	Cell    int
	Call    int
	Payload json.RawMessage
	At      time.Time
	// Woke says what made a wait ready, for people; see temporal.Look.
	Woke json.RawMessage
}

// Urgent reports whether the mail should stop what the job is doing right now.
func (m Mail) Urgent() bool {
	return m.Kind == "cancel" || m.Kind == "pause" || m.Kind == "interrupt"
}

// Open turns a mailbox row into the events it means for the job as it stands. No events: the row has come
// too late to mean anything (a timeout of a cell that has ended, a pause of a finished job). Later: the row
// stays in the mailbox, because the open cell, or one whose code is there already, may still ask for it with
// message().
func Open(job Job, m Mail, now time.Time) (events []Event, later bool) {
	if m.Kind == "message" && job.mayAsk() {
		if _, ok := waitingForMessage(job); !ok {
			return nil, true
		}
	}
	return open(job, m, now), false
}

func open(job Job, m Mail, now time.Time) []Event {
	ended := job.Status == Done
	switch m.Kind {
	case "resolved", "timeout", "rejected":
		return openWait(job, m, now)
	case "message", "interrupt":
		// A warmup is no dialogue that could be interrupted: there the message waits for the first turn.
		if m.Kind == "interrupt" && job.Cell != nil && job.Cell.Origin == FromReply {
			stop := CellEnded{State: aborted, Error: &Fault{Name: "InterruptedError", Code: interrupted,
				Message: "a message interrupted the cell; its variables are as they were before it"}}
			return []Event{stop, MessageReceived{Mail: m.ID, Payload: m.Payload}}
		}
		if p, ok := waitingForMessage(job); ok {
			return []Event{CallSettled{Call: p.Call, Name: p.Name, Value: m.Payload, Now: now.UnixMilli()}}
		}
		return []Event{MessageReceived{Mail: m.ID, Payload: m.Payload}}
	case "cancel":
		if ended {
			return nil
		}
		return []Event{Finished{Outcome: Cancelled, Error: reason(m, "cancelled")}}
	case "pause":
		if ended || job.Status == Paused {
			return nil
		}
		return []Event{Halted{Reason: reason(m, "paused by an operator")}}
	case "resume":
		if job.Status != Paused && (!ended || job.Outcome == Succeeded) {
			return nil
		}
		return []Event{Resumed{By: reason(m, "an operator")}}
	default:
		return nil
	}
}

func openWait(job Job, m Mail, now time.Time) []Event {
	if job.Cell == nil || job.Cell.Number != m.Cell || job.Cell.find(m.Call) < 0 {
		if m.Kind != "resolved" {
			return nil
		}
		return []Event{ValueDiscarded{Cell: m.Cell, Call: m.Call, Value: m.Payload}}
	}
	p := job.Cell.Open[job.Cell.find(m.Call)]
	ev := CallSettled{Call: p.Call, Name: p.Name, Now: now.UnixMilli(), Woke: m.Woke}
	switch m.Kind {
	case "timeout":
		ev.Error = &Fault{Name: "TimeoutError", Code: "timeout", Message: p.Name + " timed out"}
	case "rejected":
		ev.Error = &Fault{}
		if json.Unmarshal(m.Payload, ev.Error) != nil || ev.Error.Message == "" {
			ev.Error = &Fault{Message: p.Name + " failed"}
		}
	default:
		ev.Value = m.Payload
	}
	return []Event{ev}
}

// AsksForMessage is the wait that a message would be given to, when it is in a set that it would have to win
// first.
func AsksForMessage(job Job, m Mail) (Pending, bool) {
	p, ok := waitingForMessage(job)
	given := m.Kind == "message" || m.Kind == "interrupt" && ok && job.Cell.Origin != FromReply
	return p, ok && given && job.Status != Done && job.Cell.setOf(p.Call) >= 0
}

// mayAsk reports whether code will run before the model is asked again.
func (j *Job) mayAsk() bool {
	switch {
	case j.Status == Done || j.MustFail != "" || j.MustHalt != "":
		return false
	case j.Cell != nil:
		return true
	default:
		return !j.Exit && (j.Code || j.Warm < j.Blocks)
	}
}

// waitingForMessage finds the oldest open message() of the open cell.
func waitingForMessage(job Job) (Pending, bool) {
	if job.Cell == nil {
		return Pending{}, false
	}
	for _, p := range job.Cell.Open {
		if p.Class == Wait && p.Name == "message" {
			return p, true
		}
	}
	return Pending{}, false
}

// reason reads a JSON string payload.
func reason(m Mail, otherwise string) string {
	var s string
	if json.Unmarshal(m.Payload, &s) != nil || s == "" {
		return otherwise
	}
	return s
}
