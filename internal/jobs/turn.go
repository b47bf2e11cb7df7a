package jobs

import (
	"fmt"
	"time"
)

// modelDelayed keeps the turn that the next attempt has drawn with its provider.
func (j *Job) modelDelayed(ev ModelDelayed, now time.Time) ([]Effect, string) {
	if why := j.needTurn(ev.Turn, ev.Attempt); why != "" {
		return nil, why
	}
	if ev.Until <= 0 {
		return nil, "a turn comes at some time"
	}
	j.NotBefore = ev.Until
	return j.next(now), ""
}

// needTurn says why the attempt is not what is to be asked next.
func (j *Job) needTurn(turn, attempt int) string {
	if why := j.needIdle(); why != "" {
		return why
	}
	switch {
	case j.Code:
		return "the last reply's code has not run"
	case j.Warm < j.Blocks:
		return "warmup blocks are left"
	case j.Exit && j.Unread == 0:
		return "exit has run and every message was shown"
	}
	want, halt := j.request()
	switch {
	case halt != "":
		return halt
	case turn != want.Turn || attempt != want.Attempt:
		return fmt.Sprintf("expected turn %d attempt %d, got turn %d attempt %d", want.Turn, want.Attempt, turn, attempt)
	}
	return ""
}
