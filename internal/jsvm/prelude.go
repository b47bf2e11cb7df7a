package jsvm

import "github.com/dop251/goja"

// preludeHost is a function that only the prelude can call.
type preludeHost struct {
	name string
	call func(goja.FunctionCall) goja.Value
}

// preludeHosts do for the prelude what takes Go fewer steps than JavaScript, or what only Go can.
func (s *session) preludeHosts() []preludeHost {
	return []preludeHost{
		{"kind", func(call goja.FunctionCall) goja.Value { return s.vm.ToValue(s.js.kind(call.Argument(0))) }},
		{"made", s.made}, {"hide", s.hide}, {"install", s.install}, {"fix", s.fixMissing}, {"close", s.closeAll},
		{"evaluate", s.evaluate}, {"makeFunction", s.makeFunction}, {"bound", s.bound}, {"regexpTooMuch", s.regexpTooMuch}, {"properties", s.properties},
		{"join", s.join},
	}
}

// made notes a global that the prelude makes when it is first used.
func (s *session) made(call goja.FunctionCall) goja.Value {
	s.values.lazy[call.Argument(0).String()], _ = call.Argument(1).(*goja.Object)
	return goja.Undefined()
}

// hide defines a property that does not show up in loops: hide(target, name, value).
func (s *session) hide(call goja.FunctionCall) goja.Value {
	if key, ok := call.Argument(1).(*goja.Symbol); ok {
		if err := call.Argument(0).(*goja.Object).DefineDataPropertySymbol(key, call.Argument(2), goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_FALSE); err != nil {
			panic(err)
		}
		return call.Argument(2)
	}
	s.define(call.Argument(0), call.Argument(1).String(), call.Argument(2), goja.FLAG_TRUE)
	return call.Argument(2)
}

func (s *session) define(target goja.Value, name string, v goja.Value, open goja.Flag) {
	if err := target.(*goja.Object).DefineDataProperty(name, v, open, open, goja.FLAG_FALSE); err != nil {
		panic(err)
	}
}

// install hides those members that the target does not have: install(target, members).
func (s *session) install(call goja.FunctionCall) goja.Value {
	target, members := call.Argument(0).(*goja.Object), call.Argument(1).(*goja.Object)
	for _, name := range members.Keys() {
		if !s.has(target, name) {
			s.define(target, name, members.Get(name), goja.FLAG_TRUE)
		}
	}
	return goja.Undefined()
}

// has tells own properties that were made. goja's own methods of these names would be made by asking for
// them, so ask.
func (s *session) has(target *goja.Object, name string) bool {
	v := target.Get(name)
	if v == nil {
		return false
	}
	parent := target.Prototype()
	return parent == nil || parent.Get(name) != v
}

// fixMissing defines a property for good where there is none: fix(target, name, value).
func (s *session) fixMissing(call goja.FunctionCall) goja.Value {
	target, name := call.Argument(0).(*goja.Object), call.Argument(1).String()
	if !s.has(target, name) {
		s.define(target, name, call.Argument(2), goja.FLAG_FALSE)
	}
	return goja.Undefined()
}

// closeAll makes built-ins non-extensible: close(how, constructors, others).
func (s *session) closeAll(call goja.FunctionCall) goja.Value {
	shut := call.Argument(0).(*goja.Object).Export().(func(goja.FunctionCall) goja.Value)
	one := func(v goja.Value) { shut(goja.FunctionCall{This: goja.Undefined(), Arguments: []goja.Value{v}}) }
	var constructors, others []*goja.Object
	for i, list := range []*[]*goja.Object{&constructors, &others} {
		if err := s.vm.ExportTo(call.Argument(i+1), list); err != nil {
			panic(err)
		}
	}
	for _, o := range constructors {
		one(o.Get("prototype"))
		one(o)
	}
	for _, o := range others {
		one(o)
	}
	return goja.Undefined()
}
