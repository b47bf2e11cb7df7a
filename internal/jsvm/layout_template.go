package jsvm

import (
	"fmt"
	"reflect"
	"slices"
	"unsafe"

	"github.com/dop251/goja"
	"github.com/dop251/goja/unistring"
)

// maker makes a property of a built-in when a script first asks for it. What it gives is the property itself,
// see layout.property; or a value, for one that is writable, enumerable and configurable.
type maker func(*goja.Runtime) goja.Value

// template mirrors goja.objectTemplate: what a built-in is made from, property by property. goja's own are
// shared by everything in the process and are never changed; ours are copies with other makers.
type template struct {
	propNames    []unistring.String
	props        map[unistring.String]maker
	symProps     map[*goja.Symbol]maker
	symPropNames []*goja.Symbol                   //nolint:unused // holds the place of goja's field
	protoFactory func(*goja.Runtime) *goja.Object //nolint:unused // likewise
}

// templateFields are where goja keeps the template of a built-in, and what an embedder may hang on a VM.
type templateFields struct {
	owner uintptr // Runtime.fieldNameMapper
}

func (l *layout) findTemplates() error {
	mapper, ok := reflect.TypeFor[goja.Runtime]().FieldByName("fieldNameMapper")
	if !ok || mapper.Type != reflect.TypeFor[goja.FieldNameMapper]() {
		return fmt.Errorf("%w: no field name mapper", errLayout)
	}
	l.templates.owner = mapper.Offset
	global := goja.New().GlobalObject()
	t, _ := l.impl(global).Type().Elem().FieldByName("tmpl")
	if t.Type == nil || t.Type.Kind() != reflect.Pointer {
		return fmt.Errorf("%w: no templates", errLayout)
	}
	ours, theirs := reflect.TypeFor[template](), t.Type.Elem()
	if theirs.Kind() != reflect.Struct || theirs.NumField() != ours.NumField() {
		return fmt.Errorf("%w: %s", errLayout, theirs)
	}
	for i := range ours.NumField() {
		a, b := ours.Field(i), theirs.Field(i)
		if a.Name != b.Name || a.Offset != b.Offset || !sameType(a.Type, b.Type) {
			return fmt.Errorf("%w: %s.%s", errLayout, theirs, b.Name)
		}
	}
	if tmpl := l.template(global); tmpl == nil || tmpl.props["Map"] == nil || tmpl.props["eval"] == nil {
		return fmt.Errorf("%w: templates", errLayout)
	}
	return nil
}

// sameType tells types that differ in the name of a function type at most.
func sameType(a, b reflect.Type) bool {
	if a.Kind() != b.Kind() {
		return false
	}
	if a.Kind() == reflect.Map {
		return a.Key() == b.Key() && sameType(a.Elem(), b.Elem())
	}
	return a.ConvertibleTo(b)
}

// template of a built-in that is made from one; nil for others.
func (l *layout) template(o *goja.Object) *template {
	s, at := l.shape(o)
	if s.template < 0 {
		return nil
	}
	return *(**template)(unsafe.Add(at, s.template))
}

// setTemplate makes a built-in take what it has not made yet from another template.
func (l *layout) setTemplate(o *goja.Object, t *template) {
	if s, at := l.shape(o); s.template >= 0 {
		*(**template)(unsafe.Add(at, s.template)) = t
	}
}

// shut makes an object non-extensible, as Object.preventExtensions does to a built-in.
func (l *layout) shut(o *goja.Object) {
	if s, at := l.shape(o); s.extensible >= 0 {
		*(*bool)(unsafe.Add(at, s.extensible)) = false
	}
}

// made is a data property with its attributes, as goja keeps it. It is never enumerable.
func (l *layout) made(v goja.Value, open bool) goja.Value {
	p := reflect.New(l.property.Elem())
	raw := (*rawProperty)(p.UnsafePointer())
	raw.value, raw.writable, raw.configurable = v, open, open
	return p.Interface().(goja.Value)
}

// label changes the name and the length that a function shows.
func (l *layout) label(f *goja.Object, name, length goja.Value, open bool) {
	values := l.values(f)
	set := func(key unistring.String, v goja.Value) {
		p := (*rawProperty)(reflect.ValueOf(values[key]).UnsafePointer())
		p.value, p.configurable = v, open
	}
	set("name", name)
	set("length", length)
}

// owned is what hangs on a VM: the session that it belongs to.
func (l *layout) owned(vm *goja.Runtime) *session {
	mapper := *(*goja.FieldNameMapper)(unsafe.Add(unsafe.Pointer(vm), l.templates.owner))
	return mapper.(*owner).session
}

// owner is a field name mapper for the sake of being kept by a VM. Sessions show scripts no Go structs.
type owner struct{ session *session }

func (*owner) FieldName(reflect.Type, reflect.StructField) string { return "" }
func (*owner) MethodName(reflect.Type, reflect.Method) string     { return "" }

func (t *template) clone() *template {
	out := *t
	out.propNames = slices.Clone(t.propNames)
	out.props = make(map[unistring.String]maker, len(t.props))
	for name, f := range t.props {
		out.props[name] = f
	}
	return &out
}

// put adds a property, or changes how it is made. Its place among the others stays.
func (t *template) put(name string, f maker) {
	key := unistring.NewFromString(name)
	if t.props[key] == nil {
		t.propNames = append(t.propNames, key)
	}
	t.props[key] = f
}

// around changes how a property is made.
func (t *template) around(name string, change func(maker) maker) {
	key := unistring.String(name)
	t.props[key] = change(t.props[key])
}
