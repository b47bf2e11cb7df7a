package jsvm

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/dop251/goja"
	"github.com/dop251/goja/parser"
)

// A grant with a dot in its name, "objects.get", is a method of a read-only global: objects.get(…). The dotted name
// is what is recorded, and what docs() knows it by.

// root is the global through which code calls a grant.
func (g Grant) root() string {
	name, _, _ := strings.Cut(g.Name, ".")
	return name
}

// grantRoots are the globals that grants take, each once and in one text.
func grantRoots(grants []Grant) string {
	roots := make([]string, len(grants))
	for i, g := range grants {
		roots[i] = g.root()
	}
	slices.Sort(roots)
	return strings.Join(slices.Compact(roots), " ")
}

// grantGlobals adds the grants, those with dots as methods of one global each.
func (r *realm) grantGlobals(t *template, grants []Grant) error {
	taken := map[string]bool{}
	add := func(name string, f func(*session) goja.Value) error {
		if taken[name] || slices.Contains(builtins, name) {
			return fmt.Errorf("jsvm: define %s: the name is taken", name)
		}
		taken[name] = true
		t.put(name, r.session(func(s *session) goja.Value { return r.layout.made(f(s), false) }))
		return nil
	}
	for i, g := range grants {
		if strings.Contains(g.Name, ".") {
			continue
		}
		if err := add(g.Name, func(s *session) goja.Value { return s.granted(s.grants[i]) }); err != nil {
			return err
		}
	}
	var spaces []string
	for _, g := range grants {
		if strings.Contains(g.Name, ".") && !slices.Contains(spaces, g.root()) {
			spaces = append(spaces, g.root())
			if err := add(g.root(), func(s *session) goja.Value { return s.space(g.root()) }); err != nil {
				return err
			}
		}
	}
	return nil
}

// granted is the function of a grant.
func (s *session) granted(g Grant) goja.Value {
	call := func(call goja.FunctionCall) goja.Value { return s.hostCall(g, call) }
	if g.Name == updateName {
		call = func(call goja.FunctionCall) goja.Value { return s.update(g, call) }
	}
	return s.host(g.Name, 0, call)
}

// space is a global whose methods are grants.
func (s *session) space(root string) *goja.Object {
	if s.spaces[root] == nil {
		o := s.vm.NewObject()
		for _, g := range s.grants {
			if space, name, dotted := strings.Cut(g.Name, "."); dotted && space == root {
				_ = o.DefineDataProperty(name, s.granted(g), goja.FLAG_FALSE, goja.FLAG_FALSE, goja.FLAG_FALSE)
			}
		}
		s.layout.shut(o)
		s.spaces[root] = o
	}
	return s.spaces[root]
}

// spaceDocs describes all methods of a global, given itself or its name; empty: there is no such global.
func (s *session) spaceDocs(v goja.Value) string {
	var parts []string
	for _, g := range s.grants {
		space, _, dotted := strings.Cut(g.Name, ".")
		if dotted && (s.spaces[space] != nil && v == s.spaces[space] || goja.IsString(v) && v.String() == space) {
			parts = append(parts, grantDocs(g))
		}
	}
	return strings.Join(parts, "\n\n")
}

// The functions that make up the form of update that takes a function.
const (
	updateName     = "objects.update"
	updateReads    = "get"
	updateWrites   = "put"
	updateAttempts = 10
)

//go:embed prelude_v1_objects.js
var updateV1 string

var updateProgram = sync.OnceValues(func() (*goja.Program, error) {
	ast, err := parser.ParseFile(nil, "prelude_v1_objects", updateV1, 0, parser.WithDisableSourceMaps)
	if err != nil {
		return nil, fmt.Errorf("jsvm: parse update: %w", err)
	}
	return goja.CompileAST(ast, true)
})

// update is a host call, unless it is given a function: that one is run here, between recorded calls.
func (s *session) update(g Grant, call goja.FunctionCall) goja.Value {
	if _, isFunction := goja.AssertFunction(call.Argument(2)); !isFunction {
		return s.hostCall(g, call)
	}
	if len(call.Arguments) > 3 && !goja.IsUndefined(call.Argument(3)) {
		promise, _, reject := s.vm.NewPromise()
		_ = reject(s.makeError("TypeError", "objects.update: a function takes no options; it is called again with the newest value when another write comes first", ""))
		return s.vm.ToValue(promise)
	}
	loop, err := s.updateLoop()
	if err != nil {
		panic(s.vm.NewGoError(err))
	}
	v, err := loop(goja.Undefined(), call.Arguments[:3]...)
	if err != nil {
		panic(err) // an interrupt, or no stack left: goja carries it on
	}
	return v
}

// updateLoop makes the loop when it is first needed.
func (s *session) updateLoop() (goja.Callable, error) {
	if s.updating != nil {
		return s.updating, nil
	}
	program, err := updateProgram()
	if err != nil {
		return nil, err
	}
	v, err := s.vm.RunProgram(program)
	if err != nil {
		return nil, err
	}
	setup, _ := goja.AssertFunction(v)
	space := s.space("objects")
	if v, err = setup(goja.Undefined(), space.Get(updateReads), space.Get(updateWrites), s.vm.ToValue(updateAttempts)); err != nil {
		return nil, err
	}
	s.updating, _ = goja.AssertFunction(v)
	return s.updating, nil
}

// furnish puts an error's data on it, as properties of its own.
func (s *session) furnish(e *goja.Object, data json.RawMessage) *goja.Object {
	if len(data) == 0 {
		return e
	}
	v, err := s.decodeJSON(data)
	if err != nil {
		return e
	}
	if members, ok := v.(*goja.Object); ok {
		for _, name := range members.Keys() {
			_ = e.DefineDataProperty(name, members.Get(name), goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_TRUE)
		}
	}
	return e
}
