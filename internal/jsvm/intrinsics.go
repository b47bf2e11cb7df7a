package jsvm

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/dop251/goja"
	"github.com/dop251/goja/unistring"
)

// intrinsics are the built-ins as the prelude captured them before any code of a cell ran. Everything that
// looks into values goes through them and through goja's Go API, never through what a script may have
// replaced: looking at a value runs no user code.
type intrinsics struct {
	vm     *goja.Runtime
	layout *layout

	describe, ownKeys, isExtensible, preventExtensions, stringify, parse, keyFor, symbolFor             goja.Callable
	defineProperty, toSource, mapForEach, mapSet, setForEach, setAdd, getTime, source, hiddenPrototypes goja.Callable

	constructors map[string]*goja.Object
	wrappers     []*goja.Object // what the prelude put in the place of built-ins

	objectProto, arrayProto, functionProto *goja.Object
}

// runPrelude sets the session's globals up and captures what the Go side needs.
func (s *session) runPrelude(program *goja.Program) error {
	s.js = &intrinsics{vm: s.vm, layout: s.layout, constructors: map[string]*goja.Object{}}
	v, err := s.vm.RunProgram(program)
	if err != nil {
		return fmt.Errorf("jsvm: load prelude: %w", err)
	}
	setup, ok := goja.AssertFunction(v)
	if !ok {
		return errors.New("jsvm: prelude is not a function")
	}
	host := s.vm.NewObject()
	for _, f := range s.preludeHosts() {
		if err := host.Set(f.name, f.call); err != nil {
			return fmt.Errorf("jsvm: set host.%s: %w", f.name, err)
		}
	}
	out, err := setup(goja.Undefined(), host)
	if err != nil {
		return fmt.Errorf("jsvm: run prelude: %w", err)
	}
	return s.js.capture(out.ToObject(s.vm))
}

// capture takes what the prelude gives: functions, methods, constructors, wrappers.
func (js *intrinsics) capture(o *goja.Object) error {
	next := 0
	take := func() goja.Value {
		next++
		return o.Get(strconv.Itoa(next - 1))
	}
	for _, target := range []*goja.Callable{
		&js.describe, &js.ownKeys, &js.isExtensible, &js.preventExtensions,
		&js.stringify, &js.parse, &js.keyFor, &js.symbolFor, &js.hiddenPrototypes,
	} {
		f, ok := goja.AssertFunction(take())
		if !ok {
			return fmt.Errorf("jsvm: prelude does not give function %d", next)
		}
		*target = f
	}
	for _, target := range []*goja.Callable{
		&js.toSource, &js.mapForEach, &js.mapSet, &js.setForEach, &js.setAdd, &js.getTime, &js.source,
	} {
		if *target = method(take()); *target == nil {
			return fmt.Errorf("jsvm: prelude does not give method %d", next)
		}
	}
	for _, name := range []string{"RegExp", "Map", "Set", "Date", "Error", "BigInt", "Array", "Function"} {
		js.constructors[name] = take().ToObject(js.vm)
	}
	for v := take(); v != nil; v = take() {
		js.wrappers = append(js.wrappers, v.ToObject(js.vm))
	}
	js.defineProperty, _ = goja.AssertFunction(js.vm.GlobalObject().Get("Reflect").ToObject(js.vm).Get("defineProperty"))
	js.objectProto = js.vm.NewObject().Prototype()
	js.arrayProto = js.vm.NewArray().Prototype()
	js.functionProto = js.constructors["Map"].Prototype()
	return nil
}

// method makes a function of its this and its arguments; nil when v is no function.
func method(v goja.Value) goja.Callable {
	f, ok := goja.AssertFunction(v)
	if !ok {
		return nil
	}
	return func(_ goja.Value, args ...goja.Value) (goja.Value, error) { return f(args[0], args[1:]...) }
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
	case hiddenKinds[js.layout.kindOf(o)] != "":
		return hiddenKinds[js.layout.kindOf(o)]
	case export == listType:
		return "Set"
	case export != plainType:
		if _, callable := goja.AssertFunction(o); callable {
			return "Function" // async arrows have no class of their own
		}
		if v, ok := js.layout.view(o); ok {
			return js.constructorName(v.constructor)
		}
		return class
	}
	return class
}

// hiddenKinds are objects to which goja gives the class of plain ones although they hold more.
var hiddenKinds = map[string]string{
	"weakMapObject": "WeakMap", "weakSetObject": "WeakSet", "dataViewObject": "DataView", "primitiveValueObject": "boxed primitive",
	"generatorObject": "Generator", "arrayIterObject": "Iterator", "mapIterObject": "Iterator", "setIterObject": "Iterator",
	"stringIterObject": "Iterator", "regExpStringIterObject": "Iterator",
}

// constructorName is what goja calls a built-in constructor.
func (js *intrinsics) constructorName(ctor *goja.Object) (name string) {
	js.layout.eachIntrinsic(js.vm, func(field string, o *goja.Object) {
		if o == ctor {
			name = field
		}
	})
	return name
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
	if _, isSymbol := key.(*goja.Symbol); !isSymbol && js.layout.kindOf(o) == "baseObject" {
		if name := key.String(); !strings.Contains(name, "\ufffd") { // text that is no valid Unicode has lost its name
			return js.plain(o, key, name)
		}
	}
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

// plain reads a property of a plain object, which keeps them all in one place.
func (js *intrinsics) plain(o *goja.Object, key goja.Value, name string) (property, bool) {
	v, ok := js.layout.values(o)[unistring.NewFromString(name)]
	if !ok || v == nil {
		return property{}, false
	}
	raw := js.layout.raw(v)
	p := property{key: key, name: name, value: raw.value, accessor: raw.accessor, enumerable: raw.enumerable, writable: raw.writable, configurable: raw.configurable}
	if raw.accessor {
		p.value, p.writable = goja.Undefined(), false
		if raw.getterFunc != nil {
			p.value = raw.getterFunc
		}
	}
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
	return hideSuffix(js.must(js.source, o).String()), js.layout.flags(o)
}
