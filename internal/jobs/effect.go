package jobs

import (
	"encoding/json"
	"time"
)

// Effect is what must happen next. The engine performs effects and turns what came of them into events.
type Effect interface{ effect() }

// The effects.
type (
	// StartCell: find the code, fix seed and clock, record CellStarted.
	StartCell struct {
		Origin Origin
		Index  int
	}
	// Execute: build a VM and run the open cell from its start through all that is recorded of it.
	Execute struct{}
	// Perform: do the call, record CallSettled. Waits are registered instead.
	Perform struct{ Call Pending }
	// Deliver: hand the recorded result to the VM.
	Deliver struct{ Call int }
	// Withdraw: take back waits that have lost their set.
	Withdraw struct{ Calls []int }
	// AskModel: record ModelRequested.
	AskModel struct{ Turn, Attempt int }
	// Send: send the recorded request, record ModelReplied or ModelFailed.
	Send struct{}
	// Halt: record Halted.
	Halt struct{ Reason string }
	// End: record Finished.
	End struct {
		Outcome Outcome
		Result  json.RawMessage
		Error   string
	}
	// Rest: nothing to do until rung, or until the given time when it is not zero.
	Rest struct{ Until time.Time }
)

func (StartCell) effect() {}
func (Execute) effect()   {}
func (Perform) effect()   {}
func (Deliver) effect()   {}
func (Withdraw) effect()  {}
func (AskModel) effect()  {}
func (Send) effect()      {}
func (Halt) effect()      {}
func (End) effect()       {}
func (Rest) effect()      {}
