package statek

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"statek/internal/app"
)

// Tool is a function of this program that the model's code may call.
//
// It is an external call: its intent is recorded before, its result after. When a worker dies in between it
// is called again, perhaps by another worker, with the same Key.
type Tool struct {
	// Name is what code calls. It must be a JavaScript identifier.
	Name string
	// Description tells the model when to use it.
	Description string
	// Params are its parameters in order; code may also pass one object with these keys.
	Params []Param
	// Once: after an interruption do not call again; the code gets UnknownOutcomeError.
	Once bool
	// Retry says how a call is repeated whose error is a *ToolError that may pass.
	Retry Retry
	// Call performs the tool. An error that is, or wraps, a *ToolError says how it may be treated; any other is given to
	// the code at once, and so is a panic, whose stack is logged.
	Call func(ctx context.Context, call ToolCall) (any, error)
}

// Retry says how a call is repeated: the pauses double from Backoff to Max, with jitter. Every attempt has the same Key,
// and is in the job's history. A job that pauses for long sleeps meanwhile, and costs rows only.
type Retry struct {
	// Attempts in all. Default 3; 1 switches repetition off.
	Attempts int
	// Backoff is the first pause. Default 1 s.
	Backoff time.Duration
	// Max is the longest pause. Default 1 min.
	Max time.Duration
	// Pause: when the last attempt has failed the job pauses, and resuming it grants fresh attempts. Default: the code gets
	// the error.
	Pause bool
}

// ToolError is a failure of a Tool that says more than its text.
type ToolError struct {
	// Name and Code are what code finds on the error as name and code. Default of Name: "ToolError".
	Name, Code string
	// Message is what code finds as message. Default: the text of Err.
	Message string
	// Data becomes further members of the error; it must be a JSON object. Default: none.
	Data json.RawMessage
	// Retryable: the same call may succeed later.
	Retryable bool
	// RetryAfter is the least time to wait before that. Default 0: as the Tool's Retry says.
	RetryAfter time.Duration
	// NotSent: nothing has happened outside yet, so even a Tool that is Once may be called again.
	NotSent bool
	// Err is the cause.
	Err error
}

// Error implements error.
func (e *ToolError) Error() string {
	switch {
	case e.Message != "":
		return e.Message
	case e.Err != nil:
		return e.Err.Error()
	default:
		return "the tool failed"
	}
}

// Unwrap returns the cause.
func (e *ToolError) Unwrap() error { return e.Err }

// Param is one parameter of a Tool.
type Param struct {
	Name string
	// Type is a TypeScript type for the model, such as "number" or "string[]". Default "any".
	Type     string
	Optional bool
}

// ToolCall is one call of a Tool.
type ToolCall struct {
	// Key is the same for every repetition of this call: pass it on as an idempotency key.
	Key string
	// Args are the arguments by parameter name, as JSON.
	Args map[string]json.RawMessage
}

// Arg unmarshals an argument; a missing one leaves into as it is.
func (c ToolCall) Arg(name string, into any) error {
	raw, ok := c.Args[name]
	if !ok {
		return nil
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("argument %s: %w", name, err)
	}
	return nil
}

type goTool struct{ Tool }

// Call implements the engine's interface.
func (t goTool) Call(ctx context.Context, key string, args map[string]json.RawMessage) (json.RawMessage, error) {
	value, err := t.Tool.Call(ctx, ToolCall{Key: key, Args: args})
	var said *ToolError
	if errors.As(err, &said) {
		return nil, &app.ToolFailure{
			Name: said.Name, Code: said.Code, Data: said.Data, Retryable: said.Retryable, RetryAfter: said.RetryAfter, NotSent: said.NotSent, Err: said,
		}
	}
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("%s returned what JSON cannot hold: %w", t.Name, err)
	}
	return raw, nil
}
