package jsvm

import (
	"github.com/dop251/goja"
	"github.com/dop251/goja/unistring"
)

// part is what a part of the prelude makes: an object with methods or classes by name.
func (s *session) part(name string) *goja.Object {
	if made := s.parts[name]; made != nil {
		return made
	}
	if s.makers == nil {
		program, err := s.vm.RunProgram(s.realm.prelude)
		if err != nil {
			panic(err) // an interrupt, or no stack left: goja carries it on
		}
		s.makers = run(program)(goja.FunctionCall{This: goja.Undefined(), Arguments: []goja.Value{s.preludeHost()}}).(*goja.Object)
	}
	made := run(s.makers.Get(name))(goja.FunctionCall{This: goja.Undefined()}).(*goja.Object)
	s.parts[name] = made
	return made
}

// preludeHost does for the prelude what takes Go fewer steps than JavaScript, or what only Go can.
func (s *session) preludeHost() *goja.Object {
	host := s.vm.NewObject()
	for name, f := range map[string]func(goja.FunctionCall) goja.Value{
		"kind":    func(call goja.FunctionCall) goja.Value { return s.vm.ToValue(s.js.kind(call.Argument(0))) },
		"natives": s.nativeMethods, "builtin": s.builtinFor, "bindCall": s.bindCall, "construct": s.construct, "hide": s.hide,
		"install": func(call goja.FunctionCall) goja.Value {
			return s.install(call.Argument(0).(*goja.Object), call.Argument(1).(*goja.Object))
		},
		"need":     func(call goja.FunctionCall) goja.Value { s.need(call.Argument(0).String()); return goja.Undefined() },
		"evaluate": s.evaluate, "makeFunction": s.makeFunction, "regexpTooMuch": s.regexpTooMuch, "properties": s.properties, "join": s.join,
	} {
		s.define(host, name, s.vm.ToValue(f))
	}
	symbols := s.vm.NewObject()
	s.define(symbols, "species", goja.SymSpecies)
	s.define(symbols, "iterator", goja.SymIterator)
	s.define(host, "symbols", symbols)
	return host
}

// nativeMethods gives methods of a built-in as they were: natives(owner, …names).
func (s *session) nativeMethods(call goja.FunctionCall) goja.Value {
	owner, out := call.Argument(0).String(), s.vm.NewObject()
	for _, v := range call.Arguments[1:] {
		s.define(out, v.String(), s.nativeMethod(owner, v.String()))
	}
	return out
}

func (s *session) nativeMethod(owner, name string) goja.Value {
	if t := s.realm.natives[owner]; t != nil {
		return s.layout.raw(t.props[unistring.NewFromString(name)](s.vm)).value
	}
	switch owner {
	case "MapPrototype", "SetPrototype":
		s.need(owner[:3])
	case "RegExpPrototype":
		s.need("RegExp")
	case "Promise", "PromisePrototype":
	default:
		s.need(owner)
	}
	return s.kept[owner+"."+name]
}

// builtinFor gives a built-in as it was: builtin(name).
func (s *session) builtinFor(call goja.FunctionCall) goja.Value {
	switch name := call.Argument(0).String(); name {
	case "IteratorPrototype":
		return s.js.iteratorProto
	case "iterator": // iterator(x) is x[Symbol.iterator]() of a built-in x
		s.need("Iterator", "Map", "Set")
		return s.vm.ToValue(s.iteratorOf)
	case "Map", "Set", "Date":
		s.need(name)
		return s.native(name)
	default:
		return s.native(name)
	}
}

func (s *session) iteratorOf(call goja.FunctionCall) goja.Value {
	switch v := call.Argument(0); s.js.kind(v) {
	case "Map":
		return run(s.kept["MapPrototype.entries"])(goja.FunctionCall{This: v})
	case "Set":
		return run(s.kept["SetPrototype.values"])(goja.FunctionCall{This: v})
	case "Array":
		return s.js.iterator(goja.FunctionCall{This: v})
	default:
		iterate := s.realm.natives["StringPrototype"].symProps[goja.SymIterator](s.vm)
		return run(s.layout.raw(iterate).value)(goja.FunctionCall{This: v})
	}
}

// bindCall makes a function of its this and its arguments.
func (s *session) bindCall(call goja.FunctionCall) goja.Value {
	if s.bind == nil {
		s.bind = run(s.nativeMethod("FunctionPrototype", "bind"))
		s.call = s.nativeMethod("FunctionPrototype", "call")
	}
	return s.bind(goja.FunctionCall{This: s.call, Arguments: call.Arguments[:1]})
}

// construct is Reflect.construct for a list that is nobody else's.
func (s *session) construct(call goja.FunctionCall) goja.Value {
	args, _ := s.layout.elements(call.Argument(1).(*goja.Object))
	make, ok := goja.AssertConstructor(call.Argument(0))
	target, _ := call.Argument(2).(*goja.Object)
	if !ok {
		panic(s.vm.NewTypeError("%s is not a constructor", call.Argument(0)))
	}
	made, err := make(target, args...)
	if err != nil {
		panic(err)
	}
	return made
}

// hide defines a property that does not show up in loops: hide(target, name, value).
func (s *session) hide(call goja.FunctionCall) goja.Value {
	if key, ok := call.Argument(1).(*goja.Symbol); ok {
		if err := call.Argument(0).(*goja.Object).DefineDataPropertySymbol(key, call.Argument(2), goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_FALSE); err != nil {
			panic(err)
		}
		return call.Argument(2)
	}
	s.define(call.Argument(0).(*goja.Object), call.Argument(1).String(), call.Argument(2))
	return call.Argument(2)
}

// define makes a hidden property.
func (s *session) define(target *goja.Object, name string, v goja.Value) {
	if err := target.DefineDataProperty(name, v, goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_FALSE); err != nil {
		panic(err)
	}
}

// install hides those members that the target does not have.
func (s *session) install(target, members *goja.Object) goja.Value {
	for _, name := range members.Keys() {
		if !s.has(target, name) {
			s.define(target, name, members.Get(name))
		}
	}
	return goja.Undefined()
}

// late hides a method of the prelude whose part is made when it is called: the target is made more often than that.
func (s *session) late(target *goja.Object, name string, length int, part string) {
	if !s.has(target, name) {
		s.define(target, name, s.function(name, length, func(call goja.FunctionCall) goja.Value {
			return run(s.part(part).Get(name))(call)
		}))
	}
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
