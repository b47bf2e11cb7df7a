package jsvm

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/dop251/goja"
)

// intrinsics are the built-ins as the prelude captured them before any code of a cell ran. Everything that
// looks into values goes through them and through goja's Go API, never through what a script may have
// replaced: looking at a value runs no user code.
type intrinsics struct {
	vm *goja.Runtime

	describe, ownKeys, isExtensible, define, create, setPrototypeOf, preventExtensions goja.Callable
	toSource, stringify, parse, makeError                                              goja.Callable
	mapForEach, mapSet, setForEach, setAdd, getTime, thisNumber, keyFor, symbolFor     goja.Callable
	source, typedName, typedBuffer, typedOffset, typedLength                           goja.Callable
	viewBuffer, viewOffset, viewLength                                                 goja.Callable

	constructors map[string]*goja.Object
	brands       map[string]goja.Callable // methods that fail on anything but their own kind
	flags        []flagGetter

	roots  []*goja.Object // intrinsic objects by which native values are named
	others []*goja.Object

	objectProto, arrayProto, functionProto *goja.Object
}

type flagGetter struct {
	letter string
	get    goja.Callable
}

// runPrelude sets the session's globals up and captures what the Go side needs.
func (s *session) runPrelude(program *goja.Program) (*intrinsics, error) {
	js := &intrinsics{vm: s.vm, constructors: map[string]*goja.Object{}}
	v, err := s.vm.RunProgram(program)
	if err != nil {
		return nil, fmt.Errorf("jsvm: load prelude: %w", err)
	}
	setup, ok := goja.AssertFunction(v)
	if !ok {
		return nil, errors.New("jsvm: prelude is not a function")
	}
	host := s.vm.NewObject()
	for name, f := range map[string]any{
		"kind":         func(call goja.FunctionCall) goja.Value { return s.vm.ToValue(js.kind(call.Argument(0))) },
		"intrinsics":   js.note,
		"evaluate":     s.evaluate,
		"makeFunction": s.makeFunction,
		"checkJSON":    s.checkJSON,
	} {
		if err := host.Set(name, f); err != nil {
			return nil, fmt.Errorf("jsvm: set host.%s: %w", name, err)
		}
	}
	out, err := setup(goja.Undefined(), host)
	if err != nil {
		return nil, fmt.Errorf("jsvm: run prelude: %w", err)
	}
	return js, js.capture(out.ToObject(s.vm))
}

func (js *intrinsics) note(call goja.FunctionCall) goja.Value {
	for i, list := range []*[]*goja.Object{&js.roots, &js.others} {
		array := call.Argument(i).ToObject(js.vm)
		for j := range int(array.Get("length").ToInteger()) {
			*list = append(*list, array.Get(fmt.Sprint(j)).ToObject(js.vm))
		}
	}
	return goja.Undefined()
}

func (js *intrinsics) capture(o *goja.Object) error {
	for name, target := range map[string]*goja.Callable{
		"describe": &js.describe, "ownKeys": &js.ownKeys, "isExtensible": &js.isExtensible, "define": &js.define,
		"create": &js.create, "setPrototypeOf": &js.setPrototypeOf, "preventExtensions": &js.preventExtensions,
		"toSource": &js.toSource, "stringify": &js.stringify, "parse": &js.parse, "makeError": &js.makeError,
		"mapForEach": &js.mapForEach, "mapSet": &js.mapSet, "setForEach": &js.setForEach, "setAdd": &js.setAdd,
		"getTime": &js.getTime, "thisNumber": &js.thisNumber, "keyFor": &js.keyFor, "symbolFor": &js.symbolFor,
		"source": &js.source, "typedName": &js.typedName, "typedBuffer": &js.typedBuffer, "typedOffset": &js.typedOffset,
		"typedLength": &js.typedLength, "viewBuffer": &js.viewBuffer, "viewOffset": &js.viewOffset, "viewLength": &js.viewLength,
	} {
		f, ok := goja.AssertFunction(o.Get(name))
		if !ok {
			return fmt.Errorf("jsvm: prelude does not give %s", name)
		}
		*target = f
	}
	for _, name := range []string{"RegExp", "Map", "Set", "Date", "Error", "BigInt", "Array"} {
		js.constructors[name] = o.Get(name).ToObject(js.vm)
	}
	js.brands = map[string]goja.Callable{"DataView": js.viewLength}
	for _, name := range []string{"WeakMap", "WeakSet"} {
		js.brands[name], _ = goja.AssertFunction(o.Get(name))
	}
	flags := o.Get("flags").ToObject(js.vm)
	for i := range int(flags.Get("length").ToInteger()) {
		pair := flags.Get(fmt.Sprint(i)).ToObject(js.vm)
		get, _ := goja.AssertFunction(pair.Get("1"))
		js.flags = append(js.flags, flagGetter{pair.Get("0").String(), get})
	}
	js.objectProto = js.vm.NewObject().Prototype()
	js.arrayProto = js.vm.NewArray().Prototype()
	js.functionProto = js.constructors["Map"].Prototype()
	return nil
}

// call runs a captured native.
func (js *intrinsics) call(f goja.Callable, args ...goja.Value) (goja.Value, error) {
	return f(goja.Undefined(), args...)
}

// must runs a captured native that cannot fail on the kind of value it is given.
func (js *intrinsics) must(f goja.Callable, args ...goja.Value) goja.Value {
	v, err := f(goja.Undefined(), args...)
	if err != nil {
		return goja.Undefined()
	}
	return v
}

var (
	proxyType   = reflect.TypeFor[goja.Proxy]()
	bufferType  = reflect.TypeFor[goja.ArrayBuffer]()
	promiseType = reflect.TypeFor[*goja.Promise]()
	mapType     = reflect.TypeFor[[][2]any]()
	listType    = reflect.TypeFor[[]any]()
	plainType   = reflect.TypeFor[map[string]any]()
)

// kind is what an object really is, by internal slots and not by what it claims: "Object", "Array",
// "Function", "Map", "Proxy", "Uint8Array", …
func (js *intrinsics) kind(v goja.Value) string {
	o, ok := v.(*goja.Object)
	if !ok {
		return "primitive"
	}
	class, export := o.ClassName(), o.ExportType()
	switch {
	case export == proxyType:
		return "Proxy"
	case export == bufferType:
		return "ArrayBuffer"
	case export == promiseType:
		return "Promise"
	case export == mapType:
		return "Map"
	case class == "AsyncFunction" || class == "GeneratorFunction":
		return "Function"
	case class != "Object":
		return class
	case export == listType:
		return "Set"
	case export != plainType:
		if _, callable := goja.AssertFunction(o); callable {
			return "Function" // async arrows have no class of their own
		}
		return js.must(js.typedName, o).String()
	}
	if proto := o.Prototype(); proto == nil || proto == js.objectProto {
		return class
	}
	// goja gives these the class of plain objects; only their own methods can tell.
	for name, probe := range js.brands {
		if _, err := probe(goja.Undefined(), o, js.vm.ToValue(0)); err == nil {
			return name
		}
	}
	return class
}

// property is one own property, read without running a getter.
type property struct {
	key                                goja.Value // a string or a symbol
	name                               string
	value                              goja.Value
	accessor                           bool
	enumerable, writable, configurable bool
}

// own reads one own property; ok is false when there is none.
func (js *intrinsics) own(o *goja.Object, key goja.Value) (p property, ok bool) {
	d, isObject := js.must(js.describe, o, key).(*goja.Object)
	if !isObject {
		return property{}, false
	}
	p = property{key: key, name: key.String()}
	p.enumerable = d.Get("enumerable").ToBoolean()
	p.configurable = d.Get("configurable").ToBoolean()
	if p.value = d.Get("value"); p.value == nil {
		p.accessor = true
		p.value = d.Get("get")
		return p, true
	}
	p.writable = d.Get("writable").ToBoolean()
	return p, true
}

func (js *intrinsics) ownNamed(o *goja.Object, name string) (property, bool) {
	return js.own(o, js.vm.ToValue(name))
}

// data is the value of an own data property, or nil.
func (js *intrinsics) data(o *goja.Object, name string) goja.Value {
	if p, ok := js.ownNamed(o, name); ok && !p.accessor {
		return p.value
	}
	return nil
}

// keys lists own keys: strings in their order, then symbols.
func (js *intrinsics) keys(o *goja.Object) []goja.Value {
	list, ok := js.must(js.ownKeys, o).(*goja.Object)
	if !ok {
		return nil
	}
	n := int(list.Get("length").ToInteger())
	out := make([]goja.Value, 0, n)
	for i := range n {
		out = append(out, list.Get(fmt.Sprint(i)))
	}
	return out
}

// length of an array, or 0.
func (js *intrinsics) length(o *goja.Object) int {
	if v := js.data(o, "length"); v != nil {
		return int(v.ToInteger())
	}
	return 0
}

// entries lists a Map's keys and values, or a Set's values twice.
func (js *intrinsics) entries(each goja.Callable, o *goja.Object) [][2]goja.Value {
	var out [][2]goja.Value
	visit := func(call goja.FunctionCall) goja.Value {
		out = append(out, [2]goja.Value{call.Argument(1), call.Argument(0)})
		return goja.Undefined()
	}
	js.must(each, o, js.vm.ToValue(visit))
	return out
}

// regexp reads a regular expression's source and flags from its internal slots.
func (js *intrinsics) regexp(o *goja.Object) (source, flags string) {
	source = hideSuffix(js.must(js.source, o).String())
	for _, f := range js.flags {
		if js.must(f.get, o).ToBoolean() {
			flags += f.letter
		}
	}
	return source, flags
}
