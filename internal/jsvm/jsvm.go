package jsvm

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Engine is the number of the newest prelude in this binary. Every cell records the engine it started
// under; preludes are immutable, so a suspended cell is always replayed under the one it began with.
const Engine = 1

// Machine runs cells and answers questions about source text. InProcess is one; the pool of package
// sandbox is another, whose cells run in child processes. A Machine is safe for concurrent use.
type Machine interface {
	// Analyze parses source as a cell without running it, on behalf of the tenant at prefix. A *SyntaxError
	// says where it is broken.
	Analyze(ctx context.Context, prefix, source string, limits Limits) (Analysis, error)
	// Open builds a session: a fresh VM that holds the given workspace and grants. What is wrong with the
	// setup may also be reported by the first Run.
	Open(ctx context.Context, setup Setup) (Session, error)
}

// Session is one live VM. It does no I/O: it runs until no microtask is left and returns the calls it
// made. A Session is not safe for concurrent use. After an error or a Step whose State is Aborted the
// session must be closed; nothing else can be done with it.
type Session interface {
	// Run starts a cell. The session must not have an open cell.
	Run(ctx context.Context, cell Cell) (Step, error)
	// Deliver settles calls of the open cell, one by one in the given order, draining microtasks after
	// each, and returns what all of them together brought about.
	Deliver(ctx context.Context, deliveries ...Delivery) (Step, error)
	// Changes compares the workspace with what Open was given (or the last Changes returned). It may be
	// called only after a cell has ended as Done or Failed.
	Changes(ctx context.Context) (Changes, error)
	// Close drops the VM. It may be called at any time, also twice.
	Close()
}

// Setup is everything a session starts from.
type Setup struct {
	// Prefix is the job's prefix: the tenant boundary of a sandbox child.
	Prefix string
	// Engine is the prelude to use; 0 means the newest. An unknown one is ErrEngine.
	Engine int
	// Grants are the host functions that code may call, by name.
	Grants []Grant
	// Variables is the workspace as of the cell's start.
	Variables []Variable
	Limits    Limits
}

// Grant lets code call one host function. Every call returns a promise.
type Grant struct {
	// Name is a JavaScript name, or two with a dot between: then the function is a method of a read-only global.
	Name string
	// Wait marks a call that may stay open while the job sleeps (sleep, event, a temporal …). A cell may
	// end while waits are open, never while other calls are.
	Wait bool
	// Signature is a TypeScript declaration and Doc a description; docs(name) and tools() show them.
	Signature string
	Doc       string
}

// Variable is one top-level variable, or the reason why it could not be kept.
type Variable struct {
	Name string
	// Value is the codec's exact text (JSON; see codec.go for the tagged forms).
	Value []byte
	// Type is a short description for people: "string", "Array(3)", "Map(2)", "class Point".
	Type string
	// Refused, when set, says why the value was not kept; reading the name throws a ReferenceError with
	// this text. Value is then empty.
	Refused string
}

// Changes lists what a cell did to the workspace. Nothing is dropped silently: a value that cannot be
// kept is in Set with Refused, and a line about it is in Notes.
type Changes struct {
	Set     []Variable
	Deleted []string
	// Notes are console lines for the model: variable, path, remedy.
	Notes []string
}

// Cell is one piece of code to run.
type Cell struct {
	// Number is the cell's place in the job, from 1. It appears in error positions as "cell:line:col".
	Number int
	Source string
	// Transformed, when set, is Step.Transformed of the run that is being repeated. It is run as it is, so
	// that a replay does not depend on how this binary would transform Source.
	Transformed string
	// Seed feeds Math.random and ids; Now is the clock at the start, in Unix milliseconds.
	Seed uint64
	Now  int64
	// Recorded are the calls that the cell is known to have made, in program order. While the cell is
	// replayed each call must equal its record; Step.Calls holds only calls beyond them.
	Recorded []Call
	// Printed are the console lines that the cell is known to have printed. They only explain a divergence.
	Printed []string
	// Sets are those that the cell is known to have made, in order, likewise.
	Sets []Set
}

// Call is one host call made by a cell. Calls are numbered from 1 in program order.
type Call struct {
	ID   int
	Name string
	// Args is a JSON array of plain JSON: Dates are ISO strings, undefined properties are left out,
	// undefined arguments are null.
	Args []byte
}

// Set joins open waits of a cell: the first that settles (mode any: the first with a value) wins, and the
// others are withdrawn: their promises reject with WithdrawnError.
type Set struct {
	Mode  string // first, any
	Calls []int  // in the order of the code's arguments
	// Won is the member that had settled before the set was made; 0: none.
	Won int
}

// Delivery settles one call. A delivery to a call that was withdrawn changes nothing. Exactly one of Value and Err is set.
type Delivery struct {
	Call int
	// Value is JSON text, decoded from exactly these bytes whether live or replayed.
	Value []byte
	Err   *Error
	// Now is the clock from this delivery on, in Unix milliseconds.
	Now int64
	// Replay marks a recorded delivery: CPU limits are four times as large and never blame the script.
	Replay bool
	// Expect, when set, is the Step.Hash that must hold just before this delivery, else *DivergedError.
	Expect string
}

// State is how far the open cell is.
type State string

// States of a cell.
const (
	// Pending: calls are outstanding and nothing else can run.
	Pending State = "pending"
	// Done: the main promise is fulfilled and every call that is not a wait has settled, or exit ran.
	Done State = "done"
	// Failed: the main promise is rejected (effects stay), the source does not parse, or the cell can
	// never continue.
	Failed State = "failed"
	// Aborted: a limit ended the cell; the workspace is as it was at its start.
	Aborted State = "aborted"
)

// Step is what one drive of the VM brought about.
type Step struct {
	State State
	// Calls are newly made, in program order.
	Calls []Call
	// Sets are newly made, in order.
	Sets []Set
	// Console holds the lines printed since the previous step.
	Console []string
	// Echo is the rendered value of the last expression, when State is Done and there was one that is
	// not undefined.
	Echo string
	// Err is set when State is Failed or Aborted.
	Err *Error
	// Exit is set once exit(result) has run: no code of the cell runs after it, not even finally blocks.
	// Calls that are still outstanding are not delivered any more.
	Exit *Exit
	// Hash is the running hash of console, calls, argument bytes, deliveries and clock.
	Hash string
	// Transformed is the text that really ran when it differs from the source (TypeScript and newer
	// syntax go through esbuild), with its source map as the last line; empty otherwise. Set on the first
	// step of a cell.
	Transformed string
}

// Exit carries exit's argument, or panic's reason.
type Exit struct {
	// Result is plain JSON; nil for exit().
	Result []byte
}

// Error is a JavaScript error as data. Stacks carry no byte-code offsets.
type Error struct {
	Name    string `json:"name"`
	Message string `json:"message"`
	// Code refines Name for programs: "limit", "timeout", "unknown_outcome", "cancelled" …
	Code  string `json:"code,omitempty"`
	Stack string `json:"stack,omitempty"`
	// Data is a JSON object whose members become properties of the error. Errors that a cell throws have none.
	Data []byte `json:"data,omitempty"`
}

// Error implements error.
func (e *Error) Error() string {
	if e.Name == "" {
		return e.Message
	}
	return e.Name + ": " + e.Message
}

// Analysis is what can be known about a cell without running it.
type Analysis struct {
	// Free are names that the code reads before it binds them, in first-use order, without JavaScript's
	// and the prelude's own globals. Tools and temporals are still in it: the caller knows those.
	Free []string
	// Called are those of Free that the code only ever calls, as in name(…) or await name(…), and never
	// reads, tests or assigns otherwise.
	Called []string
	// Declared are the top-level names the code binds.
	Declared []string
}

// SyntaxError says why and where source text is not a cell.
type SyntaxError struct {
	Message      string
	Line, Column int
}

// Error implements error.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("SyntaxError: %s (%d:%d)", e.Message, e.Line, e.Column)
}

// DivergedError: replaying the recorded calls did not lead where it led before. Its text has several lines and
// at most 2 kB.
type DivergedError struct {
	// Call is the call that was made, or whose result was to be delivered, when it was noticed; Delivered is how
	// many results the cell had been given by then.
	Call, Delivered int
	// Want is what was recorded: a call with its arguments, or a state; Got is what came instead.
	Want, Got string
	// Where is the first place at which the arguments differ.
	Where string
	// Console is the first printed line that differs, when Cell.Printed was given.
	Console string
}

// ErrUnavailable: cells cannot be run here now, for no fault of theirs. The same may work later, or elsewhere.
var ErrUnavailable = errors.New("jsvm: cells cannot be run here now")

// ErrEngine: the setup names a prelude that this binary does not have.
var ErrEngine = errors.New("jsvm: cell was started by a newer engine")

// Limits bound a cell. A zero field means its default.
type Limits struct {
	SourceBytes    int           `json:"source_bytes,omitempty"`    // 64 KiB
	Nesting        int           `json:"nesting,omitempty"`         // 200 open brackets
	Operators      int           `json:"operators,omitempty"`       // 2,000 in one expression, or one chain such as else if
	DrainTime      time.Duration `json:"drain_time,omitempty"`      // 5 s of computing between two stops
	CellTime       time.Duration `json:"cell_time,omitempty"`       // 60 s over all drains
	MemoryBytes    int64         `json:"memory_bytes,omitempty"`    // 256 MiB that a cell may add; needs a sandbox child
	CallStack      int           `json:"call_stack,omitempty"`      // 1,000 frames
	PendingCalls   int           `json:"pending_calls,omitempty"`   // 256
	TotalCalls     int           `json:"total_calls,omitempty"`     // 1,000
	ArgBytes       int           `json:"arg_bytes,omitempty"`       // 256 KiB
	ResultBytes    int           `json:"result_bytes,omitempty"`    // 256 KiB a call
	CellResults    int           `json:"cell_results,omitempty"`    // 16 MiB a cell
	ConsoleBytes   int           `json:"console_bytes,omitempty"`   // 64 KiB a cell, head and tail
	VariableBytes  int           `json:"variable_bytes,omitempty"`  // 1 MiB
	WorkspaceBytes int           `json:"workspace_bytes,omitempty"` // 4 MiB
	// AllowEval turns on eval and the Function constructors. Default off.
	AllowEval bool `json:"allow_eval,omitempty"`
}

// WithDefaults fills zero fields.
func (l Limits) WithDefaults() Limits {
	def := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	def(&l.SourceBytes, 64<<10)
	def(&l.Nesting, 200)
	def(&l.Operators, 2000)
	def(&l.CallStack, 1000)
	def(&l.PendingCalls, 256)
	def(&l.TotalCalls, 1000)
	def(&l.ArgBytes, 256<<10)
	def(&l.ResultBytes, 256<<10)
	def(&l.CellResults, 16<<20)
	def(&l.ConsoleBytes, 64<<10)
	def(&l.VariableBytes, 1<<20)
	def(&l.WorkspaceBytes, 4<<20)
	if l.MemoryBytes == 0 {
		l.MemoryBytes = 256 << 20
	}
	if l.DrainTime == 0 {
		l.DrainTime = 5 * time.Second
	}
	if l.CellTime == 0 {
		l.CellTime = time.Minute
	}
	return l
}
