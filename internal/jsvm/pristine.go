package jsvm

import (
	"slices"
	"strings"
	"sync"

	"github.com/dop251/goja"
	"github.com/dop251/goja/unistring"
)

// pristine is what the built-ins of an engine are like before any code of a cell ran: it tells what a cell
// has added to them or replaced, since that is lost with the VM. Sessions make most built-ins only when they
// are touched, so what a session has can be compared with it only by what it is, not by identity.
type pristine struct {
	objects map[string]map[string]mark // by name of the built-in, then by property
	globals []string                   // names of globals, in goja's order
}

// mark identifies a property of a built-in from one session to the next.
type mark struct {
	kind       string  // of implementation, or "accessor", or "primitive"
	code, set  uintptr // what a function, or an accessor, runs
	text       string  // name of a function or a built-in, text of a primitive
	attributes string
}

// wrapperMark ends the names of what the prelude put in the place of a built-in.
const wrapperMark = " "

// builtinNames names the built-in objects that a VM has made so far.
func (s *session) builtinNames() map[*goja.Object]string {
	names := make(map[*goja.Object]string, 28) // a short cell makes some twenty
	names[s.vm.GlobalObject()] = globalName
	for _, o := range s.js.wrappers {
		names[o] = s.functionName(o) + wrapperMark
	}
	s.layout.eachIntrinsic(s.vm, func(name string, o *goja.Object) {
		if names[o] == "" {
			names[o] = name
		}
	})
	s.layout.eachIntrinsic(s.vm, func(name string, o *goja.Object) {
		// Some prototypes are known by their constructor alone.
		if v := s.layout.values(o)["prototype"]; v != nil {
			if p, ok := s.layout.raw(v).value.(*goja.Object); ok && names[p] == "" {
				names[p] = name + "Prototype"
			}
		}
	})
	return names
}

func (s *session) mark(names map[*goja.Object]string, v goja.Value) mark {
	p := s.layout.raw(v)
	out := mark{kind: "primitive", attributes: attrsOf(property{writable: p.writable, enumerable: p.enumerable, configurable: p.configurable})}
	if p.accessor {
		out.kind = "accessor"
		if p.getterFunc != nil {
			out.code = s.layout.code(p.getterFunc)
		}
		if p.setterFunc != nil {
			out.set = s.layout.code(p.setterFunc)
		}
		return out
	}
	o, ok := p.value.(*goja.Object)
	if !ok {
		if p.value != nil {
			out.text = p.value.String()
		}
		return out
	}
	out.kind, out.code = s.layout.kindOf(o), s.layout.code(o)
	if out.text = names[o]; out.code != 0 && !strings.HasPrefix(out.kind, "templated") {
		out.text = s.functionName(o) // whether goja keeps it in a field of its own depends on what was touched
	}
	return out
}

// functionName reads an own name without touching anything else.
func (s *session) functionName(o *goja.Object) string {
	v := s.layout.values(o)["name"]
	if v == nil {
		return ""
	}
	if p := s.layout.raw(v); !p.accessor && p.value != nil && goja.IsString(p.value) {
		return p.value.String()
	}
	return ""
}

// eachOwn visits the properties that an object has made, deleted ones as nil.
func (s *session) eachOwn(o *goja.Object, f func(key string, v goja.Value)) {
	for key, v := range s.layout.values(o) {
		f(key.String(), v)
	}
	s.layout.eachSymbol(o, func(key *goja.Symbol, v goja.Value) { f(keyID(key), v) })
}

// survey makes a session's built-ins all there are and describes them. The session is of no use after it.
func (s *session) survey() (*pristine, error) {
	out := &pristine{objects: map[string]map[string]mark{}}
	out.globals = s.vm.GlobalObject().GetOwnPropertyNames() // makes them all
	for _, name := range out.globals {
		s.js.ownNamed(s.vm.GlobalObject(), name) // makes it, and calls no getter
	}
	s.part("hidden")
	for again := true; again; { // making one may make others
		again = false
		for o, name := range s.builtinNames() {
			if out.objects[name] != nil {
				continue
			}
			again, out.objects[name] = true, map[string]mark{}
			for _, key := range s.js.keys(o) {
				s.js.own(o, key)
			}
		}
	}
	names := s.builtinNames()
	for o, name := range names {
		s.eachOwn(o, func(key string, v goja.Value) { out.objects[name][key] = s.mark(names, v) })
	}
	return out, nil
}

// pristine of an engine, from a session without grants.
func (m *InProcess) survey(engine int) func() (*pristine, error) {
	return sync.OnceValues(func() (*pristine, error) {
		s, err := m.open(Setup{Engine: engine})
		if err != nil {
			return nil, err
		}
		return s.survey()
	})
}

// tampered notes what a cell did to the built-ins where it could not be prevented.
func (s *session) tampered(before *pristine, names map[*goja.Object]string, out *Changes) {
	var notes []string
	for o, name := range names {
		want := before.objects[name]
		if want == nil || name == globalName || !s.reachable(name) {
			continue
		}
		lazy, found := strings.HasPrefix(s.layout.kindOf(o), "templated"), 0
		s.eachOwn(o, func(key string, v goja.Value) {
			was, known := want[key]
			switch {
			case v == nil:
				notes = append(notes, "deleting the built-in '"+label(name, key)+"' is not kept")
			case !known:
				notes = append(notes, "adding '"+label(name, key)+"' to a built-in is not kept; use a function or a variable")
			case s.mark(names, v) != was:
				notes = append(notes, "replacing the built-in '"+label(name, key)+"' is not kept; use a function or a variable")
			}
			found++
		})
		if !lazy && found < len(want) {
			own := map[string]bool{}
			s.eachOwn(o, func(key string, _ goja.Value) { own[key] = true })
			for key := range want {
				if !own[key] {
					notes = append(notes, "deleting the built-in '"+label(name, key)+"' is not kept")
				}
			}
		}
	}
	slices.Sort(notes)
	out.Notes = append(out.Notes, notes...)
}

// label writes a property of a built-in as a model would.
func label(name, key string) string {
	name = strings.TrimSuffix(name, wrapperMark)
	name = strings.TrimSuffix(name, "Prototype") + map[bool]string{true: ".prototype"}[strings.HasSuffix(name, "Prototype")]
	if symbol, ok := strings.CutPrefix(key, "\x00@"); ok {
		return name + "[" + symbol + "]"
	}
	return name + "." + key
}

// untouched tells whether a global that has been made still is the built-in of that name.
func (s *session) untouched(before *pristine, names map[*goja.Object]string, name string, v goja.Value) bool {
	was, known := before.objects[globalName][name]
	if !known || v == nil {
		return false
	}
	if lazy := s.values.lazy[name]; lazy != nil && s.layout.raw(v).value == lazy {
		return true
	}
	return s.mark(names, v) == was
}

// globals lists the names of the built-in globals that the session has made.
func (s *session) globals() []string {
	before, err := s.pristine()
	if err != nil {
		return nil
	}
	var out []string
	for _, name := range before.globals {
		if !slices.Contains(preludeClasses, name) || s.values.lazy[name] != nil {
			out = append(out, name)
		}
	}
	for _, g := range s.grants {
		if !slices.Contains(out, g.root()) {
			out = append(out, g.root())
		}
	}
	return out
}

// builtin is a built-in global, whatever a cell has put in its place; nil when there is none.
func (s *session) builtin(names map[*goja.Object]string, name string) goja.Value {
	if o := s.constructor(name); o != nil {
		return o
	}
	if lazy := s.values.lazy[name]; lazy != nil {
		return lazy
	}
	if s.isProtected(name) {
		return s.vm.GlobalObject().Get(name)
	}
	before, err := s.pristine()
	if err != nil {
		return nil
	}
	v, made := s.layout.values(s.vm.GlobalObject())[unistring.NewFromString(name)]
	if _, known := before.objects[globalName][name]; known && !made || made && s.untouched(before, names, name, v) {
		return s.vm.GlobalObject().Get(name)
	}
	var out goja.Value
	s.layout.eachIntrinsic(s.vm, func(field string, o *goja.Object) {
		if field == name {
			out = o
		}
	})
	return out
}
