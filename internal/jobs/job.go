package jobs

import (
	"encoding/json"
	"slices"
	"time"
)

// Status is where a job is in its life.
type Status string

// The states of a job.
const (
	Ready     Status = "READY"      // submitted; nothing has run
	WarmingUp Status = "WARMING_UP" // running warmup blocks
	Started   Status = "STARTED"    // in the dialogue with the model
	Suspended Status = "SUSPENDED"  // the open cell waits; costs rows only
	Paused    Status = "PAUSED"     // waits for an operator
	Done      Status = "DONE"       // ended; Outcome says how
)

// AtRest reports states that a job leaves only because of what people do.
func (s Status) AtRest() bool { return s == Done || s == Paused }

// Outcome is how a DONE job ended.
type Outcome string

// The outcomes.
const (
	Succeeded Outcome = "succeeded"
	Failed    Outcome = "failed"
	Cancelled Outcome = "cancelled"
)

// Class says what may be open when a cell ends or a job sleeps.
type Class string

// The classes of call.
const (
	Tool Class = "tool" // must settle before its cell can end
	Wait Class = "wait" // may stay open while the job sleeps
)

// Job is the fold of a job's history: everything that decides what happens next. The hot database row is a
// cached copy of it.
type Job struct {
	Seq     int64   `json:"seq"` // history rows so far; first, where the database checks it
	Status  Status  `json:"status"`
	Outcome Outcome `json:"outcome,omitempty"`
	Limits  Limits  `json:"limits"`
	RunAt   int64   `json:"run_at,omitempty"` // Unix ms; READY jobs start then

	Blocks int `json:"blocks,omitempty"` // warmup blocks in all
	Warm   int `json:"warm,omitempty"`   // warmup blocks that have ended
	Cells  int `json:"cells,omitempty"`  // cells started so far
	Turns  int `json:"turns,omitempty"`  // model replies so far

	Cell  *Cell  `json:"cell,omitempty"`  // the open cell
	Model *Model `json:"model,omitempty"` // the open model request
	Code  bool   `json:"code,omitempty"`  // the last reply's code has not been started

	// NotBefore is when the next attempt's turn with its provider comes, in Unix ms; 0: none was drawn.
	NotBefore int64 `json:"not_before,omitempty"`

	Unread      int  `json:"unread,omitempty"` // messages that the model has not been shown
	Completions int  `json:"completions,omitempty"`
	Exceptions  int  `json:"exceptions,omitempty"`  // model turns that failed
	Streak      int  `json:"streak,omitempty"`      // … without a good one in between
	BadReplies  int  `json:"bad_replies,omitempty"` // … of them, replies that could not be used at all
	Exit        bool `json:"exit,omitempty"`        // exit() ran; finishing waits for unread messages
	// MustHalt and MustFail are why the job has to pause or end next: decided, not yet recorded.
	MustHalt string `json:"must_halt,omitempty"`
	MustFail string `json:"must_fail,omitempty"`
	// Base counters are their values at the last completion: limits apply to what came after.
	BaseTurns      int `json:"base_turns,omitempty"`
	BaseExceptions int `json:"base_exceptions,omitempty"`

	Reason string          `json:"reason,omitempty"` // why it is paused
	Result json.RawMessage `json:"result,omitempty"`
	Error  string          `json:"error,omitempty"`
}

// Cell is the open cell.
type Cell struct {
	Number int       `json:"number"`
	Origin Origin    `json:"origin"`
	Index  int       `json:"index"` // warmup block from 0, or turn from 1
	Open   []Pending `json:"open,omitempty"`
	Sets   []Set     `json:"sets,omitempty"`   // of open waits, undecided
	Issued int       `json:"issued,omitempty"` // calls made so far
	Since  int64     `json:"since,omitempty"`  // the history row that started it; what came before is not read again
}

// Pending is a call that has not settled.
type Pending struct {
	Call  int    `json:"call"`
	Name  string `json:"name"`
	Class Class  `json:"class"`
	// Attempt counts the attempts of which history knows; the first is known by its failure.
	Attempt int   `json:"attempt,omitempty"`
	Failed  bool  `json:"failed,omitempty"`   // the attempt failed; another is due at RetryAt
	RetryAt int64 `json:"retry_at,omitempty"` // Unix ms
}

// Model is the open model request.
type Model struct {
	Turn    int   `json:"turn"`
	Attempt int   `json:"attempt"`
	Failed  bool  `json:"failed,omitempty"`   // the attempt failed; another is due at RetryAt
	RetryAt int64 `json:"retry_at,omitempty"` // Unix ms
}

// Origin says where a cell's code comes from.
type Origin string

// The origins of a cell.
const (
	FromWarmup Origin = "warmup"
	FromReply  Origin = "reply"
)

// Limits bound a job. They are fixed at submission; zero means the default.
type Limits struct {
	Turns       int `json:"turns,omitempty"`       // model replies per completion; 50
	Exceptions  int `json:"exceptions,omitempty"`  // failed cells per completion; 20
	Consecutive int `json:"consecutive,omitempty"` // failed cells in a row; 5
	Attempts    int `json:"attempts,omitempty"`    // of one model request; 5
}

// WithDefaults fills zero fields.
func (l Limits) WithDefaults() Limits {
	def := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	def(&l.Turns, 50)
	def(&l.Exceptions, 20)
	def(&l.Consecutive, 5)
	def(&l.Attempts, 5)
	return l
}

// clone copies what Step may change in place.
func (j Job) clone() Job {
	if j.Cell != nil {
		c := *j.Cell
		c.Open, c.Sets = slices.Clone(c.Open), slices.Clone(c.Sets)
		j.Cell = &c
	}
	if j.Model != nil {
		m := *j.Model
		j.Model = &m
	}
	return j
}

// OnlyWaits reports whether every open call of the open cell is a wait.
func (c *Cell) OnlyWaits() bool {
	return !slices.ContainsFunc(c.Open, func(p Pending) bool { return p.Class != Wait })
}

// Resting reports whether nothing of the open cell is under way: every open call is a wait, or has failed and is
// made again later.
func (c *Cell) Resting() bool {
	return !slices.ContainsFunc(c.Open, func(p Pending) bool { return p.Class != Wait && !p.Failed })
}

// RetryAt is when the next attempt of a failed call is due, in Unix ms; false: none has failed.
func (c *Cell) RetryAt() (at int64, failed bool) {
	for _, p := range c.Open {
		if p.Failed && (!failed || p.RetryAt < at) {
			at, failed = p.RetryAt, true
		}
	}
	return at, failed
}

// find returns the index of an open call, or -1.
func (c *Cell) find(call int) int {
	return slices.IndexFunc(c.Open, func(p Pending) bool { return p.Call == call })
}

// Wake is when the job must be looked at again by itself; the zero time: only when rung.
func (j Job) Wake() time.Time {
	at := int64(0)
	switch j.Status {
	case Ready:
		at = max(j.RunAt, j.NotBefore)
	case Started, WarmingUp:
		at = j.askAt()
	case Suspended:
		at, _ = j.Cell.RetryAt()
	case Paused, Done: // only somebody else can make them go on
	}
	if at == 0 {
		return time.Time{}
	}
	return time.UnixMilli(at).UTC()
}

// askAt is when the model may be asked: the next attempt is due, and its turn has come. 0: at once.
func (j Job) askAt() int64 {
	if j.Model != nil && j.Model.Failed {
		return max(j.Model.RetryAt, j.NotBefore)
	}
	return j.NotBefore
}
