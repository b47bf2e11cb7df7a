package jsvm

import "github.com/dop251/goja"

// openPromises mends what every promise leads to.
func (s *session) openPromises(o *goja.Object) {
	p := o.Get("prototype").(*goja.Object)
	s.keep("Promise", o, "race", "any", "all", "resolve", "reject")
	s.keep("PromisePrototype", p, "then")
	s.promise = o
	s.define(o, "race", s.function("race", 1, func(call goja.FunctionCall) goja.Value { return s.contest("race", "first", call) }))
	s.define(o, "any", s.function("any", 1, func(call goja.FunctionCall) goja.Value { return s.contest("any", "any", call) }))
	s.define(o, "withResolvers", s.function("withResolvers", 0, s.withResolvers))
	s.define(o, "try", s.function("try", 1, s.tryPromise))
	s.closeBoth(o)
}

// contest makes a set of the waits that are raced, of which the first to settle withdraws the others. When one of
// them is no direct wait, it is a plain race.
func (s *session) contest(name, mode string, call goja.FunctionCall) goja.Value {
	native := run(s.kept["Promise."+name])
	if call.This != s.promise {
		return native(goja.FunctionCall{This: call.This, Arguments: []goja.Value{call.Argument(0)}})
	}
	var list []goja.Value
	if ex := s.vm.Try(func() {
		s.vm.ForOf(call.Argument(0), func(v goja.Value) bool { list = append(list, v); return true })
	}); ex != nil {
		return run(s.kept["Promise.reject"])(goja.FunctionCall{This: s.promise, Arguments: []goja.Value{ex.Value()}})
	}
	s.joinWaits(mode, list, "")
	items := make([]any, len(list))
	for i, v := range list {
		items[i] = v
	}
	return native(goja.FunctionCall{This: s.promise, Arguments: []goja.Value{s.vm.NewArray(items...)}})
}

func (s *session) withResolvers(call goja.FunctionCall) goja.Value {
	out := s.vm.NewObject()
	resolve, reject := goja.Undefined(), goja.Undefined()
	promise := s.newPromise(call.This, func(c goja.FunctionCall) goja.Value {
		resolve, reject = c.Argument(0), c.Argument(1)
		return goja.Undefined()
	})
	_ = out.Set("promise", promise)
	_ = out.Set("resolve", resolve)
	_ = out.Set("reject", reject)
	return out
}

func (s *session) tryPromise(call goja.FunctionCall) goja.Value {
	f, args := call.Argument(0), call.Arguments
	if len(args) > 0 {
		args = args[1:]
	}
	return s.newPromise(call.This, func(c goja.FunctionCall) goja.Value {
		run, ok := goja.AssertFunction(f)
		if !ok {
			panic(s.vm.NewTypeError("%s is not a function", f))
		}
		v, err := run(goja.Undefined(), args...)
		if err != nil {
			panic(err)
		}
		resolve, _ := goja.AssertFunction(c.Argument(0))
		if _, err := resolve(goja.Undefined(), v); err != nil {
			panic(err)
		}
		return goja.Undefined()
	})
}

func (s *session) newPromise(constructor goja.Value, executor func(goja.FunctionCall) goja.Value) goja.Value {
	made, err := s.vm.New(constructor, s.vm.ToValue(executor))
	if err != nil {
		panic(err)
	}
	return made
}

// captureStackTrace is Error.captureStackTrace: an error has a stack already.
func (s *session) captureStackTrace(call goja.FunctionCall) goja.Value {
	o, ok := call.Argument(0).(*goja.Object)
	if !ok {
		panic(s.vm.NewTypeError("Error.captureStackTrace expects an object"))
	}
	if s.js.kind(o) != "Error" {
		s.define(o, "stack", o.ToString())
	}
	return goja.Undefined()
}
