package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"statek/internal/agents"
	"statek/internal/jobs"
)

// ToolFailure is an error of a GoTool that says more than its text.
type ToolFailure struct {
	// Name, Code and Data are what code finds on the error; Name is "ToolError" by default, and Data that is no JSON
	// object is left out.
	Name, Code string
	Data       json.RawMessage
	// Retryable: the same call may succeed later, after RetryAfter at the earliest.
	Retryable  bool
	RetryAfter time.Duration
	// NotSent: nothing has happened outside, so even a tool that is once may be called again.
	NotSent bool
	Err     error
}

// Error implements error.
func (f *ToolFailure) Error() string { return f.Err.Error() }

// Unwrap returns the cause.
func (f *ToolFailure) Unwrap() error { return f.Err }

// attempt is what came of one attempt of a call that leaves the process.
type attempt struct {
	value json.RawMessage
	fault *jobs.Fault
	// passing: the same call may succeed later, after the time that the other side asked for.
	passing bool
	after   time.Duration
	// lost: whether the call has had its effect is not known.
	lost bool
	// unsent: it certainly has not.
	unsent bool
}

// failure is an attempt that repetition cannot mend.
func failure(name, format string, args ...any) attempt {
	return attempt{fault: &jobs.Fault{Name: name, Message: fmt.Sprintf(format, args...)}}
}

// callOut performs one attempt of an external call under its stable key. Its intent is already in history.
func (d *drive) callOut(p jobs.Pending, tool agents.Tool, values map[string]json.RawMessage) result {
	ctx, cancel := context.WithTimeoutCause(d.work, tool.Limit(), fmt.Errorf("%s did not answer within %s", tool.Name, tool.Limit()))
	defer cancel()
	key := fmt.Sprintf("%s/%d/%d", d.rec.Job, d.number, p.Call)
	var a attempt
	if tool.Kind == agents.HTTPTool {
		a = d.callHTTP(ctx, key, tool, values)
	} else {
		a = d.callGo(ctx, key, tool, values)
	}
	switch {
	case d.work.Err() != nil:
		return d.cancelled(p)
	case a.fault == nil:
		ev := d.settled(p, a.value, nil)
		return result{settled: &ev}
	case ctx.Err() != nil:
		a.fault = &jobs.Fault{Name: "TimeoutError", Code: "timeout", Message: context.Cause(ctx).Error()}
		a.lost = true
	}
	return d.verdict(p, tool, a)
}

// callGo calls a function of the embedding program. What may pass, it says itself.
func (d *drive) callGo(ctx context.Context, key string, tool agents.Tool, values map[string]json.RawMessage) attempt {
	fn, ok := d.GoTools[tool.Name]
	if !ok {
		return failure("ToolError", "%s is a Go tool that this worker does not have", tool.Name)
	}
	var value json.RawMessage
	err := d.guarded(ctx, "Go tool "+tool.Name, d.rec.Job, func() (err error) {
		value, err = fn.Call(ctx, key, values)
		return err
	})
	var said *ToolFailure
	var panicked *panicError
	switch {
	case errors.As(err, &panicked): // perhaps after its effect
		a := failure("ToolError", "%s: %s", tool.Name, err)
		a.lost = true
		return a
	case errors.As(err, &said):
		a := failure("ToolError", "%s", err)
		if said.Name != "" {
			a.fault.Name = said.Name
		}
		a.fault.Code = said.Code
		if members := map[string]json.RawMessage{}; len(said.Data) > 0 && utf8.Valid(said.Data) && json.Unmarshal(said.Data, &members) == nil {
			a.fault.Data = said.Data
		}
		a.passing, a.after, a.unsent = said.Retryable, min(max(0, said.RetryAfter), longestRetryAfter), said.NotSent
		return a
	case err != nil:
		return failure("ToolError", "%s", err)
	case value != nil && (!json.Valid(value) || !utf8.Valid(value)): // json.Valid lets any byte through in strings
		return failure("ToolError", "%s returned text that is not JSON in UTF-8", tool.Name)
	default:
		return attempt{value: value}
	}
}

// longestRetryAfter bounds what a tool can ask for, as providers.RetryAfter does for services.
const longestRetryAfter = 24 * time.Hour

func unknownOutcome(p jobs.Pending, what string) *jobs.Fault {
	return &jobs.Fault{Name: "UnknownOutcomeError", Code: "unknown_outcome", Message: p.Name + " " + what +
		": it was sent at most once, perhaps even after you were told that its outcome is unknown"}
}
