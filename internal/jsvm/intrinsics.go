package jsvm

import (
	"reflect"
	"slices"
	"strings"

	"github.com/dop251/goja"
	"github.com/dop251/goja/unistring"
)

// intrinsics are the built-ins as no code of a cell can have changed them. Everything that looks into values goes
// through them and through goja's Go API: looking at a value runs no user code.
type intrinsics struct {
	session *session
	vm      *goja.Runtime
	layout  *layout

	made     [len(builtinCalls)]goja.Callable // when they are first needed
	wrappers []*goja.Object                   // what the prelude has put in the place of built-ins

	objectProto, arrayProto, functionProto *goja.Object
	errors                                 [len(engineErrors)]*goja.Object

	// Of families.
	regexpConstructor *goja.Object
	source            func(goja.FunctionCall) goja.Value // of a regular expression
	iteratorProto     *goja.Object
	iterator          func(goja.FunctionCall) goja.Value // of an array
}

// builtinCall is a method of a built-in that we call.
type builtinCall int

const (
	callDescribe builtinCall = iota
	callNames
	callSymbols
	callIsExtensible
	callPreventExtensions
	callDefine
	callStringify
	callParse
	callKeyFor
	callSymbolFor
	callSource
	callTime
	callMapEach
	callMapSet
	callSetEach
	callSetAdd
)

// builtinCalls says where they are. Those of objects take their this as the first argument.
var builtinCalls = [...]struct { //nolint:gochecknoglobals // never written; an array cannot be a constant
	owner, name string
	method      bool
}{
	callDescribe:          {"Object", "getOwnPropertyDescriptor", false},
	callNames:             {"Object", "getOwnPropertyNames", false},
	callSymbols:           {"Object", "getOwnPropertySymbols", false},
	callIsExtensible:      {"Object", "isExtensible", false},
	callPreventExtensions: {"Object", "preventExtensions", false},
	callDefine:            {"Object", "defineProperty", false},
	callStringify:         {"JSON", "stringify", false},
	callParse:             {"JSON", "parse", false},
	callKeyFor:            {"Symbol", "keyFor", false},
	callSymbolFor:         {"Symbol", "for", false},
	callSource:            {"FunctionPrototype", "toString", true},
	callTime:              {"DatePrototype", "getTime", true},
	callMapEach:           {"MapPrototype", "forEach", true},
	callMapSet:            {"MapPrototype", "set", true},
	callSetEach:           {"SetPrototype", "forEach", true},
	callSetAdd:            {"SetPrototype", "add", true},
}

// call runs a built-in.
func (js *intrinsics) call(which builtinCall, args ...goja.Value) (goja.Value, error) {
	f, at := js.made[which], builtinCalls[which]
	if f == nil {
		f, _ = goja.AssertFunction(js.session.nativeMethod(at.owner, at.name))
		js.made[which] = f
	}
	if at.method {
		return f(args[0], args[1:]...)
	}
	return f(goja.Undefined(), args...)
}

// must runs a built-in that cannot fail on the kind of value it is given.
func (js *intrinsics) must(which builtinCall, args ...goja.Value) goja.Value {
	v, err := js.call(which, args...)
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
	d, isObject := js.must(callDescribe, o, key).(*goja.Object)
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
	names := js.list(js.must(callNames, o))
	if js.layout.symbolless(o) {
		return names
	}
	return append(slices.Clone(names), js.list(js.must(callSymbols, o))...)
}

// list is what a built-in gave in an array.
func (js *intrinsics) list(v goja.Value) []goja.Value {
	o, ok := v.(*goja.Object)
	if !ok {
		return nil
	}
	elements, _ := js.layout.elements(o)
	return elements
}

// length of an array, or 0.
func (js *intrinsics) length(o *goja.Object) int {
	if v := js.data(o, "length"); v != nil {
		return int(v.ToInteger())
	}
	return 0
}

// entries lists a Map's keys and values, or a Set's values twice.
func (js *intrinsics) entries(each builtinCall, o *goja.Object) [][2]goja.Value {
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
	js.session.need("RegExp")
	return hideSuffix(js.source(goja.FunctionCall{This: o}).String()), js.layout.flags(o)
}
