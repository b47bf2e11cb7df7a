package jsvm

import (
	"fmt"

	"github.com/dop251/goja"
)

// bound puts bounds around built-ins of which one call could keep the process busy where no interrupt
// reaches, or end it.
func (s *session) bound(goja.FunctionCall) goja.Value {
	global := s.vm.GlobalObject()
	s.guardCall(global.Get("JSON"), "parse", func(call *goja.FunctionCall) {
		text := call.Argument(0).String()
		if depth := jsonDepth(text); depth > maxJSONDepth {
			panic(s.makeError("RangeError", fmt.Sprintf("JSON nested %d deep; the limit is %d", depth, maxJSONDepth), ""))
		}
	})
	return goja.Undefined()
}

// guardCall replaces a built-in method by one that looks at the call first.
func (s *session) guardCall(target goja.Value, name string, check func(*goja.FunctionCall)) {
	o := target.(*goja.Object)
	native, ok := o.Get(name).(*goja.Object)
	if !ok {
		return
	}
	run, ok := native.Export().(func(goja.FunctionCall) goja.Value)
	if !ok {
		return
	}
	guarded := s.function(name, int(native.Get("length").ToInteger()), func(call goja.FunctionCall) goja.Value {
		check(&call)
		return run(call)
	})
	_ = o.DefineDataProperty(name, guarded, goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_FALSE)
}

// function makes a native function with a name and a length.
func (s *session) function(name string, length int, f func(goja.FunctionCall) goja.Value) *goja.Object {
	o := s.vm.ToValue(f).(*goja.Object)
	_ = o.DefineDataProperty("name", s.vm.ToValue(name), goja.FLAG_FALSE, goja.FLAG_TRUE, goja.FLAG_FALSE)
	if length != 0 {
		_ = o.DefineDataProperty("length", s.vm.ToValue(length), goja.FLAG_FALSE, goja.FLAG_TRUE, goja.FLAG_FALSE)
	}
	return o
}
