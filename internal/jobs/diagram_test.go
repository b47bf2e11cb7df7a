package jobs_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"statek/internal/jobs"
)

// TestStatesPage explores Step and compares what it finds with docs/states.md; -update writes the page.
func TestStatesPage(t *testing.T) {
	t.Parallel()
	found := explore()
	var page strings.Builder
	page.WriteString(statesHead)
	page.WriteString("```mermaid\nstateDiagram-v2\n    [*] --> READY: submitted\n")
	for _, from := range slices.Sorted(maps.Keys(found)) {
		byTarget := map[string][]string{}
		for event, targets := range found[from] {
			for to := range targets {
				if to != from {
					byTarget[to] = append(byTarget[to], event)
				}
			}
		}
		for _, to := range slices.Sorted(maps.Keys(byTarget)) {
			slices.Sort(byTarget[to])
			fmt.Fprintf(&page, "    %s --> %s: %s\n", node(from), node(to), strings.Join(byTarget[to], ", "))
		}
	}
	page.WriteString("```\n\n| in state | event | leads to |\n|---|---|---|\n")
	for _, from := range slices.Sorted(maps.Keys(found)) {
		for _, event := range slices.Sorted(maps.Keys(found[from])) {
			targets := slices.Sorted(maps.Keys(found[from][event]))
			fmt.Fprintf(&page, "| %s | `%s` | %s |\n", from, event, strings.Join(targets, ", "))
		}
	}
	compareGolden(t, "../../docs/states.md", page.String())
}

const statesHead = `# States of a job

This page is generated: a test explores every move that ` + "`jobs.Step`" + ` accepts and compares the result with this file
(` + "`go test ./internal/jobs -run StatesPage -update`" + ` writes it). An event that is not listed in a state is refused there.
What the states mean is in [concepts.md](concepts.md).

`

func node(state string) string { return strings.ReplaceAll(state, " ", "_") }

// explore walks breadth first over jobs that differ in anything but their counters' absolute size.
func explore() map[string]map[string]map[string]bool {
	found := map[string]map[string]map[string]bool{}
	seen := map[string]bool{}
	var queue []jobs.Job
	for blocks := range 3 {
		job, _, _ := jobs.Step(jobs.Job{}, jobs.Submitted{Blocks: blocks, Limits: small}, start)
		queue = append(queue, job)
	}
	for len(queue) > 0 {
		job := queue[0]
		queue = queue[1:]
		if key := abstract(job); seen[key] {
			continue
		} else {
			seen[key] = true
		}
		for _, ev := range moves(job) {
			next, _, err := jobs.Step(job, ev, start)
			if err != nil || ev.Kind() == "claimed" {
				continue
			}
			from, to := state(job), state(next)
			if found[from] == nil {
				found[from] = map[string]map[string]bool{}
			}
			if found[from][ev.Kind()] == nil {
				found[from][ev.Kind()] = map[string]bool{}
			}
			found[from][ev.Kind()][to] = true
			queue = append(queue, next)
		}
	}
	return found
}

func state(j jobs.Job) string { return strings.TrimSpace(string(j.Status) + " " + string(j.Outcome)) }

// abstract is what decides which events are legal: what is open, and whether counters are zero.
func abstract(j jobs.Job) string {
	var open []string
	cell, model := "", ""
	if j.Cell != nil {
		for _, p := range j.Cell.Open {
			open = append(open, fmt.Sprint(p.Class, min(p.Attempt, 2), p.Failed))
		}
		if len(open) > 2 {
			open = open[:2]
		}
		cell = string(j.Cell.Origin)
	}
	if j.Model != nil {
		model = fmt.Sprint(min(j.Model.Attempt, 2), j.Model.Failed)
	}
	return fmt.Sprint(state(j), "/", cell, open, model, "/", j.Code, j.Exit, j.Unread > 0, j.Warm >= j.Blocks,
		j.Blocks-j.Warm > 1, j.Cells+j.Turns > 0, j.MustHalt != "", j.MustFail != "", j.NotBefore > 0)
}
