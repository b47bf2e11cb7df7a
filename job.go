package statek

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"statek/internal/app"
)

// Submission asks for a new job of an agent.
type Submission struct {
	// Prefix is the namespace of the job, "/acme/triage". Default "/".
	Prefix string
	// SharedVars become variables of these names before the first cell; values are marshalled to JSON.
	SharedVars map[string]any
	// Warmup is JavaScript that runs before the agent's own warmup.
	Warmup string
	// Locale is a language and country such as "EN-US". Default: none.
	Locale string
	// Source says who asked, for people and filters.
	Source string
	// Params fill the prompt's own {placeholders}.
	Params map[string]string
	Tags   []string
	// Priority is 1 (first) to 4. Default 2.
	Priority int
	// RunAt delays the start. Default: at once.
	RunAt time.Time
	// Key is a business key, unique per prefix and agent among unfinished jobs. Default: none.
	Key string
	// Existing returns the unfinished job with the same Key instead of ErrConflict.
	Existing bool
}

// Status is where a job is in its life.
type Status string

// The states of a job.
const (
	Ready     Status = "READY"
	WarmingUp Status = "WARMING_UP"
	Started   Status = "STARTED"
	Suspended Status = "SUSPENDED"
	Paused    Status = "PAUSED"
	Done      Status = "DONE"
)

// Job is a job as it was when it was read.
type Job struct {
	ID           uuid.UUID
	Prefix       string
	Agent        string
	AgentVersion int
	Status       Status
	// Outcome of a DONE job: "succeeded", "failed" or "cancelled".
	Outcome string
	// BlockedOn and BlockedWhy say what a job that does not run waits for: a word and a sentence.
	BlockedOn, BlockedWhy string
	// Result is what exit was given, as JSON.
	Result json.RawMessage
	// Error of a failed or cancelled job.
	Error       string
	Turns       int
	Cells       int
	CreatedAt   time.Time
	ChangedAt   time.Time
	FinishedAt  *time.Time
	SubmittedBy string
}

// Entry is one fact of a job's history.
type Entry struct {
	Seq        int64
	Kind       string
	Cell, Call int
	At         time.Time
	// Text is the fact as a sentence; Payload its exact JSON.
	Text    string
	Payload json.RawMessage
}

// Variable is one variable of a job's workspace.
type Variable struct {
	Name  string
	Type  string
	Value json.RawMessage
	// Refused says why the value could not be kept; Value is nil then.
	Refused string
}

func jobOf(j app.Job) Job {
	return Job{
		ID: j.ID, Prefix: j.Prefix, Agent: j.Agent, AgentVersion: j.AgentVersion, Status: Status(j.Status), Outcome: j.Outcome,
		BlockedOn: j.BlockedOn, BlockedWhy: j.BlockedWhy, Result: j.Result, Error: j.Error, Turns: j.Turns, Cells: j.Cells,
		CreatedAt: j.CreatedAt, ChangedAt: j.ChangedAt, FinishedAt: j.FinishedAt, SubmittedBy: j.Source,
	}
}

func entryOf(r app.HistoryRow) Entry { return Entry(r) }
