package jsvm

import (
	"fmt"
	"math"
	"math/big"

	"github.com/dop251/goja"
	"github.com/dop251/goja/unistring"
)

// Bounds of single calls into native code, which no interrupt reaches and of which some end the process.
// They are far beyond what a cell needs and are the same everywhere, so that a replay meets them too.
const (
	maxText     = 32 << 20 // characters that one call may make
	maxElements = 4 << 20  // elements that one call may walk or make
	maxBytes    = 64 << 20 // of one buffer
	maxJSONText = 16 << 20
	maxDepth    = 2000    // nesting that native code follows by recursion
	maxVisits   = 1 << 20 // parts that it follows, shared ones counted each time
	maxDigits   = 300_000 // of a BigInt that is made from text
	maxExponent = 1 << 20 // of a BigInt, also in shifts
)

func (s *session) tooMuch(what string, got, limit any, remedy string) {
	panic(s.makeError("RangeError", fmt.Sprintf("%s: %v is more than the limit of %v; %s", what, got, limit, remedy), ""))
}

// bound puts bounds around built-ins that goja makes property by property. The function objects stay what they
// are; only what they run is changed.
func (r *realm) bound() {
	text, list := r.natives["StringPrototype"], r.natives["ArrayPrototype"]
	r.wrap(text, "repeat", (*session).boundRepeat)
	r.wrap(text, "padStart", (*session).boundPad)
	r.wrap(text, "padEnd", (*session).boundPad)
	for name, symbol := range map[string]*goja.Symbol{"match": goja.SymMatch, "matchAll": goja.SymMatchAll, "search": goja.SymSearch} {
		r.wrap(text, name, func(s *session, call goja.FunctionCall) { s.boundPattern(symbol, call) })
	}
	for _, name := range []string{"fill", "indexOf", "includes", "lastIndexOf", "reverse", "sort", "unshift", "forEach", "map"} {
		r.wrap(list, name, func(s *session, call goja.FunctionCall) { s.boundLength("Array.prototype."+name, call.This) })
	}
	r.wrap(list, "join", (*session).boundJoin)
	r.wrap(list, "flat", func(s *session, call goja.FunctionCall) {
		s.boundLength("Array.prototype.flat", call.This)
		if number(call.Argument(0)) > 100 {
			s.boundDepth("Array.prototype.flat", call.This, false)
		}
	})
	r.wrap(list, "concat", (*session).boundConcat)
	r.wrap(r.natives["FunctionPrototype"], "apply", func(s *session, call goja.FunctionCall) {
		s.boundLength("Function.prototype.apply", call.Argument(1))
	})
	r.wrap(r.natives["Object"], "setPrototypeOf", func(s *session, call goja.FunctionCall) { s.boundPrototype(call.Argument(1)) })
	r.natives["ObjectPrototype"].around("__proto__", func(make maker) maker {
		return func(vm *goja.Runtime) goja.Value {
			v, s := make(vm), r.layout.owned(vm)
			r.layout.wrap(r.layout.raw(v).setterFunc, func(call goja.FunctionCall) { s.boundPrototype(call.Argument(0)) })
			return v
		}
	})
}

// wrap makes a method look at its call first.
func (r *realm) wrap(t *template, name string, check func(*session, goja.FunctionCall)) {
	t.around(name, func(make maker) maker {
		return func(vm *goja.Runtime) goja.Value {
			v, s := make(vm), r.layout.owned(vm)
			r.layout.wrap(r.layout.raw(v).value.(*goja.Object), func(call goja.FunctionCall) { check(s, call) })
			return v
		}
	})
}

// The rest is put around what goja makes whole, when its family is made.

func (s *session) boundString(o *goja.Object) {
	s.wrap(o, "raw", func(call goja.FunctionCall) {
		if template, ok := call.Argument(0).(*goja.Object); ok {
			s.boundLength("String.raw", s.js.data(template, "raw"))
		}
	})
}

func (s *session) boundArray(o *goja.Object) {
	s.wrap(o, "from", func(call goja.FunctionCall) { s.boundLength("Array.from", call.Argument(0)) })
}

func (s *session) boundReflect(o *goja.Object) {
	s.wrap(o, "apply", func(call goja.FunctionCall) { s.boundLength("Reflect.apply", call.Argument(2)) })
	s.wrap(o, "construct", func(call goja.FunctionCall) { s.boundLength("Reflect.construct", call.Argument(1)) })
	s.wrap(o, "setPrototypeOf", func(call goja.FunctionCall) { s.boundPrototype(call.Argument(1)) })
}

func (s *session) boundJSON(o *goja.Object) {
	s.wrap(o, "parse", s.boundParse)
	s.layout.around(o.Get("stringify").(*goja.Object), s.boundStringify)
}

func (s *session) boundBigInt(call goja.FunctionCall) {
	if v := call.Argument(0); goja.IsString(v) && v.(goja.String).Length() > maxDigits {
		s.tooMuch("BigInt", v.(goja.String).Length(), fmt.Sprint(maxDigits, " digits"), "use smaller numbers")
	}
}

// wrap makes a built-in look at its call first.
func (s *session) wrap(o *goja.Object, name string, check func(goja.FunctionCall)) {
	s.layout.wrap(o.Get(name).(*goja.Object), check)
}

func (s *session) boundRepeat(call goja.FunctionCall) {
	if _, isObject := call.This.(*goja.Object); isObject {
		return
	}
	if n := number(call.Argument(0)) * textLength(call.This); n > maxText && !math.IsInf(n, 0) {
		s.tooMuch("String.prototype.repeat", n, fmt.Sprint(maxText, " characters"), "make less text at once")
	}
}

func textLength(v goja.Value) float64 {
	if text, ok := v.(goja.String); ok {
		return float64(text.Length())
	}
	return float64(len(v.String()))
}

// number is v when it is a number: what is to become one by a script's own code is left alone, since native
// code would run that again.
func number(v goja.Value) float64 {
	if goja.IsNumber(v) {
		return v.ToFloat()
	}
	return math.NaN()
}

func (s *session) boundPad(call goja.FunctionCall) {
	if n := number(call.Argument(0)); n > maxText {
		s.tooMuch("padding", n, fmt.Sprint(maxText, " characters"), "make less text at once")
	}
}

// lengthOf reads the length of an array or an array-like without running a getter; -1 when that is not
// possible.
func (s *session) lengthOf(v goja.Value) float64 {
	o, ok := v.(*goja.Object)
	if !ok {
		return -1
	}
	switch s.layout.kindOf(o) {
	case "arrayObject", "sparseArrayObject":
		return o.Get("length").ToFloat()
	case "baseObject":
		if raw, ok := s.layout.values(o)[unistring.String("length")]; ok && raw != nil {
			if p := s.layout.raw(raw); !p.accessor && goja.IsNumber(p.value) {
				return p.value.ToFloat()
			}
		}
	}
	return -1
}

func (s *session) boundLength(name string, v goja.Value) {
	if n := s.lengthOf(v); n > maxElements {
		s.tooMuch(name, n, fmt.Sprint(maxElements, " elements"), "work in smaller parts")
	}
}

func (s *session) boundJoin(call goja.FunctionCall) {
	s.boundLength("Array.prototype.join", call.This)
	if by := call.Argument(0); goja.IsString(by) {
		if n := s.lengthOf(call.This) * float64(by.(goja.String).Length()); n > maxText {
			s.tooMuch("Array.prototype.join", n, fmt.Sprint(maxText, " characters"), "make less text at once")
		}
	}
	s.boundDepth("Array.prototype.join", call.This, false)
}

func (s *session) boundConcat(call goja.FunctionCall) {
	total := max(0, s.lengthOf(call.This))
	for _, v := range call.Arguments {
		total += max(0, s.lengthOf(v))
	}
	if total > maxElements {
		s.tooMuch("Array.prototype.concat", total, fmt.Sprint(maxElements, " elements"), "work in smaller parts")
	}
}

func (s *session) boundParse(call goja.FunctionCall) {
	v := call.Argument(0)
	if text, ok := v.(goja.String); ok && text.Length() > maxJSONText {
		s.tooMuch("JSON.parse", text.Length(), fmt.Sprint(maxJSONText, " characters"), "parse smaller parts")
	}
	if _, isObject := v.(*goja.Object); isObject {
		v = v.ToString()
		call.Arguments[0] = v // made text once, here
		if v.(goja.String).Length() > maxJSONText {
			s.tooMuch("JSON.parse", v.(goja.String).Length(), fmt.Sprint(maxJSONText, " characters"), "parse smaller parts")
		}
	}
	if depth := jsonDepth(v.String()); depth > maxDepth {
		s.tooMuch("JSON", fmt.Sprint("nested ", depth, " deep"), maxDepth, "flatten the data")
	}
}

// boundPrototype refuses a Proxy among prototypes that are set later: one that leads back to itself ends the
// process.
func (s *session) boundPrototype(v goja.Value) {
	o, _ := v.(*goja.Object)
	for range maxDepth {
		if o == nil {
			return
		}
		if s.layout.kindOf(o) == "proxyObject" {
			panic(s.vm.NewTypeError("a Proxy cannot be made the prototype of an existing object; use Object.create or a class"))
		}
		o = o.Prototype()
	}
	s.tooMuch("prototypes", "this chain", maxDepth, "use fewer")
}

// boundDepth walks what native code would follow by recursion: nested arrays, and with objects also plain
// objects.
func (s *session) boundDepth(name string, root goja.Value, objects bool) {
	visits := 0
	path := map[*goja.Object]bool{}
	var walk func(v goja.Value, depth int)
	walk = func(v goja.Value, depth int) {
		o, ok := v.(*goja.Object)
		if !ok || path[o] && (objects || name == "Array.prototype.join") {
			return // native code notices circles
		}
		if visits++; visits > maxVisits || depth > maxDepth {
			s.tooMuch(name, "this nesting, or this many parts", fmt.Sprint(maxDepth, " levels and ", maxVisits, " parts, shared ones counted each time"), "flatten the data, or work in smaller parts")
		}
		s.generates = s.generates || objects && s.generative(o)
		elements, isArray := s.layout.elements(o)
		if !isArray && (!objects || s.layout.kindOf(o) != "baseObject") {
			return
		}
		path[o] = true
		for _, e := range elements {
			if e != nil {
				walk(e, depth+1)
			}
		}
		if !isArray {
			for _, e := range s.layout.values(o) {
				if e != nil {
					walk(s.layout.raw(e).value, depth+1)
				}
			}
		}
		delete(path, o)
	}
	walk(root, 0)
}

// size bounds the first argument of new ArrayBuffer(n) and of the typed arrays; the resolver puts it there,
// with the bytes that each element takes.
func (s *session) size(call goja.FunctionCall) goja.Value {
	v, each := call.Argument(0), call.Argument(1).ToFloat()
	n := number(v)
	if math.IsNaN(n) {
		n = s.lengthOf(v)
	}
	if n*each > maxBytes {
		s.tooMuch("a buffer", n*each, fmt.Sprint(maxBytes, " bytes"), "use a smaller one")
	}
	return v
}

// exponent bounds the right side of ** and << for BigInts; the resolver puts it there.
func (s *session) exponent(call goja.FunctionCall) goja.Value {
	v := call.Argument(0)
	if n, ok := v.Export().(*big.Int); ok && goja.IsBigInt(v) {
		if n.Cmp(big.NewInt(maxExponent)) > 0 {
			s.tooMuch("a BigInt exponent or shift", v.String(), maxExponent, "use smaller numbers")
		}
	}
	return v
}
