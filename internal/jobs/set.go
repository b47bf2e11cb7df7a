package jobs

import (
	"fmt"
	"slices"

	"statek/internal/temporal"
)

// Set is a number of open waits of which only one may win.
type Set struct {
	Mode  temporal.Mode `json:"mode"`
	Calls []int         `json:"calls"`
}

// waitsJoined makes a set of the calls that are still open. When one of them has won already the others are
// withdrawn at once.
func (j *Job) waitsJoined(ev WaitsJoined) ([]Effect, string) {
	if why := j.needRunningCell(); why != "" {
		return nil, why
	}
	if ev.Mode != temporal.First && ev.Mode != temporal.Any {
		return nil, fmt.Sprintf("unknown mode of a set %q", ev.Mode)
	}
	var open []int
	for n, call := range ev.Calls {
		i := j.Cell.find(call)
		switch {
		case call < 1 || call > j.Cell.Issued:
			return nil, fmt.Sprintf("call %d was not made", call)
		case slices.Contains(ev.Calls[:n], call):
			return nil, fmt.Sprintf("call %d is there twice", call)
		case i >= 0 && (j.Cell.Open[i].Class != Wait || j.Cell.setOf(call) >= 0):
			return nil, fmt.Sprintf("call %d is no wait that is free to join a set", call)
		case i >= 0:
			open = append(open, call)
		}
	}
	if ev.Won != 0 && (!slices.Contains(ev.Calls, ev.Won) || slices.Contains(open, ev.Won)) {
		return nil, fmt.Sprintf("call %d has not settled before it joined", ev.Won)
	}
	if ev.Won != 0 {
		for _, call := range open {
			j.Cell.close(call)
		}
		return withdraw(open), ""
	}
	if len(open) > 1 {
		j.Cell.Sets = append(j.Cell.Sets, Set{Mode: ev.Mode, Calls: open})
	}
	return nil, ""
}

func withdraw(calls []int) []Effect {
	if len(calls) == 0 {
		return nil
	}
	return []Effect{Withdraw{Calls: calls}}
}

// decide takes a settled call out of its set. If that decides the set the other members are closed and
// returned: they have lost.
func (c *Cell) decide(call int, fulfilled bool) (lost []int) {
	i := c.setOf(call)
	if i < 0 {
		return nil
	}
	s := c.Sets[i]
	rest := slices.DeleteFunc(slices.Clone(s.Calls), func(x int) bool { return x == call })
	if s.Mode == temporal.First || fulfilled {
		for _, x := range rest {
			c.close(x)
		}
		lost, rest = rest, nil
	}
	if len(rest) > 1 {
		c.Sets[i] = Set{Mode: s.Mode, Calls: rest}
		return lost
	}
	if c.Sets = slices.Delete(c.Sets, i, i+1); len(c.Sets) == 0 {
		c.Sets = nil
	}
	return lost
}

// setOf is the place of the undecided set that a call is in, or -1.
func (c *Cell) setOf(call int) int {
	return slices.IndexFunc(c.Sets, func(s Set) bool { return slices.Contains(s.Calls, call) })
}

// close takes a call out of the open ones.
func (c *Cell) close(call int) {
	i := c.find(call)
	if c.Open = slices.Delete(c.Open, i, i+1); len(c.Open) == 0 {
		c.Open = nil
	}
}
