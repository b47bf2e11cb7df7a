package jobs

import (
	"errors"
	"time"

	"github.com/google/uuid"

	"statek/internal/temporal"
)

// ID names a job: a UUIDv7, so ids sort by creation.
type ID = uuid.UUID

// Hold is the right to write a job: valid until somebody claims it again.
type Hold struct {
	Job   ID
	Epoch int64
	Owner uuid.UUID
}

// Commit is everything one transaction writes. Its rows are written all or none, and only under the hold.
type Commit struct {
	Hold
	// State is the job after the entries.
	State Job
	// BlockedOn and BlockedWhy say what a job that does not run waits for: a word and a sentence.
	BlockedOn, BlockedWhy string
	Entries               []Entry
	// Variables are the workspace changes of cells that ended, in order.
	Variables []Workspace
	// Withdraw are open waits that are taken back, before others are registered.
	Withdraw []temporal.Withdrawal
	// Waits are registered, in order, and then put into Sets together with some that were open before.
	Waits []temporal.Spec
	Sets  []temporal.Set
	// Mail are the consumed mailbox rows.
	Mail []int64
	// Usage is what a model reply of this commit cost.
	Usage []Usage
	// Trailing: what is cached of the state stays behind its history, which is folded when somebody else takes the job. See Trails.
	Trailing bool
	// Release gives the job up if nobody has rung since; HandOver gives it up and rings it.
	Release, HandOver bool
}

// Ended is told how a commit that was handed out has ended. released: the job was given up, as the commit wanted.
type Ended = func(released bool, err error)

// Workspace are the variables a cell wrote and deleted.
type Workspace struct {
	Cell    int
	Set     []Variable
	Deleted []string
	// Replaced are those names in Set that had a value, or a reason for having none, before.
	Replaced []string
}

// Variable is one row: a value, or why there is none.
type Variable struct {
	Name    string
	Value   []byte
	Type    string
	Refused string
}

// Usage is one row of model usage; Seq is the reply's place in history.
type Usage struct {
	Seq                   int64
	At                    time.Time
	Provider, Model       string
	Input, Cached, Output int64
	Cost                  string // US dollars as decimal text
	Attempts              int    // of its request, the answered one included
}

// Record is a job as a claim loads it.
type Record struct {
	Hold
	// Previous is the owner it was taken from; the zero UUID when it was free.
	Previous uuid.UUID
	State    Job
	// Seq is the last row of its history.
	Seq  int64
	Spec Spec
	// Limited: it has seats under limits of its agent or prefix, which have to be vacated when it is let go.
	Limited bool
	// Generation counts changes of tools and temporals, for caches.
	Generation int64
	// Mail is what is in the mailbox, oldest first; Variables is the workspace.
	Mail      []Mail
	Variables []Variable
	// Open is the recorded part of the open cell of a job that sleeps; of others it has to be asked for.
	Open []Entry
}

// Spec is what a submission fixed, besides variables.
type Spec struct {
	Prefix       string    `json:"-"`
	Role         string    `json:"-"`
	AgentID      uuid.UUID `json:"-"`
	AgentVersion int       `json:"-"`
	Locale       string    `json:"-"`
	CreatedAt    time.Time `json:"-"`
	// Warmup are the submission's own blocks; those of its agent follow.
	Warmup []Block           `json:"warmup,omitempty"`
	Params map[string]string `json:"params,omitempty"`
	// Shared are the names of the shared variables.
	Shared []string `json:"shared,omitempty"`
}

// Block is one warmup block.
type Block struct {
	Source string `json:"source"`
	Hidden bool   `json:"hidden,omitempty"`
}

// Errors of the write path.
var (
	// ErrFenced: the hold is no longer valid; somebody else owns the job. Nothing was written.
	ErrFenced = errors.New("jobs: the job is owned by another worker")
	// ErrUnknownOutcome: the connection was lost around COMMIT. The owner must drop the job as if fenced
	// and claim it again before doing anything.
	ErrUnknownOutcome = errors.New("jobs: the outcome of the commit is unknown")
)
