package sim

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"statek/internal/jsvm"
)

// machine runs programs as steps, without any JavaScript. It keeps the contract of jsvm: sans-IO, one delivery at a time, a
// hash over all that was seen, and nothing remembered between sessions. It notes what code has been given.
type machine struct {
	seen func(job, cell, call int)
}

// Analyze implements jsvm.Machine.
func (m machine) Analyze(context.Context, string, string, jsvm.Limits) (jsvm.Analysis, error) {
	return jsvm.Analysis{}, errors.New("sim: programs are not analysed")
}

// Open implements jsvm.Machine.
func (m machine) Open(_ context.Context, setup jsvm.Setup) (jsvm.Session, error) {
	return &session{machine: m, setup: setup, calls: map[int]*issued{}, vars: map[string]string{}}, nil
}

// issued is a call that the cell has made.
type issued struct {
	settled, fulfilled, lost bool
	value                    []byte
	set                      *joined
}

// joined is a set; over when it is decided.
type joined struct {
	mode  string
	calls []int
	won   int
	over  bool
}

type session struct {
	machine
	setup jsvm.Setup
	cell  jsvm.Cell
	prog  program
	pc    int
	await []int   // calls of the running step
	set   *joined // of the running step
	open  []int
	calls map[int]*issued
	n     int // calls made
	sets  int // sets made
	last  []byte
	vars  map[string]string
	trail []byte // what the hash is of
	step  jsvm.Step
}

// Run implements jsvm.Session.
func (s *session) Run(_ context.Context, cell jsvm.Cell) (jsvm.Step, error) {
	s.cell = cell
	text, _, _ := strings.Cut(strings.TrimPrefix(cell.Source, "//"), "\n")
	if err := json.Unmarshal([]byte(text), &s.prog); err != nil {
		return jsvm.Step{}, fmt.Errorf("sim: read a program: %w", err)
	}
	return s.drain()
}

// Deliver implements jsvm.Session.
func (s *session) Deliver(_ context.Context, list ...jsvm.Delivery) (jsvm.Step, error) {
	all := jsvm.Step{}
	for _, d := range list {
		if d.Expect != "" && d.Expect != s.hash() {
			return jsvm.Step{}, &jsvm.DivergedError{Call: d.Call, Want: "state " + d.Expect, Got: "state " + s.hash()}
		}
		s.settle(d)
		step, err := s.drain()
		if err != nil {
			return step, err
		}
		step.Calls, step.Sets = append(all.Calls, step.Calls...), append(all.Sets, step.Sets...)
		step.Console = append(all.Console, step.Console...)
		all = step
	}
	return all, nil
}

// settle gives one result to the code.
func (s *session) settle(d jsvm.Delivery) {
	s.note("deliver", d.Call, d.Value, d.Err, d.Now)
	c := s.calls[d.Call]
	if c == nil || c.settled || c.lost {
		return
	}
	s.seen(s.prog.Job, s.cell.Number, d.Call)
	c.settled, c.fulfilled, c.value = true, d.Err == nil, d.Value
	j := c.set
	if j == nil || j.over {
		return
	}
	j.calls = slices.DeleteFunc(j.calls, func(id int) bool { return id == d.Call })
	if j.mode == "first" || c.fulfilled {
		j.over, j.won = true, d.Call
		s.withdraw(j.calls)
	}
	j.over = j.over || len(j.calls) == 0
}

func (s *session) withdraw(calls []int) {
	for _, id := range calls {
		s.calls[id].lost = true
	}
}

// drain runs steps until one waits.
func (s *session) drain() (jsvm.Step, error) {
	s.step = jsvm.Step{State: jsvm.Pending}
	for s.step.State == jsvm.Pending && s.step.Exit == nil && !s.waits() {
		if s.pc == len(s.prog.Steps) {
			s.step.State = jsvm.Done
			break
		}
		st := s.prog.Steps[s.pc]
		s.pc++
		if err := s.perform(st); err != nil {
			return jsvm.Step{}, err
		}
	}
	s.step.Hash = s.hash()
	return s.step, nil
}

// waits reports whether the running step has not ended.
func (s *session) waits() bool {
	if s.set != nil {
		if !s.set.over {
			return true
		}
		if s.set.won != 0 {
			s.last = s.calls[s.set.won].value
		}
		s.set = nil
	}
	for _, id := range s.await {
		if c := s.calls[id]; !c.settled && !c.lost {
			return true
		}
	}
	for _, id := range s.await {
		if c := s.calls[id]; c.fulfilled {
			s.last = c.value
		}
	}
	s.await = nil
	return false
}

func (s *session) perform(st step) error {
	ids := make([]int, 0, len(st.Calls))
	for _, c := range st.Calls {
		id, err := s.make(c)
		if err != nil {
			return err
		}
		ids = append(ids, id)
	}
	switch st.Do {
	case "call":
		s.await = ids
	case "open":
		s.open = append(s.open, ids...)
	case "set":
		return s.join(st.Mode, append(s.takeOpen(), ids...))
	case "keep":
		s.vars[fmt.Sprintf("kept%d", s.pc)] = string(s.last)
	case "print":
		line := fmt.Sprintf("%s line %d", s.prog.Name, s.pc)
		s.note("print", line)
		s.step.Console = append(s.step.Console, line)
	case "throw":
		s.step.State, s.step.Err = jsvm.Failed, &jsvm.Error{Name: "Error", Message: "thrown"}
	case "exit":
		result, _ := json.Marshal(s.prog.Name) // a string
		s.step.State, s.step.Exit = jsvm.Done, &jsvm.Exit{Result: result}
	}
	return nil
}

// takeOpen are the waits that were opened before and can still join a set.
func (s *session) takeOpen() (ids []int) {
	for _, id := range s.open {
		if c := s.calls[id]; !c.lost && (c.set == nil || c.settled) {
			ids = append(ids, id)
		}
	}
	s.open = nil
	return ids
}

func (s *session) make(c call) (int, error) {
	s.n++
	s.calls[s.n] = &issued{}
	s.note("call", s.n, c.Name, c.Args)
	got := jsvm.Call{ID: s.n, Name: c.Name, Args: c.Args}
	if s.n > len(s.cell.Recorded) {
		s.step.Calls = append(s.step.Calls, got)
	} else if want := s.cell.Recorded[s.n-1]; want.Name != got.Name || !bytes.Equal(want.Args, got.Args) {
		return 0, &jsvm.DivergedError{Call: s.n, Want: want.Name + string(want.Args), Got: got.Name + string(got.Args)}
	}
	return s.n, nil
}

func (s *session) join(mode string, ids []int) error {
	set := jsvm.Set{Mode: mode, Calls: ids}
	j := &joined{mode: mode}
	for _, id := range ids {
		c := s.calls[id]
		switch {
		case !c.settled:
			c.set = j
			j.calls = append(j.calls, id)
		case set.Won == 0 && (mode == "first" || c.fulfilled):
			set.Won = id
		}
	}
	if j.won = set.Won; j.won != 0 {
		s.withdraw(j.calls)
	}
	j.over = j.won != 0 || len(j.calls) == 0
	s.set = j
	if len(ids) < 2 {
		return nil
	}
	s.sets++
	s.note("set", mode, ids, set.Won)
	if s.sets > len(s.cell.Sets) {
		s.step.Sets = append(s.step.Sets, set)
	} else if want := s.cell.Sets[s.sets-1]; want.Mode != mode || !slices.Equal(want.Calls, ids) {
		return &jsvm.DivergedError{Call: s.n, Want: fmt.Sprint(want), Got: fmt.Sprint(set)}
	}
	return nil
}

func (s *session) note(what ...any) { s.trail = fmt.Appendf(s.trail, "%v\n", what) }

func (s *session) hash() string {
	h := fnv.New64a()
	_, _ = h.Write(s.trail) // never fails
	return hex.EncodeToString(h.Sum(nil))
}

// Changes implements jsvm.Session.
func (s *session) Changes(context.Context) (jsvm.Changes, error) {
	var ch jsvm.Changes
	for name, text := range s.vars {
		value, _ := json.Marshal(text) // a string
		ch.Set = append(ch.Set, jsvm.Variable{Name: name, Value: value, Type: "string"})
	}
	slices.SortFunc(ch.Set, func(a, b jsvm.Variable) int { return strings.Compare(a.Name, b.Name) })
	return ch, nil
}

// Close implements jsvm.Session.
func (s *session) Close() {}
