package jobs_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"statek/internal/jobs"
	"statek/internal/temporal"
)

// situation is a job somewhere in its life, and how it got there.
type situation struct {
	name   string
	events []jobs.Event
}

// small are limits that a short script can reach.
var small = jobs.Limits{Turns: 2, Exceptions: 2, Consecutive: 2, Attempts: 2}

func situations() []situation {
	fresh := jobs.Submitted{Limits: small}
	warm := jobs.Submitted{Limits: small, Blocks: 2}
	block := jobs.CellStarted{Cell: 1, Origin: jobs.FromWarmup}
	asked := jobs.ModelRequested{Turn: 1, Attempt: 1}
	coded := jobs.ModelReplied{Turn: 1, Code: "x"}
	cell := jobs.CellStarted{Cell: 1, Origin: jobs.FromReply, Index: 1}
	wait := jobs.CallIssued{Call: 1, Name: "sleep", Class: jobs.Wait}
	tool := jobs.CallIssued{Call: 1, Name: "lookup", Class: jobs.Tool}
	fault := &jobs.Fault{Message: "oops"}
	failed := jobs.CallFailed{Call: 1, Attempt: 1, Error: fault, RetryAt: start.UnixMilli() + 1}
	path := func(events ...jobs.Event) []jobs.Event { return events }
	return []situation{
		{"nothing", nil},
		{"submitted", path(fresh)},
		{"warmup block runs", path(warm, block)},
		{"warmup block sleeps", path(warm, block, wait, jobs.Slept{})},
		{"between warmup blocks", path(warm, block, jobs.CellEnded{State: "done"})},
		{"warmup has failed", path(warm, block, jobs.CellEnded{State: "failed", Error: fault})},
		{"warmup was aborted", path(warm, block, jobs.CellEnded{State: "aborted", Error: fault})},
		{"model thinks", path(fresh, asked)},
		{"turn is drawn", path(fresh, jobs.ModelDelayed{Turn: 1, Attempt: 1, Until: start.UnixMilli() + 1})},
		{"retry is due", path(fresh, asked, jobs.ModelFailed{Turn: 1, Attempt: 1, Error: "503", Retryable: true})},
		{"model gave up", path(fresh, asked, jobs.ModelFailed{Turn: 1, Attempt: 1, Error: "401"})},
		{"code waits", path(fresh, asked, coded)},
		{"cell runs", path(fresh, asked, coded, cell)},
		{"cell with open tool", path(fresh, asked, coded, cell, tool)},
		{"call failed", path(fresh, asked, coded, cell, tool, failed)},
		{"call is made again", path(fresh, asked, coded, cell, tool, failed, jobs.CallRetried{Call: 1, Attempt: 2})},
		{"sleeps until a call is made again", path(fresh, asked, coded, cell, tool, failed, jobs.Slept{})},
		{"call has no attempt left", path(fresh, asked, coded, cell, tool, jobs.CallFailed{Call: 1, Attempt: 1, Error: fault, Pause: true})},
		{"cell with open wait", path(fresh, asked, coded, cell, wait)},
		{"cell with a set", path(fresh, asked, coded, cell, wait, jobs.CallIssued{Call: 2, Name: "event", Class: jobs.Wait},
			jobs.WaitsJoined{Mode: temporal.First, Calls: []int{1, 2}})},
		{"cell sleeps", path(fresh, asked, coded, cell, wait, jobs.Slept{})},
		{"exit ran", path(fresh, asked, coded, cell, jobs.CellEnded{State: "done", Exit: &jobs.Exit{}})},
		{"paused at rest", path(fresh, jobs.Halted{Reason: "r"})},
		{"paused while thinking", path(fresh, asked, jobs.Halted{Reason: "r"})},
		{"paused in a cell", path(fresh, asked, coded, cell, wait, jobs.Halted{Reason: "r"})},
		{"succeeded", path(fresh, asked, jobs.ModelReplied{Turn: 1, Final: true}, jobs.Finished{Outcome: jobs.Succeeded})},
		{"failed", path(fresh, jobs.Finished{Outcome: jobs.Failed, Error: "oops"})},
		{"cancelled", path(fresh, jobs.Finished{Outcome: jobs.Cancelled})},
	}
}

// moves are one event of every sort that fits the job as well as any of its sort can.
func moves(j jobs.Job) []jobs.Event {
	call, attempt := 1, 1
	if j.Cell != nil {
		call = j.Cell.Issued + 1
	}
	settled := jobs.CallSettled{Call: call, Name: "x", Value: json.RawMessage("1")}
	if j.Cell != nil && len(j.Cell.Open) > 0 {
		settled.Call = j.Cell.Open[0].Call
	}
	open := jobs.Pending{Call: call}
	if j.Cell != nil && len(j.Cell.Open) > 0 {
		open = j.Cell.Open[0]
	}
	turn := j.Turns + 1
	if j.Model != nil {
		attempt = j.Model.Attempt
	}
	next := attempt
	if j.Model != nil {
		next++
	}
	fault := &jobs.Fault{Name: "Error", Message: "oops"}
	return []jobs.Event{
		jobs.Submitted{Blocks: 1, Limits: small},
		jobs.Claimed{},
		jobs.TakenOver{Worker: "w", Epoch: 2},
		jobs.CellStarted{Cell: j.Cells + 1, Origin: jobs.FromWarmup, Index: j.Warm},
		jobs.CellStarted{Cell: j.Cells + 1, Origin: jobs.FromReply, Index: j.Turns},
		jobs.CallIssued{Call: call, Name: "lookup", Class: jobs.Tool, Args: json.RawMessage("[]")},
		jobs.CallIssued{Call: call, Name: "sleep", Class: jobs.Wait, Args: json.RawMessage("[]")},
		settled,
		jobs.CallFailed{Call: open.Call, Attempt: max(open.Attempt, 1), Error: fault, RetryAt: start.UnixMilli() + 1},
		jobs.CallFailed{Call: open.Call, Attempt: max(open.Attempt, 1), Error: fault, Pause: true},
		jobs.CallRetried{Call: open.Call, Attempt: open.Attempt + 1},
		jobs.WaitsJoined{Mode: temporal.First, Calls: []int{1, 2}},
		jobs.WaitsJoined{Mode: temporal.Any, Calls: []int{1, 2}, Won: 1},
		jobs.Console{Lines: []string{"hi"}},
		jobs.Slept{On: []string{"sleep"}},
		jobs.CellEnded{State: "done"},
		jobs.CellEnded{State: "failed", Error: fault},
		jobs.CellEnded{State: "aborted", Error: fault},
		jobs.CellEnded{State: "done", Exit: &jobs.Exit{Result: json.RawMessage("7")}},
		jobs.ModelDelayed{Turn: turn, Attempt: next, Until: start.UnixMilli() + 1, Why: "busy"},
		jobs.ModelRequested{Turn: turn, Attempt: next},
		jobs.ModelReplied{Turn: turn, Code: "x"},
		jobs.ModelReplied{Turn: turn, Bad: "no code"},
		jobs.ModelReplied{Turn: turn, Final: true},
		jobs.ModelFailed{Turn: turn, Attempt: attempt, Error: "503", Retryable: true},
		jobs.ModelFailed{Turn: turn, Attempt: attempt, Error: "401"},
		jobs.MessageReceived{Mail: 1, Payload: json.RawMessage(`"hi"`)},
		jobs.ValueDiscarded{Cell: 1, Call: 1},
		jobs.Halted{Reason: "r"},
		jobs.Resumed{By: "ada"},
		jobs.Finished{Outcome: jobs.Succeeded},
		jobs.Finished{Outcome: jobs.Failed, Error: "oops"},
		jobs.Finished{Outcome: jobs.Cancelled},
	}
}

// sort names an event with what tells it from others of its kind.
func sort(ev jobs.Event) string {
	switch ev := ev.(type) {
	case jobs.CellStarted:
		return ev.Kind() + " " + string(ev.Origin)
	case jobs.CallIssued:
		return ev.Kind() + " " + string(ev.Class)
	case jobs.CallFailed:
		return ev.Kind() + map[bool]string{true: " for good"}[ev.Pause]
	case jobs.CellEnded:
		if ev.Exit != nil {
			return ev.Kind() + " exit"
		}
		return ev.Kind() + " " + ev.State
	case jobs.ModelReplied:
		return ev.Kind() + map[bool]string{true: " final", false: ""}[ev.Final] + map[bool]string{true: " bad", false: ""}[ev.Bad != ""]
	case jobs.ModelFailed:
		return ev.Kind() + map[bool]string{true: " retryable", false: " for good"}[ev.Retryable]
	case jobs.Finished:
		return ev.Kind() + " " + string(ev.Outcome)
	default:
		return ev.Kind()
	}
}

// TestMoves tries every event in every situation: it is legal and leads where testdata/moves.golden says, or it
// is refused with an IllegalError and leaves the job as it was.
func TestMoves(t *testing.T) {
	t.Parallel()
	var got strings.Builder
	for _, s := range situations() {
		job := reach(t, s)
		fmt.Fprintf(&got, "%s: %s\n", s.name, showJob(job))
		for _, ev := range moves(job) {
			before := mustJSON(t, job)
			next, effects, err := jobs.Step(job, ev, start)
			if after := mustJSON(t, job); before != after {
				t.Errorf("%s: %s changed its input:\n%s\n%s", s.name, sort(ev), before, after)
			}
			var illegal *jobs.IllegalError
			switch {
			case errors.As(err, &illegal):
				if illegal.Status != job.Status || illegal.Event != ev.Kind() || illegal.Why == "" {
					t.Errorf("%s: %s: the error says %+v", s.name, sort(ev), illegal)
				}
				if diff := cmp.Diff(job, next); diff != "" || effects != nil {
					t.Errorf("%s: refused %s, but effects are %v and the job changed:\n%s", s.name, sort(ev), effects, diff)
				}
			case err != nil:
				t.Errorf("%s: %s: expected an IllegalError, got %v", s.name, sort(ev), err)
			default:
				fmt.Fprintf(&got, "\t%-22s %s\n", sort(ev), strings.TrimSpace(string(next.Status)+" "+string(next.Outcome)))
			}
		}
	}
	compareGolden(t, "testdata/moves.golden", got.String())
}

// TestNearMisses are events of a legal kind with one thing wrong.
func TestNearMisses(t *testing.T) {
	t.Parallel()
	oops := &jobs.Fault{Message: "oops"}
	tests := []struct {
		situation string
		event     jobs.Event
	}{
		{"nothing", jobs.Submitted{Blocks: -1}},
		{"submitted", jobs.CellStarted{Cell: 1, Origin: jobs.FromWarmup}},
		{"submitted", jobs.CellStarted{Cell: 1, Origin: "elsewhere"}},
		{"submitted", jobs.Finished{Outcome: "so-so"}},
		{"between warmup blocks", jobs.CellStarted{Cell: 3, Origin: jobs.FromWarmup, Index: 1}},
		{"between warmup blocks", jobs.CellStarted{Cell: 2, Origin: jobs.FromWarmup, Index: 0}},
		{"model thinks", jobs.ModelReplied{Turn: 2, Code: "x"}},
		{"model thinks", jobs.ModelRequested{Turn: 1, Attempt: 1}},
		{"submitted", jobs.ModelDelayed{Turn: 2, Attempt: 1, Until: 1}},
		{"submitted", jobs.ModelDelayed{Turn: 1, Attempt: 1}},
		{"model thinks", jobs.ModelRequested{Turn: 2, Attempt: 2}},
		{"model thinks", jobs.ModelFailed{Turn: 1, Attempt: 2, Error: "503"}},
		{"code waits", jobs.CellStarted{Cell: 1, Origin: jobs.FromReply, Index: 2}},
		{"cell runs", jobs.CallIssued{Call: 2, Name: "lookup", Class: jobs.Tool}},
		{"cell runs", jobs.CellEnded{State: "failed"}},
		{"cell runs", jobs.CellEnded{State: "undecided", Error: &jobs.Fault{Message: "?"}}},
		{"cell with open tool", jobs.CallSettled{Call: 2, Value: json.RawMessage("1")}},
		{"cell with open tool", jobs.WaitsJoined{Mode: temporal.First, Calls: []int{1}}},
		{"cell with open wait", jobs.WaitsJoined{Mode: "some", Calls: []int{1}}},
		{"cell with open wait", jobs.WaitsJoined{Mode: temporal.First, Calls: []int{1, 1}}},
		{"cell with open wait", jobs.WaitsJoined{Mode: temporal.First, Calls: []int{1, 2}}},
		{"cell with open wait", jobs.WaitsJoined{Mode: temporal.First, Calls: []int{1}, Won: 1}},
		{"cell with a set", jobs.WaitsJoined{Mode: temporal.Any, Calls: []int{1, 2}}},
		{"cell with open tool", jobs.CallSettled{Call: 1}},
		{"cell with open tool", jobs.CallFailed{Call: 2, Attempt: 1, Error: oops, RetryAt: 1}},
		{"cell with open tool", jobs.CallFailed{Call: 1, Attempt: 2, Error: oops, RetryAt: 1}},
		{"cell with open tool", jobs.CallFailed{Call: 1, Attempt: 1, RetryAt: 1}},
		{"cell with open tool", jobs.CallFailed{Call: 1, Attempt: 1, Error: oops}},
		{"cell with open tool", jobs.CallFailed{Call: 1, Attempt: 1, Error: oops, RetryAt: 1, Pause: true}},
		{"cell with open wait", jobs.CallFailed{Call: 1, Attempt: 1, Error: oops, RetryAt: 1}},
		{"cell with open tool", jobs.CallRetried{Call: 1, Attempt: 1}},
		{"call failed", jobs.CallRetried{Call: 1, Attempt: 3}},
		{"call failed", jobs.CallFailed{Call: 1, Attempt: 1, Error: oops, RetryAt: 1}},
		{"call is made again", jobs.CallFailed{Call: 1, Attempt: 1, Error: oops, RetryAt: 1}},
		{"call has no attempt left", jobs.Slept{}},
		{"call has no attempt left", jobs.CallRetried{Call: 1, Attempt: 2}},
		{"cell with open tool", jobs.CallSettled{Call: 1, Value: json.RawMessage("1"), Error: &jobs.Fault{Message: "both"}}},
	}
	byName := map[string]situation{}
	for _, s := range situations() {
		byName[s.name] = s
	}
	for _, tc := range tests {
		job := reach(t, byName[tc.situation])
		next, _, err := jobs.Step(job, tc.event, start)
		var illegal *jobs.IllegalError
		if !errors.As(err, &illegal) {
			t.Errorf("%s: %+v: expected an IllegalError, got %v", tc.situation, tc.event, err)
		}
		if diff := cmp.Diff(job, next); diff != "" {
			t.Errorf("%s: %+v changed the job:\n%s", tc.situation, tc.event, diff)
		}
	}
}

func reach(t *testing.T, s situation) jobs.Job {
	t.Helper()
	var job jobs.Job
	for _, ev := range s.events {
		var err error
		if job, _, err = jobs.Step(job, ev, start); err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
	}
	return job
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// compareGolden compares got with a file. A missing file fails; -update writes it.
func compareGolden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got); review and run the test with -update:\n%s", file, diff)
	}
}
