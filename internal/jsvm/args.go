package jsvm

import (
	"fmt"
	"math"

	"github.com/dop251/goja"
)

// encodeArgs writes arguments as plain JSON; problem is what the call rejects with.
func (s *session) encodeArgs(g Grant, args []goja.Value) (text []byte, problem goja.Value) {
	for i, a := range args {
		if s.js.kind(a) == "Promise" {
			return nil, s.vm.NewTypeError("argument %d of %s is a promise; await it first", i+1, g.Name)
		}
		if !g.Wait {
			continue
		}
		if where, what := s.js.vanishing(a); what != "" {
			return nil, s.vm.NewTypeError("argument %d of %s%s is %s, which is no value to wait with: JSON has null for it, as if nothing had been given", i+1, g.Name, where, what)
		}
	}
	v, err := s.stringifyAll(args)
	if err != nil {
		if ex, ok := err.(*goja.Exception); ok { //nolint:errorlint // goja returns it unwrapped
			return nil, ex.Value()
		}
		panic(err) // an interrupt: goja carries it on
	}
	return []byte(v.String()), nil
}

// vanishing finds what JSON writes as null in an argument or in a field of one. To a wait, null means that nothing was given:
// a timeout that was computed from a missing number would be none, and the job would wait for ever.
func (js *intrinsics) vanishing(v goja.Value) (where, what string) {
	if what = js.unsayable(v); what != "" || js.kind(v) != "Object" {
		return "", what
	}
	o := v.(*goja.Object) //nolint:forcetypeassert // its kind says so
	for _, key := range js.keys(o) {
		if p, ok := js.own(o, key); ok && p.enumerable && !p.accessor {
			if what = js.unsayable(p.value); what != "" {
				return fmt.Sprintf(", field %q,", p.name), what
			}
		}
	}
	return "", ""
}

// unsayable says what a value is that JSON writes as null; empty: it is none.
func (js *intrinsics) unsayable(v goja.Value) string {
	switch {
	case goja.IsNumber(v):
		if f := v.ToFloat(); math.IsNaN(f) || math.IsInf(f, 0) {
			return v.String()
		}
	case js.kind(v) == "Date" && math.IsNaN(js.must(callTime, v).ToFloat()):
		return "an invalid Date"
	}
	return ""
}
