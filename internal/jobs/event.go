package jobs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"statek/internal/temporal"
)

// Event is a fact about a job. Every event but Claimed is in history, and its JSON the payload of a [Row] or a part of it.
type Event interface{ Kind() string }

// Fault is an error as history keeps it.
type Fault struct {
	Name    string `json:"name,omitempty"`
	Message string `json:"message"`
	Code    string `json:"code,omitempty"`
	Stack   string `json:"stack,omitempty"`
	// Data is a JSON object whose members code finds on the error, besides these.
	Data json.RawMessage `json:"data,omitempty"`
}

// TooLarge is the fault of a call whose result code cannot be given, although it has happened.
func TooLarge(call string, size, limit int) *Fault {
	return &Fault{Name: "ResultTooLarge", Code: "limit", Message: fmt.Sprintf(
		"%s was done, but its result has %d bytes and the limit is %d: ask for less", call, size, limit)}
}

// Error implements error.
func (f *Fault) Error() string {
	if f.Name == "" {
		return f.Message
	}
	return f.Name + ": " + f.Message
}

// The events.
type (
	// Submitted is always the first.
	Submitted struct {
		Source string   `json:"source,omitempty"`
		Locale string   `json:"locale,omitempty"`
		Blocks int      `json:"blocks"`
		Vars   []string `json:"vars,omitempty"`
		Limits Limits   `json:"limits"`
		RunAt  int64    `json:"run_at,omitempty"`
	}
	// Claimed: a worker took the job and asks what to do. It is not history.
	Claimed struct{}
	// TakenOver: the worker that held the job died in the middle of something.
	TakenOver struct {
		Worker string `json:"worker"`
		Epoch  int64  `json:"epoch"`
	}
	// CellStarted fixes everything a replay of the cell needs besides its calls.
	CellStarted struct {
		Cell        int    `json:"cell"`
		Origin      Origin `json:"origin"`
		Index       int    `json:"index"`
		Source      string `json:"source"`
		Transformed string `json:"transformed,omitempty"`
		Hidden      bool   `json:"hidden,omitempty"`
		Seed        uint64 `json:"seed"`
		Now         int64  `json:"now"`
		Engine      int    `json:"engine"`
	}
	// CallIssued: the open cell made a call. Hash is the replay hash after the drain that made it, which had
	// After deliveries behind it. Temporal is the version that a wait of the application's began with.
	CallIssued struct {
		Call     int             `json:"call"`
		Name     string          `json:"name"`
		Class    Class           `json:"class"`
		Args     json.RawMessage `json:"args"`
		Temporal string          `json:"temporal,omitempty"`
		Hash     string          `json:"hash,omitempty"`
		After    int             `json:"after,omitempty"`
	}
	// WaitsJoined: of these waits only one may win. Won is the one that has settled already; 0: none.
	WaitsJoined struct {
		Mode  temporal.Mode `json:"mode"`
		Calls []int         `json:"calls"`
		Won   int           `json:"won,omitempty"`
	}
	// CallSettled: exactly one of Value and Error is set. Now is the script's clock at the delivery.
	CallSettled struct {
		Call  int             `json:"call"`
		Name  string          `json:"name"`
		Value json.RawMessage `json:"value,omitempty"`
		Error *Fault          `json:"error,omitempty"`
		Now   int64           `json:"now"`
		// Woke says what made a wait ready. It is for people, and no part of what code sees.
		Woke json.RawMessage `json:"woke,omitempty"`
	}
	// CallFailed: an attempt of a call failed and no result was given to the code. Another is due at RetryAt; with
	// Pause there is none left, and the job pauses instead of handing the error to the code.
	CallFailed struct {
		Call    int    `json:"call"`
		Name    string `json:"name"`
		Attempt int    `json:"attempt"`
		Error   *Fault `json:"error"`
		RetryAt int64  `json:"retry_at,omitempty"` // Unix ms; set unless Pause
		Pause   bool   `json:"pause,omitempty"`
	}
	// CallRetried: another attempt of a call that failed is about to be made.
	CallRetried struct {
		Call    int    `json:"call"`
		Name    string `json:"name"`
		Attempt int    `json:"attempt"`
	}
	// Console holds lines that the open cell printed.
	Console struct {
		Lines []string `json:"lines"`
	}
	// Slept: nothing can run until a wait resolves.
	Slept struct {
		On    []string `json:"on"`
		Why   string   `json:"why"`
		Hash  string   `json:"hash,omitempty"`
		After int      `json:"after,omitempty"`
	}
	// CellEnded closes the open cell; its waits are withdrawn with it.
	CellEnded struct {
		State string   `json:"state"` // done, failed, aborted
		Echo  string   `json:"echo,omitempty"`
		Error *Fault   `json:"error,omitempty"`
		Exit  *Exit    `json:"exit,omitempty"`
		Notes []string `json:"notes,omitempty"` // about values that could not be kept
	}
	// ModelDelayed: the provider is asked no more than it takes; this attempt's turn comes at Until, and is kept.
	ModelDelayed struct {
		Turn    int    `json:"turn"`
		Attempt int    `json:"attempt"`
		Until   int64  `json:"until"` // Unix ms
		Why     string `json:"why"`
	}
	// ModelRequested: an attempt of the turn's request is about to be sent.
	ModelRequested struct {
		Turn     int    `json:"turn"`
		Attempt  int    `json:"attempt"`
		Provider string `json:"provider"`
		Model    string `json:"model"`
		// Repeat: an interruption lost the answer to the attempt before, which may have been paid for.
		Repeat bool `json:"repeat,omitempty"`
	}
	// ModelReplied holds the reply before anything acts on it.
	ModelReplied struct {
		Turn     int             `json:"turn"`
		Text     string          `json:"text"`
		Code     string          `json:"code,omitempty"`
		Bad      string          `json:"bad,omitempty"`   // why the reply is not usable; told to the model
		Final    bool            `json:"final,omitempty"` // the style lets a reply without code end the job
		Usage    json.RawMessage `json:"usage,omitempty"`
		Provider string          `json:"provider"`
		Model    string          `json:"model"`
		Note     string          `json:"note,omitempty"`
	}
	// ModelFailed: the attempt failed, or its outcome is unknown after an interruption.
	ModelFailed struct {
		Turn      int    `json:"turn"`
		Attempt   int    `json:"attempt"`
		Error     string `json:"error"`
		Retryable bool   `json:"retryable"`
		RetryAt   int64  `json:"retry_at,omitempty"` // Unix ms; set when Retryable
	}
	// MessageReceived: a mailbox row was taken in.
	MessageReceived struct {
		Mail    int64           `json:"mail"`
		Payload json.RawMessage `json:"payload"`
	}
	// ValueDiscarded: a wait gave a value that no code has seen; the model is shown it. Release says what became
	// of giving it back: done, or why not; empty: there was nothing to do.
	ValueDiscarded struct {
		Cell    int             `json:"cell"`
		Call    int             `json:"call"`
		Name    string          `json:"name,omitempty"`
		Value   json.RawMessage `json:"value,omitempty"`
		Release string          `json:"release,omitempty"`
	}
	// Halted pauses the job; Reason says why.
	Halted struct {
		Reason string `json:"reason"`
	}
	// Resumed continues a paused job, or reopens a failed or cancelled one.
	Resumed struct {
		By string `json:"by,omitempty"`
	}
	// Finished ends the job.
	Finished struct {
		Outcome Outcome         `json:"outcome"`
		Result  json.RawMessage `json:"result,omitempty"`
		Error   string          `json:"error,omitempty"`
	}
)

// How a cell ended, and the code of an error that is a person's doing.
const (
	done        = "done"
	failed      = "failed"
	aborted     = "aborted"
	interrupted = "interrupted"
)

// Exit is exit's argument; Result is nil for exit().
type Exit struct {
	Result json.RawMessage `json:"result,omitempty"`
}

// Kind implements Event.
func (Submitted) Kind() string       { return "submitted" }
func (Claimed) Kind() string         { return "claimed" }
func (TakenOver) Kind() string       { return "taken_over" }
func (CellStarted) Kind() string     { return "cell_started" }
func (CallIssued) Kind() string      { return "call_issued" }
func (WaitsJoined) Kind() string     { return "waits_joined" }
func (CallSettled) Kind() string     { return "call_settled" }
func (CallFailed) Kind() string      { return "call_failed" }
func (CallRetried) Kind() string     { return "call_retried" }
func (Console) Kind() string         { return "console" }
func (Slept) Kind() string           { return "suspended" }
func (CellEnded) Kind() string       { return "cell_ended" }
func (ModelDelayed) Kind() string    { return "model_delayed" }
func (ModelRequested) Kind() string  { return "model_requested" }
func (ModelReplied) Kind() string    { return "model_replied" }
func (ModelFailed) Kind() string     { return "model_failed" }
func (MessageReceived) Kind() string { return "message_received" }
func (ValueDiscarded) Kind() string  { return "value_discarded" }
func (Halted) Kind() string          { return "paused" }
func (Resumed) Kind() string         { return "resumed" }
func (Finished) Kind() string        { return "finished" }

// Entry is one history row.
type Entry struct {
	Seq   int64
	Cell  int
	Call  int
	At    time.Time
	Event Event
}

// Decode reads a history payload.
func Decode(kind string, payload []byte) (Event, error) {
	switch kind {
	case "submitted":
		return decode[Submitted](payload)
	case "taken_over":
		return decode[TakenOver](payload)
	case "cell_started":
		return decode[CellStarted](payload)
	case "call_issued":
		return decode[CallIssued](payload)
	case "waits_joined":
		return decode[WaitsJoined](payload)
	case "call_settled":
		return decode[CallSettled](payload)
	case "call_failed":
		return decode[CallFailed](payload)
	case "call_retried":
		return decode[CallRetried](payload)
	case "console":
		return decode[Console](payload)
	case "suspended":
		return decode[Slept](payload)
	case "cell_ended":
		return decode[CellEnded](payload)
	case "model_delayed":
		return decode[ModelDelayed](payload)
	case "model_requested":
		return decode[ModelRequested](payload)
	case "model_replied":
		return decode[ModelReplied](payload)
	case "model_failed":
		return decode[ModelFailed](payload)
	case "message_received":
		return decode[MessageReceived](payload)
	case "value_discarded":
		return decode[ValueDiscarded](payload)
	case "paused":
		return decode[Halted](payload)
	case "resumed":
		return decode[Resumed](payload)
	case "finished":
		return decode[Finished](payload)
	default:
		return nil, fmt.Errorf("jobs: unknown history kind %q: written by a newer version?", kind)
	}
}

func decode[E Event](payload []byte) (Event, error) {
	var ev E
	if err := json.Unmarshal(payload, &ev); err != nil {
		return nil, fmt.Errorf("jobs: decode %s: %w", ev.Kind(), err)
	}
	return ev, nil
}

// Encode writes a history payload: compact JSON in which raw values keep their bytes.
func Encode(ev Event) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(ev); err != nil {
		return nil, fmt.Errorf("jobs: encode %s: %w", ev.Kind(), err)
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// AsRecorded is the event as it will be read from history, where Encode leaves no white space between the tokens of
// a value. A live VM must be given these very bytes: a replay will be, and compares.
func (e CallSettled) AsRecorded() CallSettled {
	var b bytes.Buffer
	if json.Compact(&b, e.Value) == nil {
		e.Value = b.Bytes()
	}
	return e
}

// Place says which cell and call an event is about (0: none); cell is the open cell's number.
func Place(ev Event, cell int) (int, int) {
	switch ev := ev.(type) {
	case CellStarted:
		return ev.Cell, 0
	case CallIssued:
		return cell, ev.Call
	case CallSettled:
		return cell, ev.Call
	case CallFailed:
		return cell, ev.Call
	case CallRetried:
		return cell, ev.Call
	case ValueDiscarded:
		return ev.Cell, ev.Call
	case WaitsJoined, Console, Slept, CellEnded:
		return cell, 0
	default:
		return 0, 0
	}
}
