package jsvm

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dop251/goja"
	"github.com/dop251/goja/unistring"
)

// familyNames are built-ins that are made together with what scripts reach through them, when they are first
// needed: mended, bounded and closed. A name that is a global is also the name of its family.
var familyNames = []string{"Object", "Array", "String", "Number", "BigInt", "Symbol", "RegExp", "Date", "Map", "Set", "Math", "JSON", "Reflect", "Iterator", "makers"}

// realized is what a session has made of its realm.
type realized struct {
	ready   map[string]bool         // by name of the family
	parts   map[string]*goja.Object // of the prelude
	makers  *goja.Object            // of parts
	kept    map[string]*goja.Object // methods that the prelude or we take from what goja makes whole
	promise *goja.Object
	// bind and call make functions of methods.
	bind func(goja.FunctionCall) goja.Value
	call goja.Value
}

func newRealized() realized {
	return realized{ready: map[string]bool{}, parts: map[string]*goja.Object{}, kept: map[string]*goja.Object{}}
}

// need makes families.
func (s *session) need(names ...string) {
	for _, name := range names {
		if s.ready[name] {
			continue
		}
		s.ready[name] = true
		s.prepare(name)
	}
}

// native is a built-in constructor or namespace of goja, whatever scripts have put in its place.
func (s *session) native(name string) *goja.Object {
	o, _ := s.layout.raw(s.realm.natives[globalName].props[unistring.String(name)](s.vm)).value.(*goja.Object)
	return o
}

// openRealm makes what every session has: what literals, promises and errors of the engine lead to.
func (s *session) openRealm() error {
	global, err := s.realm.global(s.grants)
	if err != nil {
		return err
	}
	s.layout.setTemplate(s.vm.GlobalObject(), global)
	boolean, promise := s.native("Boolean"), s.native("Promise")
	s.js.functionProto = boolean.Prototype()
	s.js.objectProto = s.js.functionProto.Prototype()
	s.js.arrayProto = s.vm.NewArray().Prototype()
	s.visit("ObjectPrototype", s.js.objectProto)
	s.visit("FunctionPrototype", s.js.functionProto)
	s.visit("ArrayPrototype", s.js.arrayProto)
	s.visit("StringPrototype", s.vm.ToValue("").ToObject(s.vm).Prototype())
	for _, name := range []string{"Number", "BigInt"} {
		p := s.layout.raw(s.realm.natives[name].props["prototype"](s.vm)).value.(*goja.Object)
		s.visit(name+"Prototype", p)
	}
	s.closeBoth(boolean)
	s.openPromises(promise)
	for i, name := range engineErrors {
		s.js.errors[i] = s.native(name)
		if name == "Error" {
			s.define(s.js.errors[i], "captureStackTrace", s.function("captureStackTrace", 1, s.captureStackTrace))
		}
		s.closeBoth(s.js.errors[i])
	}
	return nil
}

// engineErrors are the errors that goja itself throws.
var engineErrors = [...]string{"Error", "RangeError", "ReferenceError", "SyntaxError", "TypeError"} //nolint:gochecknoglobals // never written; an array cannot be a constant

// visit gives a built-in our template, and closes it: additions throw instead of being lost with the VM. What a
// cell replaces, and what it adds to rarer built-ins, is noted when the cell has ended.
func (s *session) visit(name string, o *goja.Object) {
	if t := s.realm.seen[name]; t != nil {
		s.layout.setTemplate(o, t)
	}
	s.layout.shut(o)
}

// closeBoth closes a constructor and its prototype.
func (s *session) closeBoth(constructor *goja.Object) {
	s.layout.shut(constructor)
	if p, ok := constructor.Get("prototype").(*goja.Object); ok {
		s.layout.shut(p)
	}
}

// prepare makes one family. Nothing in it may go through globals: a script may have replaced those.
func (s *session) prepare(name string) {
	switch name {
	case "Object", "Number", "Date":
		o := s.native(name)
		s.visit(name, o)
		s.visit(name+"Prototype", o.Get("prototype").(*goja.Object))
	case "BigInt":
		o := s.native(name)
		s.layout.wrap(o, s.boundBigInt)
		s.visit(name, o)
	case "Math":
		s.visit(name, s.native(name))
	case "Array":
		s.prepareArray()
	case "String":
		o := s.native(name)
		s.keep(name, o, "fromCharCode")
		s.boundString(o)
		s.layout.shut(o)
	case "Symbol":
		s.prepareSymbols()
	case "RegExp":
		s.prepareRegExps()
	case "Map", "Set":
		s.prepareMaps(name)
	case "JSON":
		s.prepareJSON()
	case "Reflect":
		s.need("Symbol")
		o := s.native(name)
		s.boundReflect(o)
		s.layout.shut(o)
	case "Iterator":
		s.prepareIterators()
	case "makers":
		made := s.part("makers")
		for _, name := range []string{"Function", "AsyncFunction", "GeneratorFunction"} {
			s.js.wrappers = append(s.js.wrappers, made.Get(name).(*goja.Object))
		}
	default:
		panic(fmt.Sprintf("jsvm: no family %s", name))
	}
}

func (s *session) prepareArray() {
	o := s.native("Array")
	s.keep("Array", o, "isArray", "from")
	s.boundArray(o)
	s.late(o, "fromAsync", 3, "arrayMethods")
	s.layout.shut(o)
}

func (s *session) prepareSymbols() {
	o := s.native("Symbol")
	for _, name := range []string{"asyncIterator", "dispose", "asyncDispose"} {
		if !s.has(o, name) {
			_ = o.DefineDataProperty(name, goja.NewSymbol("Symbol."+name), goja.FLAG_FALSE, goja.FLAG_FALSE, goja.FLAG_FALSE)
		}
	}
	s.keep("Symbol", o, "keyFor", "for")
	s.closeBoth(o)
	s.need("Iterator") // [][Symbol.iterator]
}

func (s *session) prepareRegExps() {
	o := s.native("RegExp")
	p := o.Get("prototype").(*goja.Object)
	s.keep("RegExpPrototype", p, "exec")
	made := s.part("regexps")
	wrapper := made.Get("RegExpWrapper").(*goja.Object)
	s.js.regexpConstructor, s.js.source = wrapper, run(made.Get("nativeSource"))
	s.js.wrappers = append(s.js.wrappers, wrapper)
	s.mendReplace(p)
	s.layout.shut(o)
	s.closeBoth(wrapper)
}

func (s *session) prepareMaps(name string) {
	o := s.native(name)
	p := o.Get("prototype").(*goja.Object)
	s.need("Iterator") // its own are iterators
	if name == "Map" {
		s.keep("MapPrototype", p, "get", "set", "has", "forEach", "entries")
		s.late(o, "groupBy", 2, "mapMethods")
	} else {
		s.keep("SetPrototype", p, "add", "forEach", "values")
	}
	s.closeBoth(o)
}

func (s *session) prepareJSON() {
	o := s.native("JSON")
	s.boundJSON(o)
	s.keep("JSON", o, "stringify", "parse")
	s.layout.shut(o)
}

// prepareIterators mends the prototype of all iterators, of which the first leads to it.
func (s *session) prepareIterators() {
	values := s.realm.natives["ArrayPrototype"].symProps[goja.SymIterator](s.vm)
	s.js.iterator = run(s.layout.raw(values).value)
	first := s.js.iterator(goja.FunctionCall{This: s.vm.NewArray()}).(*goja.Object)
	s.js.iteratorProto = first.Prototype().Prototype()
	s.need("makers") // its methods are generators
	o := s.part("iterators").Get("Iterator").(*goja.Object)
	s.js.wrappers = append(s.js.wrappers, o)
	s.layout.shut(o)
	s.layout.shut(s.js.iteratorProto)
}

// constructor is a built-in constructor that values are made with, or recognized by; nil for other names.
func (s *session) constructor(name string) *goja.Object {
	switch name {
	case "Error":
		return s.js.errors[0]
	case "RegExp":
		s.need(name)
		return s.js.regexpConstructor
	case "Function":
		s.need("makers")
		return s.part("makers").Get(name).(*goja.Object)
	case "Map", "Set", "Date", "BigInt", "Array":
		s.need(name)
		return s.native(name)
	}
	return nil
}

// keep remembers methods for the prelude and for us, before a script can replace them.
func (s *session) keep(owner string, o *goja.Object, names ...string) {
	for _, name := range names {
		s.kept[owner+"."+name] = o.Get(name).(*goja.Object)
	}
}

// literals makes the families that only some literals of a source lead to.
func (s *session) literals(l literals) {
	if l.regexp {
		s.need("RegExp")
	}
	if l.generator {
		s.need("Iterator")
	}
	if l.async || l.generator {
		s.need("makers")
	}
}

// reachable tells whether scripts can have got hold of a built-in. goja makes some for its own ends: until the family
// is made they lack what the prelude does to them.
func (s *session) reachable(name string) bool {
	name = strings.TrimSuffix(strings.TrimSuffix(name, wrapperMark), "Prototype")
	switch {
	case strings.HasSuffix(name, "Iterator"):
		name = "Iterator"
	case strings.HasPrefix(name, "Generator"), strings.HasPrefix(name, "AsyncFunction"), name == "Function":
		name = "makers"
	}
	return s.ready[name] || !slices.Contains(familyNames, name)
}

// run is what a function does, without goja's care for calls from outside: it may be used while a script runs,
// which then sees what it throws.
func run(v goja.Value) func(goja.FunctionCall) goja.Value {
	return v.(*goja.Object).Export().(func(goja.FunctionCall) goja.Value)
}
