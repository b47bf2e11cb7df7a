package jsvm

import (
	"fmt"
	"time"

	"github.com/dop251/goja"
)

// openCell is the state of the cell that a session runs.
type openCell struct {
	recorded    []Call
	known       []Set
	transformed string
	main        *goja.Promise
	spent       time.Duration

	calls    map[int]*pendingCall
	promises map[*goja.Object]int // of waits; refusedCall: it was rejected at once
	fresh    []Call
	joined   []Set // not reported yet
	sets     int   // made in all
	losers   []*pendingCall
	// withdrawn are the errors that losers reject with: nobody needs to handle them.
	withdrawn map[goja.Value]bool

	made    int
	open    int // calls that have not settled
	tools   int // those of them that are not waits
	results int
	// delivered counts the results that the cell has been given.
	delivered int

	console    *console
	rejections []rejection
	exit       *Exit
	diverged   error
	fault      error
	hash       *runningHash
	carried    Step
}

type pendingCall struct {
	name            string
	wait            bool
	settled         bool
	fulfilled       bool // settled with a value
	lost            bool // settled by losing its set
	set             *openSet
	resolve, reject func(any) error
}

type rejection struct {
	promise *goja.Promise
	value   goja.Value
}

func newOpenCell(cell Cell, limits Limits) *openCell {
	c := &openCell{
		recorded: cell.Recorded, known: cell.Sets, calls: map[int]*pendingCall{}, promises: map[*goja.Object]int{},
		withdrawn: map[goja.Value]bool{}, console: newConsole(limits.ConsoleBytes), hash: &runningHash{},
	}
	c.console.expected = cell.Printed
	c.hash.add("cell", fmt.Sprint(cell.Number), cell.Source, fmt.Sprint(cell.Seed), fmt.Sprint(cell.Now))
	return c
}

// step takes what has accumulated since the previous one.
func (c *openCell) step() Step {
	out := c.carried
	c.carried = Step{}
	out.Calls = append(out.Calls, c.fresh...)
	out.Sets = append(out.Sets, c.joined...)
	out.Console = append(out.Console, c.console.take()...)
	if c.transformed != "" {
		out.Transformed, c.transformed = c.transformed, ""
	}
	c.fresh, c.joined = nil, nil
	out.Hash = c.hash.String()
	return out
}

// carry keeps a step that is only part of what the caller asked for.
func (c *openCell) carry(step Step) { c.carried = step }

// step says where the open cell is and, when it has ended, how.
func (s *session) step() (Step, error) {
	c := s.cell
	state := s.state()
	if state != Pending && c.made < len(c.recorded) {
		return Step{}, s.fail(c.divergence(&DivergedError{
			Call: c.made + 1, Want: describeCall(c.recorded[c.made]), Got: "the cell ended as " + string(state),
		}))
	}
	if state != Pending && c.sets < len(c.known) {
		return Step{}, s.fail(c.divergence(&DivergedError{Call: c.made, Want: c.known[c.sets].describe(), Got: "the cell ended as " + string(state)}))
	}
	if state == Pending {
		out := c.step()
		out.State = Pending
		return out, nil
	}
	var end Step
	switch {
	case c.exit != nil:
		end.Exit = c.exit
	case c.main.State() == goja.PromiseStatePending:
		end.Err = &Error{Name: "Error", Code: "stuck", Message: "the cell can never continue: it awaits a promise that nothing is left to settle; await a tool or a wait, or return"}
	case c.main.State() == goja.PromiseStateRejected:
		end.Err = s.errorOf(c.main.Result())
	default:
		if v := c.main.Result(); v != nil && !goja.IsUndefined(v) {
			end.Echo = s.js.render(v)
		}
	}
	s.reportRejections()
	c.hash.add("end", string(state), end.Echo)
	out := c.step()
	out.Console = append(out.Console, c.console.finish()...)
	out.State, out.Exit, out.Err, out.Echo = state, end.Exit, end.Err, end.Echo
	s.cell, s.ended = nil, true
	return out, nil
}

func (s *session) state() State {
	c := s.cell
	switch {
	case c.exit != nil:
		return Done
	case c.main.State() == goja.PromiseStatePending && c.open > 0, c.tools > 0:
		return Pending
	case c.main.State() == goja.PromiseStateFulfilled:
		return Done
	}
	return Failed
}

// trackRejection keeps the promises that nobody handles.
func (s *session) trackRejection(p *goja.Promise, op goja.PromiseRejectionOperation) {
	c := s.cell
	if c == nil {
		return
	}
	if op == goja.PromiseRejectionReject {
		c.rejections = append(c.rejections, rejection{p, p.Result()})
		return
	}
	for i, r := range c.rejections {
		if r.promise == p {
			c.rejections = append(c.rejections[:i], c.rejections[i+1:]...)
			return
		}
	}
}

// reportRejections prints them when the cell has ended: until then a handler may still come.
func (s *session) reportRejections() {
	c := s.cell
	if c.exit != nil {
		return
	}
	for _, r := range c.rejections {
		if r.promise != c.main && !c.withdrawn[r.value] {
			s.print("Unhandled rejection: " + s.js.render(r.value))
		}
	}
}

func describeCall(c Call) string { return c.Name + string(c.Args) }
