package jsvm

import (
	"fmt"

	"github.com/dop251/goja"
)

// declarer is an object of which every member, when assigned, declares a top-level variable. Cells see it
// under a name that cannot be spelled.
type declarer struct {
	s        *session
	constant bool
}

func (d *declarer) Get(string) goja.Value { return goja.Undefined() }
func (d *declarer) Has(string) bool       { return true }
func (d *declarer) Delete(string) bool    { return false }
func (d *declarer) Keys() []string        { return nil }

// Set defines the global property anew, which a redeclaration needs: a const of an earlier cell is
// read-only and still may be declared again.
func (d *declarer) Set(name string, v goja.Value) bool {
	return d.s.vm.GlobalObject().DefineDataProperty(name, v, goja.ToFlag(!d.constant), goja.FLAG_TRUE, goja.FLAG_TRUE) == nil
}

func (s *session) hiddenValues() [3]goja.Value {
	return [3]goja.Value{
		s.vm.NewDynamicObject(&declarer{s: s}),
		s.vm.NewDynamicObject(&declarer{s: s, constant: true}),
		s.vm.ToValue(func(call goja.FunctionCall) goja.Value {
			if o, ok := call.Argument(0).(*goja.Object); ok {
				s.noteClass(o)
			}
			return call.Argument(0)
		}),
	}
}

// hoist declares a var: one of an earlier cell keeps its value and becomes writable.
func (s *session) hoist(name string) error {
	global := s.vm.GlobalObject()
	value := goja.Undefined()
	if p, ok := s.js.ownNamed(global, name); ok {
		if p.accessor || p.writable {
			return nil
		}
		value = p.value
	}
	if err := global.DefineDataProperty(name, value, goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_TRUE); err != nil {
		return fmt.Errorf("jsvm: hoist %s: %w", name, err)
	}
	return nil
}

// register adds what is known about the functions of a text. Functions are found again by their source,
// so when two with the same source close over different things neither can be kept.
func (s *session) register(list []*callable) {
	for _, c := range list {
		old := s.sources[c.source]
		switch {
		case old == nil:
			s.sources[c.source] = c
		case old.captures == "" && (c.captures != "" || c.kind != old.kind || c.selfName != "" && c.hoisted != old.hoisted):
			merged := *c
			if merged.captures == "" {
				merged.captures = "what another function with the same text sees"
			}
			s.sources[c.source] = &merged
		}
	}
}

// classNote remembers the methods that a class was made with, so that later patches are noticed.
type classNote struct {
	statics, methods map[string]*goja.Object
}

func (s *session) noteClass(class *goja.Object) {
	note := &classNote{statics: s.functionsOf(class), methods: map[string]*goja.Object{}}
	if proto, ok := s.js.data(class, "prototype").(*goja.Object); ok {
		note.methods = s.functionsOf(proto)
	}
	s.classes[class] = note
}

// functionsOf lists own functions by key; accessors count by their getter or setter.
func (s *session) functionsOf(o *goja.Object) map[string]*goja.Object {
	out := map[string]*goja.Object{}
	for _, key := range s.js.keys(o) {
		p, ok := s.js.own(o, key)
		if !ok {
			continue
		}
		if f, ok := p.value.(*goja.Object); ok && (p.accessor || s.js.kind(f) == "Function") && !p.enumerable {
			out[keyID(key)] = f
		}
	}
	return out
}

// keyID is a map key for a property key; symbols cannot collide with strings.
func keyID(key goja.Value) string {
	if sym, ok := key.(*goja.Symbol); ok {
		return "\x00@" + sym.String()
	}
	return key.String()
}
