package jsvm

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/dop251/goja"
	"github.com/dop251/goja/unistring"
)

// layout reads three things that goja keeps to itself: which built-ins a VM has made so far, which of their
// properties, and by what code. goja makes built-ins when they are first touched, and asking through its API
// would make them all, which costs more than everything else a session does. The layout is found by name,
// once per machine, and checked; with a goja that is made differently no session opens.
// It only reads, except that wrap changes what a built-in runs, shut closes one, and setTemplate changes how the
// rest of one is made.
type layout struct {
	stacks     idleFields
	templates  templateFields
	self       uintptr // of goja.Object.self
	global     uintptr // of Runtime.global
	intrinsics []intrinsicField
	property   reflect.Type // *goja.valueProperty
	learning   sync.Mutex
	shapes     atomic.Pointer[map[unsafe.Pointer]*shape] // what has been learnt, by the implementation's table of methods
}

type intrinsicField struct {
	name string
	at   uintptr
}

// shape says where the fields of one kind of object are; -1 where it has none.
type shape struct {
	name                                              string
	values, symbols, extensible, code, program        int
	template                                          int // of a built-in that is made bit by bit
	elements, buffer, constructor, length, from, size int // of a view
	named                                             int // properties of an array that are no elements
	frames, stacked                                   int // of an error: its stack, and whether it is a property
}

// rawProperty mirrors goja.valueProperty, rawEntry goja.mapEntry.
type rawProperty struct {
	value                                        goja.Value
	writable, configurable, enumerable, accessor bool
	getterFunc, setterFunc                       *goja.Object
}

type rawEntry struct {
	key, value goja.Value
	iterPrev   *rawEntry //nolint:unused // holds the place of goja's field
	iterNext   *rawEntry
}

var errLayout = errors.New("jsvm: goja is made differently than this package knows")

func newLayout() (*layout, error) {
	l := &layout{}
	l.shapes.Store(&map[unsafe.Pointer]*shape{})
	self, ok := reflect.TypeFor[goja.Object]().FieldByName("self")
	global, ok2 := reflect.TypeFor[goja.Runtime]().FieldByName("global")
	if !ok || !ok2 || len(self.Index) != 1 || self.Type.Kind() != reflect.Interface || self.Type.NumMethod() == 0 {
		return nil, fmt.Errorf("%w: no self or global", errLayout)
	}
	l.self, l.global = self.Offset, global.Offset
	for i := range global.Type.NumField() {
		if f := global.Type.Field(i); f.Type == reflect.TypeFor[*goja.Object]() {
			l.intrinsics = append(l.intrinsics, intrinsicField{f.Name, f.Offset})
		}
	}
	vm := goja.New()
	f := vm.ToValue(func(goja.FunctionCall) goja.Value { return nil }).(*goja.Object)
	values := l.values(f)
	if len(l.intrinsics) < 80 || values == nil || values["name"] == nil {
		return nil, fmt.Errorf("%w: no intrinsics or values", errLayout)
	}
	l.property = reflect.TypeOf(values["name"])
	if l.property.Kind() != reflect.Pointer || !mirrors(reflect.TypeFor[rawProperty](), l.property.Elem()) {
		return nil, fmt.Errorf("%w: %s", errLayout, l.property)
	}
	s, _ := l.shape(vm.GlobalObject())
	fn, _ := l.shape(f)
	if s.values < 0 || s.symbols < 0 || s.extensible < 0 || fn.code < 0 {
		return nil, fmt.Errorf("%w: objects", errLayout)
	}
	if err := l.findIdle(); err != nil {
		return nil, err
	}
	if err := l.findTemplates(); err != nil {
		return nil, err
	}
	return l, l.checkSymbols(vm)
}

// checkSymbols looks into an ordered map.
func (l *layout) checkSymbols(vm *goja.Runtime) error {
	o := vm.NewObject()
	if err := o.SetSymbol(goja.SymIterator, 7); err != nil {
		return fmt.Errorf("jsvm: check layout: %w", err)
	}
	s, _ := l.shape(o)
	t := l.impl(o).Type().Elem()
	f, _ := t.FieldByName("symValues")
	first, ok := f.Type.Elem().FieldByName("iterFirst")
	if !ok || s.symbols < 0 || !mirrors(reflect.TypeFor[rawEntry](), first.Type.Elem()) {
		return fmt.Errorf("%w: symbols", errLayout)
	}
	n := 0
	l.eachSymbol(o, func(key *goja.Symbol, v goja.Value) { n++ })
	if n != 1 {
		return fmt.Errorf("%w: symbols", errLayout)
	}
	return nil
}

// mirrors tells whether a struct of ours begins like one of goja's. Pointers only need to be pointers.
func mirrors(ours, theirs reflect.Type) bool {
	if theirs.Kind() != reflect.Struct || theirs.NumField() < ours.NumField() {
		return false
	}
	for i := range ours.NumField() {
		a, b := ours.Field(i), theirs.Field(i)
		same := a.Type == b.Type || a.Type.Kind() == reflect.Pointer && b.Type.Kind() == reflect.Pointer
		if a.Name != b.Name || a.Offset != b.Offset || !same {
			return false
		}
	}
	return true
}

// shape finds the fields of an object's implementation, and where it is. The table of methods that comes with an
// implementation stands for its type.
func (l *layout) shape(o *goja.Object) (*shape, unsafe.Pointer) {
	self := (*[2]unsafe.Pointer)(unsafe.Add(unsafe.Pointer(o), l.self))
	if s := (*l.shapes.Load())[self[0]]; s != nil {
		return s, self[1]
	}
	s := l.newShape(l.impl(o).Type())
	l.learning.Lock()
	defer l.learning.Unlock()
	shapes := maps.Clone(*l.shapes.Load())
	shapes[self[0]] = s
	l.shapes.Store(&shapes)
	return s, self[1]
}

// impl is an object's implementation.
func (l *layout) impl(o *goja.Object) reflect.Value {
	return reflect.ValueOf(o).Elem().FieldByName("self").Elem()
}

func (l *layout) newShape(t reflect.Type) *shape {
	if t.Kind() != reflect.Pointer {
		return &shape{values: -1, symbols: -1, extensible: -1, code: -1, program: -1, template: -1, buffer: -1, elements: -1, named: -1, frames: -1, stacked: -1}
	}
	s := &shape{name: t.Elem().Name()}
	s.values = offset(t.Elem(), "values", reflect.TypeFor[map[unistring.String]goja.Value]())
	s.extensible = offset(t.Elem(), "extensible", reflect.TypeFor[bool]())
	s.code = offset(t.Elem(), "f", reflect.TypeFor[func(goja.FunctionCall) goja.Value]())
	s.program = offset(t.Elem(), "prg", reflect.TypeFor[*goja.Program]())
	s.template = offset(t.Elem(), "tmpl", nil)
	s.elements = offset(t.Elem(), "values", reflect.TypeFor[[]goja.Value]())
	s.named = -1
	if base, ok := t.Elem().FieldByName("baseObject"); ok && s.elements >= 0 && len(base.Index) == 1 {
		s.named = int(base.Offset) + offset(base.Type, "values", reflect.TypeFor[map[unistring.String]goja.Value]())
	}
	s.frames, s.stacked = offset(t.Elem(), "stack", reflect.TypeFor[[]goja.StackFrame]()), offset(t.Elem(), "stackPropAdded", reflect.TypeFor[bool]())
	number := reflect.TypeFor[int]()
	s.buffer, s.constructor = offset(t.Elem(), "viewedArrayBuf", nil), offset(t.Elem(), "defaultCtor", reflect.TypeFor[*goja.Object]())
	s.length, s.from, s.size = offset(t.Elem(), "length", number), offset(t.Elem(), "offset", number), offset(t.Elem(), "elemSize", number)
	if s.size < 0 {
		s.length, s.from = offset(t.Elem(), "byteLen", number), offset(t.Elem(), "byteOffset", number)
	}
	s.symbols = offset(t.Elem(), "symValues", nil)
	return s
}

// offset of a field, also of an embedded struct; -1 when there is none of that type.
func offset(t reflect.Type, name string, want reflect.Type) int {
	f, ok := t.FieldByName(name)
	if !ok || want != nil && f.Type != want || want == nil && f.Type.Kind() != reflect.Pointer {
		return -1
	}
	at := 0
	for _, i := range f.Index {
		if t.Kind() != reflect.Struct { // embedded by pointer: somewhere else
			return -1
		}
		step := t.Field(i)
		at, t = at+int(step.Offset), step.Type
	}
	return at
}

// eachIntrinsic visits the built-ins that a VM has made.
func (l *layout) eachIntrinsic(vm *goja.Runtime, f func(name string, o *goja.Object)) {
	for _, field := range l.intrinsics {
		if o := *(**goja.Object)(unsafe.Add(unsafe.Pointer(vm), l.global+field.at)); o != nil {
			f(field.name, o)
		}
	}
}

// values are the properties that an object has made; nil stands for a deleted one.
func (l *layout) values(o *goja.Object) map[unistring.String]goja.Value {
	s, at := l.shape(o)
	if s.values < 0 {
		return nil
	}
	return *(*map[unistring.String]goja.Value)(unsafe.Add(at, s.values))
}

// eachSymbol visits the properties under symbols that an object has made.
func (l *layout) eachSymbol(o *goja.Object, f func(key *goja.Symbol, v goja.Value)) {
	s, at := l.shape(o)
	if s.symbols < 0 {
		return
	}
	ordered := *(*unsafe.Pointer)(unsafe.Add(at, s.symbols))
	if ordered == nil {
		return
	}
	impl := l.impl(o).Type().Elem()
	field, _ := impl.FieldByName("symValues")
	first, _ := field.Type.Elem().FieldByName("iterFirst")
	for e := *(**rawEntry)(unsafe.Add(ordered, first.Offset)); e != nil; e = e.iterNext {
		if key, ok := e.key.(*goja.Symbol); ok {
			f(key, e.value)
		}
	}
}

// symbolless tells objects that are known to have no properties under symbols.
func (l *layout) symbolless(o *goja.Object) bool {
	s, at := l.shape(o)
	return s.symbols >= 0 && s.template < 0 && *(*unsafe.Pointer)(unsafe.Add(at, s.symbols)) == nil
}

// raw is a property as goja keeps it.
func (l *layout) raw(v goja.Value) rawProperty {
	if reflect.TypeOf(v) == l.property {
		return *(*rawProperty)(reflect.ValueOf(v).UnsafePointer())
	}
	return rawProperty{value: v, writable: true, enumerable: true, configurable: true}
}

// kindOf is goja's name for the implementation of an object: "mapObject", "weakMapObject", …
func (l *layout) kindOf(o *goja.Object) string {
	s, _ := l.shape(o)
	return s.name
}

func (l *layout) extensible(o *goja.Object) bool {
	s, at := l.shape(o)
	return s.extensible < 0 || *(*bool)(unsafe.Add(at, s.extensible))
}

// code identifies what a function runs: native code, or a compiled function.
func (l *layout) code(o *goja.Object) uintptr {
	s, at := l.shape(o)
	switch {
	case s.code >= 0:
		return reflect.ValueOf(*(*func(goja.FunctionCall) goja.Value)(unsafe.Add(at, s.code))).Pointer()
	case s.program >= 0:
		return uintptr(*(*unsafe.Pointer)(unsafe.Add(at, s.program)))
	}
	return 0
}

// view is what a typed array or a DataView looks at.
type view struct {
	constructor    *goja.Object // of a typed array
	buffer         *goja.Object
	offset, length int // in bytes, and in elements
}

func (l *layout) view(o *goja.Object) (view, bool) {
	s, at := l.shape(o)
	if s.buffer < 0 || s.length < 0 || s.from < 0 {
		return view{}, false
	}
	v := view{offset: *(*int)(unsafe.Add(at, s.from)), length: *(*int)(unsafe.Add(at, s.length))}
	if s.size >= 0 && s.constructor >= 0 {
		v.offset *= *(*int)(unsafe.Add(at, s.size))
		v.constructor = *(**goja.Object)(unsafe.Add(at, s.constructor))
	}
	impl := l.impl(o).Elem().FieldByName("viewedArrayBuf")
	if val := offset(impl.Type().Elem(), "val", reflect.TypeFor[*goja.Object]()); val >= 0 {
		v.buffer = *(**goja.Object)(unsafe.Add(impl.UnsafePointer(), val))
	}
	return v, v.buffer != nil
}

// flags of a regular expression.
func (l *layout) flags(o *goja.Object) string {
	impl := l.impl(o).Elem().FieldByName("pattern")
	if impl.Kind() != reflect.Pointer {
		return ""
	}
	out := ""
	for _, flag := range [][2]string{{"global", "g"}, {"ignoreCase", "i"}, {"multiline", "m"}, {"dotAll", "s"}, {"unicode", "u"}, {"sticky", "y"}} {
		if f := impl.Elem().FieldByName(flag[0]); f.Kind() == reflect.Bool && f.Bool() {
			out += flag[1]
		}
	}
	return out
}

// elements of a dense array; nil stands for a hole.
func (l *layout) elements(o *goja.Object) ([]goja.Value, bool) {
	s, at := l.shape(o)
	if s.elements < 0 {
		return nil, false
	}
	return *(*[]goja.Value)(unsafe.Add(at, s.elements)), true
}

// bare tells arrays that have no properties but their elements and their length.
func (l *layout) bare(o *goja.Object) bool {
	s, at := l.shape(o)
	return s.named >= 0 && len(*(*map[unistring.String]goja.Value)(unsafe.Add(at, s.named))) == 1
}

// wrap makes a built-in function look at its call before it runs.
func (l *layout) wrap(native *goja.Object, check func(goja.FunctionCall)) {
	l.around(native, func(call goja.FunctionCall) goja.FunctionCall {
		check(call)
		return call
	})
}

// around makes a built-in function run another call than the one it is given.
func (l *layout) around(native *goja.Object, change func(goja.FunctionCall) goja.FunctionCall) {
	s, at := l.shape(native)
	if s.code < 0 {
		return
	}
	code := (*func(goja.FunctionCall) goja.Value)(unsafe.Add(at, s.code))
	run := *code
	*code = func(call goja.FunctionCall) goja.Value { return run(change(call)) }
}
