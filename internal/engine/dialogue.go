package engine

import (
	"encoding/json"
	"fmt"
	"strings"

	"statek/internal/agents"
	"statek/internal/jobs"
)

// dialogue makes turns out of history: what ran, what it printed, what was said.
func dialogue(entries []jobs.Entry) []agents.Turn {
	d := talk{current: -1}
	for _, e := range entries {
		d.add(e)
	}
	return d.turns
}

type talk struct {
	turns   []agents.Turn
	current int // the turn whose cell prints; -1: none
	reply   int // the last reply's turn
	calls   []string
}

func (t *talk) add(e jobs.Entry) {
	switch ev := e.Event.(type) {
	case jobs.CellStarted:
		t.calls = nil
		if ev.Origin == jobs.FromReply {
			t.current = t.reply
			return
		}
		t.push(agents.Turn{Kind: agents.WarmupTurn, Text: ev.Source, Hidden: ev.Hidden})
		t.current = len(t.turns) - 1
	case jobs.Console:
		t.print(ev.Lines...)
	case jobs.CallIssued:
		t.calls = append(t.calls, fmt.Sprintf("%d. %s(%s)", ev.Call, ev.Name, shorten(strings.Trim(string(ev.Args), "[]"), 200)))
	case jobs.CallSettled:
		t.settled(ev)
	case jobs.CellEnded:
		t.ended(ev)
	case jobs.ModelReplied:
		t.push(agents.Turn{Kind: agents.ReplyTurn, Text: ev.Text})
		t.reply = len(t.turns) - 1
		if ev.Bad != "" {
			t.turns[t.reply].Console = "Error: " + ev.Bad
		}
	case jobs.MessageReceived:
		t.push(agents.Turn{Kind: agents.MessageTurn, Text: readable(ev.Payload)})
	case jobs.ValueDiscarded:
		t.push(agents.Turn{Kind: agents.NoteTurn, Text: discarded(ev)})
	case jobs.Finished:
		if ev.Outcome != jobs.Succeeded {
			t.push(agents.Turn{Kind: agents.NoteTurn, Text: strings.TrimSpace("Note: the job was " + string(ev.Outcome) + " and resumed. " + ev.Error)})
		}
		t.current = -1
	}
}

// discarded tells the model of a value that no code has seen.
func discarded(ev jobs.ValueDiscarded) string {
	name := ev.Name
	if name == "" {
		name = "a wait"
	}
	text := fmt.Sprintf("Note: call %d of cell %d, %s, resolved when its cell had ended or another wait had been first. Its value: %s",
		ev.Call, ev.Cell, name, shorten(string(ev.Value), 2000))
	switch ev.Release {
	case "":
		return text
	case released:
		return text + ". It was given back: others can take it."
	default:
		return text + ". Giving it back failed: " + shorten(ev.Release, 500)
	}
}

func (t *talk) push(turn agents.Turn) { t.turns = append(t.turns, turn) }

func (t *talk) print(lines ...string) {
	if t.current < 0 || t.current >= len(t.turns) {
		return
	}
	turn := &t.turns[t.current]
	for _, l := range lines {
		if turn.Console != "" {
			turn.Console += "\n"
		}
		turn.Console += l
	}
}

// settled completes the list of calls with their results, for the model of a cell that is not run again.
func (t *talk) settled(ev jobs.CallSettled) {
	result := "→ " + shorten(string(ev.Value), 200)
	if ev.Error != nil {
		result = "→ " + ev.Error.Error()
	}
	if i := ev.Call - 1; i >= 0 && i < len(t.calls) {
		t.calls[i] += " " + result
	}
}

func (t *talk) ended(ev jobs.CellEnded) {
	if ev.Echo != "" {
		t.print(ev.Echo)
	}
	if ev.Error != nil {
		t.print("Uncaught " + ev.Error.Error())
	}
	if ev.State == "aborted" && len(t.calls) > 0 {
		t.print("Calls that the cell had made:")
		t.print(t.calls...)
	}
	t.print(ev.Notes...)
	t.current = -1
}

// readable is a message's text, or its JSON.
func readable(payload json.RawMessage) string {
	var s string
	if json.Unmarshal(payload, &s) == nil {
		return s
	}
	return string(payload)
}
