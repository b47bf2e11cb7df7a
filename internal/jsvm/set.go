package jsvm

import (
	"fmt"
	"slices"

	"github.com/dop251/goja"
)

// openSet is a set that is not decided.
type openSet struct {
	mode  string
	calls []int
}

// refusedCall stands for a wait that was refused before it became a call.
const refusedCall = 0

func (s Set) describe() string { return fmt.Sprintf("%s of calls %v", s.Mode, s.Calls) }

// preludeDocs describe what the prelude adds for waits.
func preludeDocs() []Grant {
	return []Grant{
		{Name: "first", Signature: "declare function first<T>(...waits: Promise<T>[]): Promise<T>",
			Doc: "Waits for the first of several waits and withdraws the others before they can take anything. Its arguments are direct " +
				"calls of waits, as in first(event('paid'), sleep('1h')). A wait that lost rejects with WithdrawnError: call it anew to wait again."},
		{Name: "all", Signature: "declare function all(...promises: Promise<any>[]): Promise<any[]>",
			Doc: "Waits for all of several waits or calls and returns their values in order; the same as Promise.all([…])."},
	}
}

// join makes a set of waits: join(mode, promises, caller). With a caller, what is not a direct wait is a
// TypeError in its name; without, nothing happens then.
func (s *session) join(call goja.FunctionCall) goja.Value {
	mode, caller := call.Argument(0).String(), call.Argument(2).String()
	var list []goja.Value
	if err := s.vm.ExportTo(call.Argument(1), &list); err != nil {
		panic(err)
	}
	s.joinWaits(mode, list, caller)
	return goja.Undefined()
}

func (s *session) joinWaits(mode string, list []goja.Value, caller string) {
	set, problem := s.members(mode, list)
	switch {
	case problem != "" && caller != "":
		panic(s.vm.NewTypeError("%s", caller+": "+problem))
	case problem != "" || len(set.Calls) < 2:
		return
	}
	c := s.cell
	c.sets++
	c.hash.set(set)
	if c.sets > len(c.known) {
		c.joined = append(c.joined, set)
	} else if want := c.known[c.sets-1]; want.Mode != set.Mode || !slices.Equal(want.Calls, set.Calls) {
		c.diverged = c.divergence(&DivergedError{Call: c.made, Want: want.describe(), Got: set.describe()})
		s.vm.Interrupt(c.diverged)
		return
	}
	open := &openSet{mode: mode}
	for _, id := range set.Calls {
		if member := c.calls[id]; !member.settled {
			member.set = open
			open.calls = append(open.calls, id)
		}
	}
	if set.Won != 0 {
		c.withdraw(open.calls)
	}
}

// members finds the calls behind promises; problem says why they cannot be a set.
func (s *session) members(mode string, list []goja.Value) (set Set, problem string) {
	set.Mode = mode
	if s.cell == nil {
		return set, "was called outside of a cell"
	}
	if len(list) == 0 {
		return set, "needs at least one wait: write first(event('paid'), sleep('1h'))"
	}
	for i, v := range list {
		o, _ := v.(*goja.Object)
		id, ok := s.cell.promises[o]
		if !ok {
			return set, s.notAWait(i+1, v)
		}
		if id == refusedCall {
			return Set{}, "" // it rejects by itself: a plain race tells why
		}
		member := s.cell.calls[id]
		switch {
		case member.lost:
			return set, fmt.Sprintf("argument %d, %s, has lost in an earlier first and was withdrawn: call %s anew", i+1, member.name, member.name)
		case member.set != nil && !member.settled:
			return set, fmt.Sprintf("argument %d, %s, is in another first already: a wait can be in one", i+1, member.name)
		case slices.Contains(set.Calls, id):
			continue
		case member.settled && set.Won == 0 && (mode == "first" || member.fulfilled):
			set.Won = id
		}
		set.Calls = append(set.Calls, id)
	}
	return set, ""
}

func (s *session) notAWait(place int, v goja.Value) string {
	switch kind := s.js.kind(v); {
	case kind == "Array":
		return fmt.Sprintf("argument %d is an array: write first(...list)", place)
	case kind == "Promise":
		return fmt.Sprintf("argument %d is not a wait itself but a promise made from something else (a tool, .then, an async function, another first): "+
			"pass what the wait returned, or use Promise.race, which withdraws nothing then", place)
	default:
		return fmt.Sprintf("argument %d must be the promise of a wait, such as event('paid') or sleep('1h') without await, got %s", place, s.js.render(v))
	}
}

// decide takes a settled call out of its set, and withdraws the others if that decides it.
func (c *openCell) decide(id int) {
	call := c.calls[id]
	set := call.set
	if set == nil {
		return
	}
	call.set = nil
	set.calls = slices.DeleteFunc(set.calls, func(x int) bool { return x == id })
	if set.mode == "first" || call.fulfilled {
		c.withdraw(set.calls)
	}
}

// withdraw closes calls that have lost. Their promises reject once the winner's reactions have run.
func (c *openCell) withdraw(calls []int) {
	for _, id := range calls {
		loser := c.calls[id]
		loser.settled, loser.lost, loser.set = true, true, nil
		c.open--
		c.losers = append(c.losers, loser)
	}
}

// dismissLosers rejects the promises of waits that were withdrawn. What their reactions bring about may
// withdraw more.
func (s *session) dismissLosers() error {
	c := s.cell
	for len(c.losers) > 0 && c.exit == nil && c.diverged == nil {
		loser := c.losers[0]
		c.losers = c.losers[1:]
		err := s.makeError("WithdrawnError", loser.name+" was withdrawn: another wait was first; call it anew to wait again", "withdrawn")
		c.withdrawn[err] = true
		if err := loser.reject(err); err != nil {
			return err
		}
	}
	return nil
}
