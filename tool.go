package statek

import (
	"context"
	"encoding/json"
	"fmt"
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
	// Call performs the tool.
	Call func(ctx context.Context, call ToolCall) (any, error)
}

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
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("%s returned what JSON cannot hold: %w", t.Name, err)
	}
	return raw, nil
}
