package jobs

import (
	"fmt"
	"time"
)

// callFailed records a failed attempt of a call. The call stays open: it is made again, under the same key, when the
// next attempt is due, or when a pause that was asked for has been resumed.
func (j *Job) callFailed(ev CallFailed, now time.Time) ([]Effect, string) {
	if why := j.needRunningCell(); why != "" {
		return nil, why
	}
	i := j.Cell.find(ev.Call)
	if i < 0 {
		return nil, fmt.Sprintf("call %d is not open", ev.Call)
	}
	p := &j.Cell.Open[i]
	switch {
	case p.Class != Tool:
		return nil, "a wait has no attempts"
	case p.Failed:
		return nil, fmt.Sprintf("call %d has failed already", ev.Call)
	case ev.Attempt != max(p.Attempt, 1):
		return nil, fmt.Sprintf("expected attempt %d, got %d", max(p.Attempt, 1), ev.Attempt)
	case ev.Error == nil:
		return nil, "an attempt that failed has an error"
	case ev.Pause == (ev.RetryAt > 0):
		return nil, "either another attempt is due or the job pauses"
	}
	p.Attempt, p.Failed, p.RetryAt = ev.Attempt, true, ev.RetryAt
	if ev.Pause && j.MustHalt == "" {
		j.MustHalt = fmt.Sprintf("%s failed at its last attempt (%d): %s", p.Name, ev.Attempt, ev.Error.Error())
	}
	if j.MustHalt != "" {
		return j.next(now), ""
	}
	return nil, ""
}

// callRetried begins another attempt. A cell that slept until it was due is awake.
func (j *Job) callRetried(ev CallRetried) ([]Effect, string) {
	if j.Cell == nil {
		return nil, noCell
	}
	i := j.Cell.find(ev.Call)
	switch {
	case j.Status == Paused:
		return nil, "the job does not run"
	case j.MustHalt != "":
		return nil, "the job has to stop"
	case i < 0 || !j.Cell.Open[i].Failed:
		return nil, fmt.Sprintf("call %d has not failed", ev.Call)
	case ev.Attempt != j.Cell.Open[i].Attempt+1:
		return nil, fmt.Sprintf("expected attempt %d, got %d", j.Cell.Open[i].Attempt+1, ev.Attempt)
	}
	p := &j.Cell.Open[i]
	p.Attempt, p.Failed, p.RetryAt = ev.Attempt, false, 0
	j.Status = j.running()
	return []Effect{Perform{Call: *p}}, ""
}

// forgive grants the open calls fresh attempts; those that have failed are made again at once.
func (j *Job) forgive() {
	if j.Cell == nil {
		return
	}
	for i := range j.Cell.Open {
		j.Cell.Open[i].Attempt, j.Cell.Open[i].RetryAt = 0, 0
	}
}

// rest is what a sleeping job does until a wait resolves or the next attempt of a call is due.
func (j *Job) rest() Rest { return Rest{Until: j.Wake()} }

// sleepOn is what whoever looks at a sleeping job does: nothing, unless an attempt is due.
func (j *Job) sleepOn(now time.Time) Effect {
	if at, failed := j.Cell.RetryAt(); failed && at <= now.UnixMilli() {
		return Execute{}
	}
	return j.rest()
}
