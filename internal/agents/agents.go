package agents

import (
	"encoding/json"
	"fmt"
	"time"

	"statek/internal/sqldef"
)

// Definition is one agent as its author wrote it: what `statek apply` stores and a job pins by version.
type Definition struct {
	Role string `json:"role"`
	// Meta are the "# KEY: value" lines, keys upper-cased.
	Meta map[string]string `json:"meta"`
	// Prompt is the text below "# System Prompt", verbatim.
	Prompt string `json:"prompt"`
	// Warmup are the blocks that run before the first model request, in order.
	Warmup []Block `json:"warmup,omitempty"`
}

// Block is one warmup block.
type Block struct {
	Source string `json:"source"`
	// Hidden blocks run, and are left out of what the model sees.
	Hidden bool `json:"hidden,omitempty"`
	// Line is the block's first line in its file, from 1; error positions are shifted by it.
	Line int `json:"line,omitempty"`
}

// Style says how a model writes code in its replies.
type Style string

// The chat styles.
const (
	// Console: the whole reply is code.
	Console Style = "CONSOLE"
	// Markdown (default): fenced js/javascript/ts/typescript blocks are code, the rest is commentary.
	Markdown Style = "MARKDOWN"
	// MDDialog: like Markdown; text outside fences is for the user, and a reply without code ends the job.
	MDDialog Style = "MD_DIALOG"
)

// Reply is a model's text, understood.
type Reply struct {
	// Code is what to run; fences joined by a newline. Empty means the reply had none.
	Code string
	// Text is what stands outside the code.
	Text string
}

// Turn is one item of a job's past as the model should see it, oldest first.
type Turn struct {
	Kind TurnKind
	// Text is the message, the reply's full text, the warmup's code, or the note.
	Text string
	// Console is what the code printed, with its echo and error, for Warmup and Reply.
	Console string
	Hidden  bool
}

// TurnKind says what a turn is.
type TurnKind string

// Kinds of turn.
const (
	WarmupTurn  TurnKind = "warmup"
	ReplyTurn   TurnKind = "reply"
	MessageTurn TurnKind = "message"
	NoteTurn    TurnKind = "note"
)

// ToolKind says how a tool is performed.
type ToolKind string

// Kinds of tool.
const (
	// SQLTool is one statement, run in the transaction that records its result.
	SQLTool ToolKind = "sql"
	// HTTPTool is one request, sent with a stable Idempotency-Key.
	HTTPTool ToolKind = "http"
	// GoTool is a function of the embedding program; only its name and schema are stored.
	GoTool ToolKind = "go"
)

// Tool is a tool definition, from tools/<name>.sql or tools/<name>.http.yaml.
type Tool struct {
	Name        string   `json:"name"`
	Kind        ToolKind `json:"kind"`
	Description string   `json:"description,omitempty"`
	// Params are the positional parameters in order; code may also pass one object with these keys.
	Params []Param `json:"params"`
	// Input and Output are JSON Schemas (2020-12) of one argument object and of the result; may be null.
	Input  json.RawMessage `json:"input,omitempty"`
	Output json.RawMessage `json:"output,omitempty"`
	SQL    *SQLCall        `json:"sql,omitempty"`
	HTTP   *HTTPCall       `json:"http,omitempty"`
	// Once: after an interruption do not repeat the call; the script gets UnknownOutcomeError.
	Once bool `json:"once,omitempty"`
	// Timeout of one attempt, a Go duration text; default 30s (SQL: 10s).
	Timeout string `json:"timeout,omitempty"`
	// Retry says how calls that fail are repeated. Default: 3 attempts with pauses from 1s to 1m; SQL tools, which
	// are repeated when they lost to a concurrent transaction, 5 with pauses from 10ms to 1s.
	Retry *Retry `json:"retry,omitempty"`
	// OnExhausted is what becomes of a call whose last attempt has failed: "fail" (default) or "pause".
	OnExhausted string `json:"on_exhausted,omitempty"`
}

// Param is one parameter of a tool.
type Param struct {
	Name string `json:"name"`
	// Type is a TypeScript type for the model ("number", "string", "string[]").
	Type     string `json:"type"`
	Optional bool   `json:"optional,omitempty"`
}

// SQLCall is a statement with numbered parameters.
type SQLCall struct {
	// Text has $1…$n with casts; Args names the parameter of each.
	Text string   `json:"text"`
	Args []string `json:"args"`
	// Params are the declared parameters with their Postgres types.
	Params []sqldef.Param `json:"params,omitempty"`
	// Line is where Text begins in its file; see sqldef.Statement.
	Line int `json:"-"`
	// Returns is "many" (array of rows), "one" (a row or null), "value" (first column of the first row or
	// null) or "none" (the number of rows affected).
	Returns string `json:"returns"`
	// Batch: calls of different jobs may share a transaction.
	Batch bool `json:"batch,omitempty"`
}

// SQLRun is one call of an SQL tool, ready to run.
type SQLRun struct {
	SQLCall
	// Name is the tool's.
	Name string
	// Values are the arguments by parameter name; Builtins are job_id and prefix.
	Values   map[string]json.RawMessage
	Builtins map[string]string
	// Timeout bounds the statement.
	Timeout time.Duration
	// Most is how many bytes of rows are kept; 0: all.
	Most int
	// Chain links the call with the one after it; nil: it stands alone.
	Chain *Chain
	// Begun is this call itself, when it was performed with the commit of the one before.
	Begun Begun
}

// Chain lets a call begin with the commit of the one before it: in the same trip to the database, and in a transaction of its own.
type Chain struct {
	// Next is what follows. Who settles the call sets it, before its commit.
	Next *SQLRun
	// Begun is Next, performed and not recorded, when the end of the commit is told; nil when it was not begun or has failed. Its owner
	// runs or discards it, soon: it holds locks.
	Begun Begun
}

// Begun is a call that was performed and not recorded. After it was run, Discard does nothing.
type Begun interface{ Discard() }

// HTTPCall is a request with {name} placeholders.
type HTTPCall struct {
	Method string `json:"method"`
	// URL, Headers and Body hold {param} placeholders; ${ENV_NAME} in header values and the URL's host part
	// is read from the worker's environment at call time and never stored or shown.
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers,omitempty"`
	// Body is "json" (default for POST/PUT/PATCH: the arguments as one object) or "none".
	Body string `json:"body,omitempty"`
}

// FileError is a definition that cannot be read, with its place.
type FileError struct {
	File string
	Line int
	Msg  string
}

// Error implements error.
func (e *FileError) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Msg) }
