package app

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

// SubmitRequest asks for a new job.
type SubmitRequest struct {
	Role   string
	Prefix string // default "/"
	// SharedVars become workspace variables of these names before the first cell.
	SharedVars map[string]json.RawMessage
	// Warmup is extra warmup text, run before the agent's own blocks.
	Warmup   string
	Locale   string // "EN-US"
	Source   string // who asked, for people and filters
	Params   map[string]string
	Tags     []string
	Priority int // 1 (first) to 4; default 2
	RunAt    *time.Time
	Limits   Limits
	// Key is a business key, unique per prefix and agent among unfinished jobs.
	Key string
	// OnConflict says what to do when Key is taken: "reject" (default) or "existing".
	OnConflict string
	// Idempotency, when its Key is set, makes a repeated submission return the first one's answer.
	Idempotency Idempotency
}

// Idempotency identifies a repeated request. Request is a hash of what was asked: the same Key with
// another Request is an error (KindConflict, field "Idempotency-Key").
type Idempotency struct{ Key, Request string }

// Limits a caller may set on a job; zero means the default.
type Limits struct {
	Turns       int `json:"turns,omitempty" minimum:"1" maximum:"10000" doc:"Model replies per completion. Default 50."`
	Exceptions  int `json:"exceptions,omitempty" minimum:"1" maximum:"10000" doc:"Failed cells per completion. Default 20."`
	Consecutive int `json:"consecutive,omitempty" minimum:"1" maximum:"10000" doc:"Failed cells in a row. Default 5."`
	Attempts    int `json:"attempts,omitempty" minimum:"1" maximum:"100" doc:"Attempts of one model request. Default 5."`
}

// Job is what people and programs see of a job.
type Job struct {
	ID           uuid.UUID       `json:"id"`
	Prefix       string          `json:"prefix"`
	Agent        string          `json:"agent"`
	AgentVersion int             `json:"agent_version"`
	Status       string          `json:"status" enum:"READY,WARMING_UP,STARTED,SUSPENDED,PAUSED,DONE"`
	Outcome      string          `json:"outcome,omitempty" enum:"succeeded,failed,cancelled"`
	BlockedOn    string          `json:"blocked_on,omitempty" doc:"What it waits for: a wait's name, retry, rate, place, operator, run_at, worker."`
	BlockedWhy   string          `json:"blocked_why,omitempty" doc:"The same as a sentence."`
	Result       json.RawMessage `json:"result,omitempty"`
	Error        string          `json:"error,omitempty"`
	Source       string          `json:"source,omitempty"`
	Locale       string          `json:"locale,omitempty"`
	Tags         []string        `json:"tags,omitempty"`
	Key          string          `json:"key,omitempty"`
	Priority     int             `json:"priority"`
	Cells        int             `json:"cells"`
	Turns        int             `json:"turns"`
	Completions  int             `json:"completions"`
	CreatedAt    time.Time       `json:"created_at"`
	ChangedAt    time.Time       `json:"changed_at"`
	FinishedAt   *time.Time      `json:"finished_at,omitempty"`
	// Existing is set by Submit when OnConflict or Idempotency found an earlier job.
	Existing bool `json:"-"`
}

// ListFilter narrows ListJobs; empty fields do not.
type ListFilter struct {
	Status, Agent, Tag, Source, BlockedOn string
	// Prefix matches the subtree.
	Prefix        string
	CreatedAfter  *time.Time
	CreatedBefore *time.Time
	Cursor        string // from the previous page's Next
	Limit         int    // default 50, at most 500
}

// JobPage is one page, newest first.
type JobPage struct {
	Jobs []Job  `json:"jobs"`
	Next string `json:"next,omitempty"`
}

// HistoryRow is one row of a job's history.
type HistoryRow struct {
	Seq     int64           `json:"seq"`
	Kind    string          `json:"kind"`
	Cell    int             `json:"cell,omitempty"`
	Call    int             `json:"call,omitempty"`
	At      time.Time       `json:"at"`
	Text    string          `json:"text" doc:"The row as a sentence."`
	Payload json.RawMessage `json:"payload"`
}

// Variable is one workspace variable.
type Variable struct {
	Name    string          `json:"name"`
	Type    string          `json:"type"`
	Bytes   int             `json:"bytes"`
	Cell    int             `json:"cell" doc:"The cell that wrote it; 0: the submission."`
	Value   json.RawMessage `json:"value,omitempty"`
	Refused string          `json:"refused,omitempty" doc:"Why the value could not be kept."`
}

// Explanation says why a job is where it is.
type Explanation struct {
	Job   Job           `json:"job"`
	Why   string        `json:"why"`
	Owner string        `json:"owner,omitempty" doc:"The worker that holds it."`
	Waits []WaitExplain `json:"waits"`
}

// WaitExplain is one open wait.
type WaitExplain struct {
	Cell       int        `json:"cell"`
	Call       int        `json:"call"`
	Name       string     `json:"name"`
	Kind       string     `json:"kind"`
	Since      time.Time  `json:"since"`
	Due        *time.Time `json:"due,omitempty" doc:"When it resolves (sleep, until) or times out."`
	Deps       []string   `json:"deps,omitempty" doc:"What can wake it: table:key, fact:name."`
	LastResult string     `json:"last_result,omitempty"`
	LastError  string     `json:"last_error,omitempty"`
	LastAt     *time.Time `json:"last_at,omitempty"`
	NextLook   *time.Time `json:"next_look,omitempty" doc:"While its SQL failed, locks are in the way, or it is rechecked: when it is looked at by itself."`
	Touched    string     `json:"touched,omitempty" doc:"What a write touched last, of all that it depends on."`
	TouchedAt  *time.Time `json:"touched_at,omitempty"`
	Touches    int64      `json:"touches,omitempty" doc:"How many writes have touched what it depends on."`
	Why        string     `json:"why" doc:"Who can end it, and what is in the way."`
}

// Agent is one version of an agent.
type Agent struct {
	Role      string            `json:"role"`
	Prefix    string            `json:"prefix"`
	Version   int               `json:"version"`
	Meta      map[string]string `json:"meta"`
	Prompt    string            `json:"prompt"`
	Warmup    []string          `json:"warmup"`
	CreatedAt time.Time         `json:"created_at"`
}

// Change is one line of what apply did.
type Change struct {
	Kind    string `json:"kind"` // agent, tool, temporal
	Name    string `json:"name"`
	Action  string `json:"action"` // created, updated, unchanged
	Version int    `json:"version"`
	Diff    string `json:"diff,omitempty"`
	Warning string `json:"warning,omitempty"`
}

// Health is what /readyz shows.
type Health struct {
	Ready    bool   `json:"ready"`
	Database string `json:"database"`
	Schema   string `json:"schema,omitempty"`
	Workers  int    `json:"workers"`
	Sandbox  string `json:"sandbox"`
	// SandboxMissing are layers of defence that this host does not offer, and why.
	SandboxMissing []string          `json:"sandbox_missing,omitempty"`
	Checks         map[string]string `json:"checks,omitempty"`
}

// ErrorKind groups errors by what a caller can do.
type ErrorKind string

// The kinds.
const (
	KindInvalid  ErrorKind = "invalid"   // 422: fix the field
	KindNotFound ErrorKind = "not_found" // 404
	KindConflict ErrorKind = "conflict"  // 409
	KindGone     ErrorKind = "gone"      // 410: it was there, and is over
	// KindPrecondition: something was not as the caller said it had to be; 412.
	KindPrecondition ErrorKind = "precondition"
	KindUnavailable  ErrorKind = "unavailable" // 503: the database is away; try again
	KindBusy         ErrorKind = "busy"        // 429: there is too much to do; try again after RetryAfter
)

// Error is a refusal that names the field, the value and the remedy.
type Error struct {
	Kind    ErrorKind
	Message string
	Fields  []FieldError
	Err     error
	// RetryAfter says when a busy system should be asked again.
	RetryAfter time.Duration
}

// FieldError is one field that is wrong.
type FieldError struct {
	Field   string // "shared_vars.event"
	Value   any    // what was given; nil when it was missing
	Message string // "is read by the warmup of triage_agent and missing: add it to shared_vars"
}

// Error implements error.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Message)
	for i, f := range e.Fields {
		sep := "; "
		if i == 0 && e.Message != "" {
			sep = ": "
		} else if i == 0 {
			sep = ""
		}
		fmt.Fprintf(&b, "%s%s %s", sep, f.Field, f.Message)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
