package providers

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Provider asks one model service for one reply. Implementations are safe for concurrent use, stop within
// a second of ctx being cancelled, and do not retry: the engine does, because attempts are history.
type Provider interface {
	// Name is the provider's upper-case name, as in X_API_URL.
	Name() string
	// Complete sends the conversation. Failures are *Error.
	Complete(ctx context.Context, req Request) (Reply, error)
}

// Role says who speaks in a message.
type Role string

// The roles of a conversation.
const (
	System    Role = "system"
	User      Role = "user"
	Assistant Role = "assistant"
)

// Message is one item of the conversation.
type Message struct {
	Role    Role   `json:"role"`
	Content string `json:"content"`
}

// Request is everything a provider may need for one reply.
type Request struct {
	// Model is the upstream model id ("gpt-5-mini", "vendor/model:free").
	Model    string
	Messages []Message
	// Temperature in [0, 1]; nil leaves it to the provider.
	Temperature *float64
	// Key is stable over repeats of the same request after an interruption (sent as Idempotency-Key).
	Key string
	// Agent, Job and Turn identify the request for logs and the scripted provider. Turn counts from 1.
	Agent string
	Job   string
	Turn  int
}

// Reply is a model's answer.
type Reply struct {
	Text string
	// Model is what the service says it used; empty when it does not say.
	Model string
	Usage Usage
	// Note, when set, is recorded in history: the scripted provider says here that no model was asked.
	Note string
}

// Usage is what a reply cost.
type Usage struct {
	InputTokens  int64 `json:"input_tokens"`
	CachedTokens int64 `json:"cached_tokens,omitempty"`
	OutputTokens int64 `json:"output_tokens"`
	// Cost in US dollars as reported by the service, a decimal text; empty when not reported.
	Cost string `json:"cost,omitempty"`
}

// Error is a failed request. Its text never holds a key or a URL's credentials.
type Error struct {
	Provider string
	// Status is the HTTP status, 0 when there was no response.
	Status int
	// Retryable: the same request may succeed later (408, 409, 429, 5xx, network).
	Retryable bool
	// RetryAfter is what the service asked for; 0 when it did not.
	RetryAfter time.Duration
	Message    string
	Err        error
}

// Error implements error.
func (e *Error) Error() string {
	if e.Status != 0 {
		return fmt.Sprintf("provider %s: status %d: %s", e.Provider, e.Status, e.Message)
	}
	return fmt.Sprintf("provider %s: %s", e.Provider, e.Message)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Retryable reports whether err is a provider failure that may pass, and how long the provider asked to
// wait (0: it did not say).
func Retryable(err error) (time.Duration, bool) {
	var pe *Error
	if errors.As(err, &pe) {
		return pe.RetryAfter, pe.Retryable
	}
	return 0, false
}
