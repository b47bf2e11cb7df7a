package jsvmtest

import (
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"

	"statek/internal/jsvm"
)

// play is one run of a cell: what it started from, what it was given in which order, and what it showed.
type play struct {
	stage
	vars       []jsvm.Variable
	cell       jsvm.Cell
	deliveries []jsvm.Delivery
	known      []int // calls that had been made before each delivery, and at the end
	shown      shown
}

// shown is everything that can be observed of a run.
type shown struct {
	Console          []string
	Calls            []jsvm.Call
	State            jsvm.State
	Echo, Hash       string
	Err              *jsvm.Error
	Exit             *jsvm.Exit
	Transformed      string
	Rows, Gone, Note string
}

func (s *shown) add(step jsvm.Step) {
	s.Console = append(s.Console, step.Console...)
	s.Calls = append(s.Calls, step.Calls...)
	s.State, s.Echo, s.Hash, s.Err, s.Exit = step.State, step.Echo, step.Hash, step.Err, step.Exit
	if step.Transformed != "" {
		s.Transformed = step.Transformed
	}
}

func (s *shown) workspace(c jsvm.Changes) {
	s.Rows, s.Gone, s.Note = Rows(c.Set), strings.Join(c.Deleted, ","), strings.Join(c.Notes, "\n")
}

// settler says what the next result is: of which of the open calls, and what.
type settler func(open []jsvm.Call, nth int) jsvm.Delivery

// live runs the cell in one session, to its end or until nothing is left to settle.
func (p *play) live(settle settler) {
	p.Helper()
	session := p.open(p.vars)
	defer session.Close()
	step, err := session.Run(p.Context(), p.cell)
	for {
		if err != nil {
			p.Fatalf("%s\n%v", p.cell.Source, err)
		}
		p.shown.add(step)
		p.known = append(p.known, len(p.shown.Calls))
		open := p.openCalls()
		if step.State != jsvm.Pending || step.Exit != nil || len(open) == 0 {
			break
		}
		d := settle(open, len(p.deliveries))
		d.Expect = step.Hash
		p.deliveries = append(p.deliveries, d)
		step, err = session.Deliver(p.Context(), d)
	}
	if p.shown.State == jsvm.Done || p.shown.State == jsvm.Failed {
		p.shown.workspace(p.changes(session))
	}
}

func (p *play) openCalls() []jsvm.Call {
	return slices.DeleteFunc(slices.Clone(p.shown.Calls), func(c jsvm.Call) bool {
		return slices.ContainsFunc(p.deliveries, func(d jsvm.Delivery) bool { return d.Call == c.ID })
	})
}

// everywhere takes the session away before each delivery and goes on in a fresh one. The oldest deliveries are
// replayed at once, the rest are given one by one.
func (p *play) everywhere() {
	p.Helper()
	for at := range len(p.deliveries) + 1 {
		if diff := cmp.Diff(p.shown, p.resumed(at)); diff != "" {
			p.Fatalf("%s\nsuspended before delivery %d of %d, it shows (-uninterrupted +resumed):\n%s", p.cell.Source, at+1, len(p.deliveries), diff)
		}
	}
}

// resumed replays what there was before a delivery, and goes on.
func (p *play) resumed(at int) shown {
	p.Helper()
	session := p.open(p.vars)
	defer session.Close()
	cell := p.cell
	cell.Recorded, cell.Transformed = p.shown.Calls[:p.known[at]], p.shown.Transformed
	again := shown{Calls: slices.Clone(cell.Recorded), Transformed: cell.Transformed}
	give := func(list ...jsvm.Delivery) {
		step, err := session.Deliver(p.Context(), list...)
		if err != nil {
			p.Fatalf("%s\nresumed at delivery %d: %v", p.cell.Source, at+1, err)
		}
		again.add(step)
	}
	step, err := session.Run(p.Context(), cell)
	if err != nil {
		p.Fatalf("%s\nresumed at delivery %d: %v", p.cell.Source, at+1, err)
	}
	again.add(step)
	replay := slices.Clone(p.deliveries[:at])
	for i := range replay {
		replay[i].Replay = true
	}
	if at > 0 {
		give(replay...)
	}
	for _, d := range p.deliveries[at:] {
		give(d)
	}
	if again.State == jsvm.Done || again.State == jsvm.Failed {
		again.workspace(p.changes(session))
	}
	return again
}
