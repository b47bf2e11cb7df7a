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
	Sleep   Kind = "sleep"
	Until   Kind = "until"
	Event   Kind = "event"
	Message Kind = "message"
	SQL     Kind = "sql"
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
	// Group is set for kinds that depend on data: Event and SQL.
	Group *Group
}

// Group is the identity of all waits that are evaluated as one.
type Group struct {
	Prefix string
	Kind   Kind
	Name   string
	// TemporalID is the version's id, empty for events.
	TemporalID string
	// Args is canonical JSON: for SQL an object of the temporal's parameters, for events {name, key}.
	Args json.RawMessage
	// Deps are what can make the condition true: "app.tasks:<key>", "fact:<name>".
	Deps []string
	// Recheck is the declared interval for conditions that become true without a write; 0: none.
	Recheck time.Duration
}

// Definition is an SQL temporal, from temporals/<name>.sql.
type Definition struct {
	Name        string         `json:"name"`
	Params      []sqldef.Param `json:"params"`
	Description string         `json:"description,omitempty"`
	Watches     []Watch        `json:"watches,omitempty"`
	// Condition says whether anything is ready: a query; ready means its first column of the first row is
	// neither null nor false.
	Condition sqldef.Statement `json:"condition"`
	// Complement takes the value for one waiter; no row means somebody else was faster.
	Complement sqldef.Statement `json:"complement"`
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
