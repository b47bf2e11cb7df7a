package jsvm

import (
	"fmt"
	"slices"

	"github.com/dop251/goja"
)

// boundStringify bounds JSON.stringify. What is nested can be walked before; what a script makes while it is
// written (toJSON, a getter, a proxy, a replacer) can nest without end, and native code follows it until the
// process has no stack left. So then a replacer of ours counts how deep it is.
func (s *session) boundStringify(call goja.FunctionCall) goja.FunctionCall {
	s.generates = false
	s.boundDepth("JSON.stringify", call.Argument(0), true)
	replacer, isFunction := goja.AssertFunction(call.Argument(1))
	if _, isList := call.Argument(1).(*goja.Object); !isFunction && (isList || !s.generates) {
		return call
	}
	depths := map[*goja.Object]int{}
	count := func(c goja.FunctionCall) goja.Value {
		v := c.Argument(1)
		if isFunction {
			var err error
			if v, err = replacer(c.This, c.Arguments...); err != nil {
				panic(err)
			}
		}
		o, ok := v.(*goja.Object)
		if !ok {
			return v
		}
		holder, _ := c.This.(*goja.Object)
		if depths[o] = depths[holder] + 1; depths[o] > maxDepth {
			s.tooMuch("JSON.stringify", "what toJSON, a getter or a replacer makes", fmt.Sprint(maxDepth, " levels"), "flatten the data")
		}
		return v
	}
	args := slices.Clone(call.Arguments)
	for len(args) < 2 {
		args = append(args, goja.Undefined())
	}
	args[1] = s.vm.ToValue(count)
	return goja.FunctionCall{This: call.This, Arguments: args}
}

// generative tells objects that run a script's code when they are written.
func (s *session) generative(o *goja.Object) bool {
	for _, v := range s.layout.values(o) {
		if v != nil && s.layout.raw(v).accessor {
			return true
		}
	}
	for p := o; p != nil && p != s.js.objectProto && p != s.js.arrayProto; p = p.Prototype() {
		if s.layout.kindOf(p) == "proxyObject" || s.layout.values(p)["toJSON"] != nil {
			return true
		}
		if s.layout.kindOf(p) == "dateObject" {
			return false // its own toJSON makes text
		}
	}
	return false
}
