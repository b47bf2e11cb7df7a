package jsvm

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dop251/goja"
	"github.com/dop251/goja/parser"
)

// session implements Session in this process.
type session struct {
	vm     *goja.Runtime
	js     *intrinsics
	limits Limits
	prefix string
	grants []Grant
	// protected are the names that a cell cannot declare, beyond those of every session.
	protected string
	programs  *programs
	spaces    map[string]*goja.Object // globals that hold grants with a dot in their name
	// updating is the loop behind objects.update with a function; made when it is first needed.
	updating goja.Callable
	layout   *layout
	realm    *realm
	realized
	// pristine describes the built-ins as they were; made when it is first needed.
	pristine func() (*pristine, error)
	clock    func() time.Duration
	// regexpPrototype is RegExp.prototype as the prelude left it.
	regexpPrototype *goja.Object
	// generates: the value that is being written runs code of the script.
	generates bool
	hidden    [3]goja.Value // the values of hiddenLet, hiddenConst and hiddenClass

	now    int64
	random uint64

	sources map[string]*callable // by source text: what may be kept
	classes map[*goja.Object]*classNote
	values  *workspace

	cell   *openCell
	ended  bool // the last cell is Done or Failed
	exited bool // by an interrupt, after which goja does not run microtasks any more
	closed bool
}

// ErrSession: the session was closed, was aborted, or is not in a state that allows the call.
var ErrSession = errors.New("jsvm: session cannot do that")

func newSession(setup Setup, e *engine, m *InProcess) (*session, error) {
	s := &session{
		vm:       goja.New(),
		clock:    m.Clock,
		prefix:   setup.Prefix,
		limits:   setup.Limits.WithDefaults(),
		grants:   setup.Grants,
		layout:   e.realm.layout,
		realm:    e.realm,
		realized: newRealized(),
		spaces:   map[string]*goja.Object{},
		values:   newWorkspace(setup.Variables),
		sources:  map[string]*callable{},
		classes:  map[*goja.Object]*classNote{},

		programs:  m.programs,
		protected: grantRoots(setup.Grants),
	}
	s.vm.SetParserOptions(parser.WithDisableSourceMaps)
	s.vm.SetTimeSource(func() time.Time { return time.UnixMilli(s.now).UTC() })
	s.vm.SetRandSource(s.float)
	s.vm.SetPromiseRejectionTracker(s.trackRejection)
	s.vm.SetFieldNameMapper(&owner{s})
	s.pristine = e.pristine
	s.js = &intrinsics{session: s, vm: s.vm, layout: s.layout}
	if err := s.openRealm(); err != nil {
		return nil, err
	}
	s.vm.SetMaxCallStackSize(s.limits.CallStack)
	s.hidden = s.hiddenValues()
	return s, s.restore(setup.Variables)
}

// float is SplitMix64: our own, because the algorithm is part of what a replay repeats.
func (s *session) float() float64 {
	s.random += 0x9e3779b97f4a7c15
	z := s.random
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	z ^= z >> 31
	return float64(z>>11) / (1 << 53)
}

// Close implements Session.
func (s *session) Close() {
	s.closed = true
	s.vm, s.js, s.cell, s.values, s.realized = nil, nil, nil, nil, realized{}
}

// Run implements Session.
func (s *session) Run(ctx context.Context, cell Cell) (Step, error) {
	if s.closed || s.exited || s.cell != nil {
		return Step{}, fmt.Errorf("%w: run a cell in a session that is closed, has ended with exit, or has an open cell", ErrSession)
	}
	s.ended = false
	s.now, s.random = cell.Now, cell.Seed
	c := newOpenCell(cell, s.limits)
	s.cell = c
	compiled, err := s.compile(cell)
	if err != nil {
		var syntax *SyntaxError
		if !errors.As(err, &syntax) {
			return Step{}, s.fail(err)
		}
		return s.refuse(syntax)
	}
	c.transformed = compiled.transformed
	s.register(compiled.callables)
	return s.drive(ctx, len(cell.Recorded) > 0, func() error {
		s.literals(compiled.literals)
		return s.start(compiled)
	})
}

// compile guards the parsers with recover: a Go panic there is the text's fault, not the worker's.
func (s *session) compile(cell Cell) (c *compiled, err error) {
	defer func() {
		if x := recover(); x != nil {
			c, err = nil, &SyntaxError{Message: fmt.Sprintf("the parser failed: %v", x), Line: 1, Column: 1}
		}
	}()
	key := programKey{
		prefix: s.prefix, source: cell.Source, transformed: cell.Transformed, protected: s.protected,
		bytes: s.limits.SourceBytes, nesting: s.limits.Nesting, operators: s.limits.Operators,
	}
	return s.programs.compile(key, func() (*compiled, error) {
		return compileCell(cell.Source, cell.Transformed, s.limits, s.isProtected)
	})
}

// refuse ends a cell that does not parse.
func (s *session) refuse(err *SyntaxError) (Step, error) {
	if len(s.cell.recorded) > 0 {
		return Step{}, s.fail(&DivergedError{Call: 1, Want: describeCall(s.cell.recorded[0]), Got: err.Error()})
	}
	step := Step{
		State: Failed,
		Err:   &Error{Name: "SyntaxError", Message: fmt.Sprintf("%s (%s:%d:%d)", err.Message, cellFile, err.Line, err.Column)},
	}
	s.cell.hash.add("syntax", step.Err.Message)
	step.Hash = s.cell.hash.String()
	s.cell, s.ended = nil, true
	return step, nil
}

// start hoists names and calls the cell's function.
func (s *session) start(c *compiled) error {
	for _, name := range c.vars {
		if err := s.hoist(name); err != nil {
			return err
		}
	}
	v, err := s.vm.RunProgram(c.program)
	if err != nil {
		return err
	}
	main, ok := goja.AssertFunction(v)
	if !ok {
		return errors.New("jsvm: cell did not compile to a function")
	}
	result, err := main(goja.Undefined(), s.hidden[:]...)
	if err != nil {
		return err
	}
	if p, ok := result.Export().(*goja.Promise); ok {
		s.cell.main = p
		return nil
	}
	return errors.New("jsvm: cell did not start as a promise")
}

// Deliver implements Session.
func (s *session) Deliver(ctx context.Context, deliveries ...Delivery) (Step, error) {
	if s.closed || s.cell == nil {
		return Step{}, fmt.Errorf("%w: deliver without an open cell", ErrSession)
	}
	for i, d := range deliveries {
		if err := s.expect(d); err != nil {
			return Step{}, s.fail(err)
		}
		step, err := s.drive(ctx, d.Replay, func() error { return s.settle(d) })
		if err != nil {
			return Step{}, err
		}
		if step.State == Pending && i < len(deliveries)-1 {
			s.cell.carry(step)
			continue
		}
		if i < len(deliveries)-1 {
			if step.State != Aborted && deliveries[i+1].Replay {
				return Step{}, s.fail(&DivergedError{
					Call: deliveries[i+1].Call, Delivered: i + 1, Want: "a result for it", Got: "the cell ended as " + string(step.State),
				})
			}
		}
		return step, nil
	}
	return s.step()
}

// expect checks that a delivery fits where the cell is.
func (s *session) expect(d Delivery) error {
	c := s.cell
	if d.Expect != "" && d.Expect != c.hash.String() {
		return c.divergence(&DivergedError{
			Call: d.Call, Want: "state " + d.Expect, Got: "state " + c.hash.String(),
			Where: "what was printed, the order of prints and calls, or the clock: calls and arguments are the same",
		})
	}
	call := c.calls[d.Call]
	switch {
	case call == nil && d.Replay:
		return c.divergence(&DivergedError{Call: d.Call, Want: fmt.Sprintf("call %d", d.Call), Got: fmt.Sprintf("only %d calls", c.made)})
	case call == nil:
		return fmt.Errorf("%w: deliver call %d, which was not made", ErrSession, d.Call)
	case call.settled && !call.lost:
		return fmt.Errorf("%w: deliver call %d twice", ErrSession, d.Call)
	case (d.Value == nil) == (d.Err == nil):
		return fmt.Errorf("%w: deliver call %d with neither or both of value and error", ErrSession, d.Call)
	}
	return nil
}

// fail ends the session for good.
func (s *session) fail(err error) error {
	s.closed, s.ended = true, false
	s.cell = nil
	return err
}

// drive runs f and the microtasks after it under the limits, then says where the cell is.
func (s *session) drive(ctx context.Context, replay bool, f func() error) (Step, error) {
	c := s.cell
	factor := time.Duration(1)
	if replay {
		factor = 4
	}
	budget := min(s.limits.DrainTime, s.limits.CellTime-c.spent) * factor
	begin := s.clock()
	guard := s.guard(ctx, begin, budget)
	err := safely(func() error {
		if err := s.drained(f); err != nil {
			return err
		}
		return s.drained(s.dismissLosers)
	})
	s.layout.idle(s.vm)
	elapsed := s.clock() - begin
	guard.stop()
	if !replay {
		c.spent += elapsed
	}
	if c.diverged != nil {
		return Step{}, s.fail(c.diverged)
	}
	if c.exit != nil {
		s.exited = true
		return s.step()
	}
	if err == nil && c.fault == nil {
		return s.step()
	}
	if ctx.Err() != nil {
		return Step{}, s.fail(fmt.Errorf("jsvm: drive cell: %w", context.Cause(ctx)))
	}
	if err == nil {
		err = c.fault
	}
	return s.abort(err, replay, budget)
}

// safely turns Go panics of native built-ins (makeslice: len out of range …) into errors.
func safely(f func() error) (err error) {
	defer func() {
		if x := recover(); x != nil {
			err = &panicError{x}
		}
	}()
	return f()
}

type panicError struct{ value any }

func (e *panicError) Error() string { return fmt.Sprint(e.value) }

// errTime interrupts a drain that takes too long.
var errTime = errors.New("jsvm: time limit")

func (s *session) abort(err error, replay bool, budget time.Duration) (Step, error) {
	var interrupted *goja.InterruptedError
	var overflow *goja.StackOverflowError
	var broken *panicError
	out := &Error{Name: "LimitError", Code: "limit"}
	switch {
	case errors.As(err, &interrupted):
		if replay {
			return Step{}, s.fail(fmt.Errorf("jsvm: replay took longer than %s", budget))
		}
		if s.limits.CellTime-s.cell.spent <= 0 {
			out.Message = fmt.Sprintf("the cell computed for more than %s in all (cell_time); do less per cell, or let a tool do the work", s.limits.CellTime)
		} else {
			out.Message = fmt.Sprintf("the cell computed for more than %s without a pause (drain_time); look for an endless loop, or do less at once", budget)
		}
	case errors.As(err, &overflow):
		out.Message = fmt.Sprintf("more than %d nested calls (call_stack); look for endless recursion, or use a loop", s.limits.CallStack)
	case errors.As(err, &broken):
		out.Message = fmt.Sprintf("a built-in function was asked for too much (%s); use smaller sizes", broken.Error())
	default:
		out = &Error{Name: "InternalError", Message: err.Error()}
	}
	step := s.cell.step()
	step.State, step.Err = Aborted, out
	step.Console = append(step.Console, s.cell.console.finish()...)
	s.cell.hash.add("aborted", out.Message)
	step.Hash = s.cell.hash.String()
	_ = s.fail(nil)
	return step, nil
}

// settle resolves or rejects the promise of one call and drains what follows.
func (s *session) settle(d Delivery) error {
	c := s.cell
	call := c.calls[d.Call]
	if call.lost {
		c.hash.add("late", fmt.Sprint(d.Call))
		return nil
	}
	call.settled = true
	c.delivered++
	c.open--
	if !call.wait {
		c.tools--
	}
	if d.Now != 0 {
		s.now = d.Now
	}
	fault := d.Err
	if fault == nil {
		fault = c.admit(call.name, len(d.Value), s.limits)
	}
	c.hash.delivery(d, s.now)
	call.fulfilled = fault == nil
	c.decide(d.Call)
	if fault == nil {
		v, err := s.decodeJSON(d.Value)
		if err == nil {
			return call.resolve(v)
		}
		fault = &Error{Name: "Error", Message: fmt.Sprintf("the result of %s is not JSON: %v", call.name, err)}
	}
	return call.reject(s.furnish(s.makeError(fault.Name, fault.Message, fault.Code), fault.Data))
}

// admit bounds what a cell may be given.
func (c *openCell) admit(name string, size int, limits Limits) *Error {
	if size > limits.ResultBytes {
		return &Error{Name: "ResultTooLarge", Code: "limit", Message: fmt.Sprintf(
			"%s was done, but its result has %d bytes and the limit is %d (result_bytes); ask for less, or for one page at a time", name, size, limits.ResultBytes)}
	}
	if c.results += size; c.results > limits.CellResults {
		return &Error{Name: "ResultTooLarge", Code: "limit", Message: fmt.Sprintf(
			"%s was done, but the results of this cell exceed %d bytes in all (cell_results); go on in another cell", name, limits.CellResults)}
	}
	return nil
}
