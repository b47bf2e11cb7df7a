package temporal

import (
	"encoding/json"
	"time"

	"statek/internal/sqldef"
)

// Kind is a kind of wait.
type Kind string

// The kinds of wait.
const (
	Sleep    Kind = "sleep"
	Until    Kind = "until"
	Event    Kind = "event"
	Message  Kind = "message"
	Approval Kind = "approval"
	Job      Kind = "job"
	Object   Kind = "object"
	SQL      Kind = "sql"
	Go       Kind = "go"
)

// Spec is one wait as a cell asked for it: what registering it writes.
type Spec struct {
	Cell int
	Call int
	Kind Kind
	// Name is what the code called: "sleep", "pickNextTask".
	Name string
	// Due is when a sleep or until resolves and when any other wait times out; nil: never.
	Due *time.Time
	// Since bounds an event's look-back; nil: the job's creation.
	Since *time.Time
	// Group is set for kinds that depend on data: Event, Job, Object, SQL and Go.
	Group *Group
	// Question is set for Approval.
	Question *Question
}

// Mode says what decides a set of waits.
type Mode string

// The modes of a set.
const (
	// First: whatever settles a member, a timeout too, decides.
	First Mode = "first"
	// Any: a value decides; a member that fails just leaves.
	Any Mode = "any"
)

// Set is a number of waits of one cell of which only one may win: the others are withdrawn with it.
type Set struct {
	Cell  int
	Calls []int
	Mode  Mode
}

// Withdrawal takes back open waits of a cell: all of them when Calls is nil.
type Withdrawal struct {
	Cell  int
	Calls []int
}

// Group is the identity of all waits that are evaluated as one.
type Group struct {
	Prefix string
	Kind   Kind
	Name   string
	// TemporalID is the version's id, empty for events.
	TemporalID string
	// Args is canonical JSON: for SQL and Go an object of the temporal's parameters, for events {name, key}, for
	// jobs {id}.
	Args json.RawMessage
	// Deps are what can make the condition true: "app.tasks:<key>", "fact:<name>", "job:<id>".
	Deps []string
	// Recheck is the declared interval for conditions that become true without a write; 0: none.
	Recheck time.Duration
}

// Discard is a value that a wait has given and no code will see.
type Discard struct {
	Cell, Call int
	Name       string
	// Temporal is the version that the wait began with; empty for built-ins, which have nothing to give back.
	Temporal string
	// Args are the call's arguments.
	Args  []json.RawMessage
	Value json.RawMessage
}

// Definition is a temporal: in SQL, from temporals/<name>.sql, or of an embedding program, whose condition and
// complement are functions that only its own workers have.
type Definition struct {
	Name string `json:"name"`
	// Go marks a temporal of an embedding program; it has no statements.
	Go          bool           `json:"go,omitempty"`
	Params      []sqldef.Param `json:"params"`
	Description string         `json:"description,omitempty"`
	Watches     []Watch        `json:"watches,omitempty"`
	// Condition says whether anything is ready: a query; ready means its first column of the first row is
	// neither null nor false.
	Condition sqldef.Statement `json:"condition,omitzero"`
	// Complement takes the value for one waiter; no row means somebody else was faster.
	Complement sqldef.Statement `json:"complement,omitzero"`
	// Release gives a claimed value back when it is discarded; :value is the claimed row as jsonb.
	Release *sqldef.Statement `json:"release,omitempty"`
	// Recheck is a Go duration text; empty: none.
	Recheck string `json:"recheck,omitempty"`
}

// Watch is a table whose writes can make the condition true.
type Watch struct {
	// Relation is schema-qualified.
	Relation string `json:"relation"`
	// Column of the relation whose value is the key, and the parameter it is compared with. Both empty:
	// every write to the relation matters (the dep's key is '*').
	Column string `json:"column,omitempty"`
	Param  string `json:"param,omitempty"`
	// Line is where it stands in its file; 0: it came from none.
	Line int `json:"-"`
}
