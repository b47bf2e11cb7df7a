package engine

import (
	"statek/internal/jobs"
	"statek/internal/temporal"
)

// leavings are the waits that a cell which has ended may leave behind. All others went with the mail that settled them, and a commit
// that takes none back can be shared.
type leavings int

const (
	noWaits     leavings = iota
	ownWaits             // of messages, which outlive their resolution; nobody else looks at them
	sharedWaits          // that nothing has ended, or that are left of a set: others may hold locks on what they share
)

func leavesWaits(log []jobs.Entry) leavings {
	open, left := map[int]bool{}, noWaits
	for _, e := range log {
		switch ev := e.Event.(type) {
		case jobs.CallIssued:
			if ev.Class == jobs.Wait {
				open[ev.Call] = true
			}
			if ev.Class == jobs.Wait && ev.Name == string(temporal.Message) {
				left = ownWaits
			}
		case jobs.CallSettled:
			delete(open, ev.Call)
		case jobs.WaitsJoined:
			return sharedWaits
		}
	}
	if len(open) > 0 {
		return sharedWaits
	}
	return left
}

// answered are the calls of message() that were given one since the cell has slept last. Their waits outlive that until it sleeps again: then
// nobody is to be told that it waits for them, nor woken when their time has come.
func answered(log []jobs.Entry) (calls []int) {
	messages := map[int]bool{}
	for _, e := range log {
		switch ev := e.Event.(type) {
		case jobs.CallIssued:
			if ev.Class == jobs.Wait && ev.Name == string(temporal.Message) {
				messages[ev.Call] = true
			}
		case jobs.CallSettled:
			if messages[ev.Call] {
				calls = append(calls, ev.Call)
			}
		case jobs.Slept:
			calls = nil
		}
	}
	return calls
}
