package jsvm

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/dop251/goja"
)

// The codec keeps each top-level variable as one row of JSON text.
//
// Plain data is plain JSON, exactly as JSON.stringify writes it, so that people can query it. One leading
// space marks a const: JSON allows it, the json type keeps it, and {"a": 1} stays {"a": 1} for psql; a
// writer that drops the space only makes the variable assignable.
//
// Anything else is a row {"$row":1,"value":V,"more":[…]}. In V an object whose first key begins with a
// dollar sign is a tag; a user's object that looks like one is written as {"$object":{…}}, so nothing
// collides. Text from outside that is not such a row is never searched for tags.
//
// The table of tags is in docs/sql.md. Shared references work across variables: an object belongs to the first
// variable, by name, that reaches it, and others refer to it. "more" holds what is nested too deep for Postgres'
// own JSON parser.
//
// Functions and classes are kept by source. The resolver knows which of them need nothing but globals; a
// class is noted when it is declared, so later patches to it are seen. Everything is read through
// descriptors and internal slots: neither keeping nor restoring runs user code.
const constMark = ' '

// workspace is what a session knows about its variables.
type workspace struct {
	known   map[string]Variable // as of Open or the last Changes
	poison  map[string]*goja.Object
	lazy    map[string]*goja.Object // globals of the prelude that have been made
	natives map[*goja.Object][]string
	lost    map[string]Variable // could not be restored; refused from now on
	hidden  []string            // tools have taken their names
}

func newWorkspace(variables []Variable) *workspace {
	w := &workspace{known: map[string]Variable{}, poison: map[string]*goja.Object{}, lazy: map[string]*goja.Object{}, lost: map[string]Variable{}}
	for _, v := range variables {
		w.known[v.Name] = v
	}
	return w
}

// Changes implements Session.
func (s *session) Changes(ctx context.Context) (Changes, error) {
	if s.closed || s.cell != nil || !s.ended {
		return Changes{}, fmt.Errorf("%w: take changes before a cell has ended, or after it was aborted", ErrSession)
	}
	if err := ctx.Err(); err != nil {
		return Changes{}, fmt.Errorf("jsvm: take changes: %w", context.Cause(ctx))
	}
	var out Changes
	s.vm.ClearInterrupt()
	s.layout.idle(s.vm)
	err := safely(func() error {
		var err error
		out, err = s.changes()
		return err
	})
	if err != nil {
		return Changes{}, s.fail(fmt.Errorf("jsvm: take changes: %w", err))
	}
	return out, nil
}

func (s *session) changes() (Changes, error) {
	var out Changes
	before, err := s.pristine()
	if err != nil {
		return Changes{}, err
	}
	g := newGraph(s)
	vars := s.variables(g, before, &out)
	rows := s.encodeAll(g, vars)
	current := map[string]bool{}
	for _, v := range vars {
		current[v.name] = true
		row := rows[v.name]
		old, had := s.values.known[v.name]
		if had && old.Refused == row.Refused && sameRow(old.Value, row.Value) {
			continue
		}
		out.Set = append(out.Set, row)
		if row.Refused != "" && old.Refused != row.Refused {
			out.Notes = append(out.Notes, row.Refused)
		}
		s.values.known[v.name] = row
	}
	for name := range s.values.known {
		if !current[name] {
			out.Deleted = append(out.Deleted, name)
			delete(s.values.known, name)
		}
	}
	slices.Sort(out.Deleted)
	for _, name := range s.values.hidden {
		out.Notes = append(out.Notes, "variable '"+name+"' was lost: a tool of that name has been granted")
	}
	s.values.hidden = nil
	names := g.names
	if s.values.natives != nil { // looking for them has made others
		s.values.natives, names = nil, s.builtinNames()
	}
	s.tampered(before, names, &out)
	return out, nil
}

// sameRow compares rows as written; text from outside may be spaced differently.
func sameRow(old, row []byte) bool {
	if bytes.Equal(old, row) {
		return true
	}
	var compact bytes.Buffer
	if len(old) > 0 && old[0] == constMark {
		compact.WriteByte(constMark)
	}
	return json.Compact(&compact, old) == nil && bytes.Equal(compact.Bytes(), row)
}

// variable is a global that a cell made.
type variable struct {
	name     string
	root     slot
	constant bool
	poisoned bool
	reason   string // why it cannot be kept, when that is known at once
}

// variables lists what is on the global object beyond the built-ins, by name.
func (s *session) variables(g *graph, before *pristine, out *Changes) []*variable {
	global := s.vm.GlobalObject()
	var list []*variable
	var notes []string
	values := s.layout.values(global)
	for key, v := range values {
		name := rowName(key)
		switch {
		case v == nil:
			notes = append(notes, "deleting the built-in '"+name+"' is not kept")
		case s.untouched(before, g.names, name, v) || s.isProtected(name):
		default:
			list = append(list, s.variable(g, name, s.layout.raw(v)))
		}
	}
	s.layout.eachSymbol(global, func(key *goja.Symbol, _ goja.Value) {
		if key != goja.SymToStringTag {
			notes = append(notes, "globalThis["+key.String()+"] is not kept: only variables with names are")
		}
	})
	if !s.layout.extensible(global) {
		notes = append(notes, "making globalThis non-extensible is not kept")
	}
	slices.Sort(notes)
	out.Notes = append(out.Notes, notes...)
	slices.SortFunc(list, func(a, b *variable) int { return strings.Compare(a.name, b.name) })
	return list
}

func (s *session) variable(g *graph, name string, p rawProperty) *variable {
	v := &variable{name: name, constant: !p.accessor && !p.writable}
	switch {
	case p.accessor && s.values.poison[name] != nil && s.values.poison[name] == p.getterFunc:
		v.poisoned = true
	case p.accessor:
		v.reason = "it is an accessor; assign a value instead"
	default:
		v.root = g.slot(p.value)
	}
	return v
}

// encodeAll writes every variable that can be kept; what is refused is refused for all who refer to it.
func (s *session) encodeAll(g *graph, vars []*variable) map[string]Variable {
	g.readAll()
	rows := map[string]Variable{}
	for _, v := range vars {
		if v.poisoned {
			rows[v.name] = s.values.known[v.name]
			if row, ok := s.values.lost[v.name]; ok {
				rows[v.name] = row
			}
			continue
		}
		if v.reason == "" {
			v.reason = g.refusal(v.root)
		}
		rows[v.name] = refused(g, v)
	}
	for {
		e := newEmitter(g, vars)
		total, again := 0, false
		var largest *variable
		for _, v := range vars {
			if v.poisoned || v.reason != "" {
				continue
			}
			row := e.row(v)
			rows[v.name] = Variable{Name: v.name, Value: row, Type: g.typeOf(v.root)}
			total += len(row)
			if len(row) > s.limits.VariableBytes {
				v.reason = fmt.Sprintf("it has %d bytes and the limit is %d (variable_bytes); keep less, or store it with a tool", len(row), s.limits.VariableBytes)
				rows[v.name], again = refused(g, v), true
			}
			if largest == nil || len(row) > len(rows[largest.name].Value) {
				largest = v
			}
		}
		if !again && total > s.limits.WorkspaceBytes && largest != nil {
			largest.reason = fmt.Sprintf("all variables have %d bytes and the limit is %d (workspace_bytes), and it is the largest; delete or shrink some", total, s.limits.WorkspaceBytes)
			rows[largest.name], again = refused(g, largest), true
		}
		if !again {
			return rows
		}
	}
}

func refused(g *graph, v *variable) Variable {
	return Variable{Name: v.name, Type: g.typeOf(v.root), Refused: "variable '" + v.name + "' was not kept: " + v.reason}
}
