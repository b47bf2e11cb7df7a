package jsvm

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/dop251/goja"
)

// restorer rebuilds a workspace. An object is made first and filled later, so references may run in
// circles and across rows in any order.
type restorer struct {
	s     *session
	js    *intrinsics
	rows  map[string]goja.Value   // the parsed text of each row
	ids   map[string]*goja.Object // row#id → its text
	made  map[*goja.Object]goja.Value
	open  map[*goja.Object]bool // being made
	queue []func() error
	err   error

	builtins map[string]goja.Value
	plain    map[string]bool // rows that are JSON from outside, and hold no tags
}

func (s *session) restore(variables []Variable) error {
	r := &restorer{s: s, js: s.js, rows: map[string]goja.Value{}, ids: map[string]*goja.Object{}, made: map[*goja.Object]goja.Value{}, open: map[*goja.Object]bool{}, builtins: map[string]goja.Value{}, plain: map[string]bool{}}
	for _, v := range variables {
		if v.Refused != "" {
			continue
		}
		parsed, err := s.decodeJSON(v.Value)
		if err != nil {
			return fmt.Errorf("jsvm: restore variable %s: %w", v.Name, err)
		}
		text := strings.TrimPrefix(string(v.Value), string(constMark))
		if r.plain[v.Name] = !strings.HasPrefix(text, `{"$row":`); r.plain[v.Name] {
			r.rows[v.Name] = parsed
			if o, ok := parsed.(*goja.Object); ok {
				r.made[o] = o
			}
			continue
		}
		row := parsed.ToObject(s.vm)
		r.rows[v.Name] = r.get(row, "value")
		r.index(v.Name, row)
	}
	lost := r.reject(variables)
	for _, v := range variables {
		if s.isProtected(v.Name) {
			s.values.hidden = append(s.values.hidden, v.Name)
			continue
		}
		if reason, ok := lost[v.Name]; ok {
			v = Variable{Name: v.Name, Type: v.Type, Refused: "variable '" + v.Name + "' was lost: " + reason}
			s.values.lost[v.Name] = v
		}
		if err := r.define(v); err != nil {
			return fmt.Errorf("jsvm: restore variable %s: %w", v.Name, err)
		}
	}
	for len(r.queue) > 0 && r.err == nil {
		next := r.queue[0]
		r.queue = r.queue[1:]
		if err := next(); err != nil {
			return fmt.Errorf("jsvm: restore workspace: %w", err)
		}
	}
	return r.err
}

func (r *restorer) define(v Variable) error {
	global := r.s.vm.GlobalObject()
	if v.Refused != "" {
		return r.poison(v)
	}
	constant := len(v.Value) > 0 && v.Value[0] == constMark
	value := r.value(r.rows[v.Name])
	if r.err != nil {
		return r.err
	}
	attrs := "ec"
	if !constant {
		attrs = defaultAttrs
	}
	if key := globalKey(v.Name); !r.js.define(global, key, value, attrs) {
		return fmt.Errorf("jsvm: define %s", key)
	}
	return nil
}

// poison makes a variable that was not kept say so when it is read; it may be assigned anew.
func (r *restorer) poison(v Variable) error {
	s, key := r.s, globalKey(v.Name)
	getter := s.vm.ToValue(func(goja.FunctionCall) goja.Value {
		panic(s.makeError("ReferenceError", v.Refused, ""))
	}).(*goja.Object)
	setter := s.vm.ToValue(func(call goja.FunctionCall) goja.Value {
		s.js.define(s.vm.GlobalObject(), key, call.Argument(0), defaultAttrs)
		return goja.Undefined()
	})
	s.values.poison[v.Name] = getter
	d := s.vm.NewObject()
	for name, part := range map[string]goja.Value{"get": getter, "set": setter, "enumerable": s.vm.ToValue(true), "configurable": s.vm.ToValue(true)} {
		if err := d.DefineDataProperty(name, part, goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_TRUE); err != nil {
			return err
		}
	}
	_, err := r.js.call(callDefine, s.vm.GlobalObject(), key, d)
	return err
}

// get reads a member of parsed text; what a prototype has does not count.
func (r *restorer) get(o *goja.Object, name string) goja.Value { return r.js.data(o, name) }

// index finds the objects with ids in a row.
func (r *restorer) index(row string, v goja.Value) {
	o, ok := v.(*goja.Object)
	if !ok {
		return
	}
	if id := r.get(o, "$id"); id != nil && isTag(r.first(o)) {
		r.ids[row+"#"+id.String()] = o
	}
	for _, key := range o.Keys() {
		r.index(row, r.get(o, key))
	}
}

func (r *restorer) first(o *goja.Object) string {
	if o.ClassName() == "Array" {
		return ""
	}
	if keys := o.Keys(); len(keys) > 0 {
		return keys[0]
	}
	return ""
}

func isTag(key string) bool { return strings.HasPrefix(key, "$") }

// value is what a piece of a row stands for. Objects that are still plain JSON become the value
// themselves.
func (r *restorer) value(v goja.Value) goja.Value {
	o, ok := v.(*goja.Object)
	if !ok {
		return v
	}
	if made, ok := r.made[o]; ok {
		return made
	}
	tag := r.first(o)
	if !isTag(tag) {
		r.made[o] = o
		r.queue = append(r.queue, func() error { return r.fillPlain(o, o.Keys()) })
		return o
	}
	if r.open[o] {
		return r.broken("it refers to itself where it cannot")
	}
	r.open[o] = true
	defer delete(r.open, o)
	if tag == "$ref" {
		return r.reference(o)
	}
	made, fill, err := r.make(o, tag)
	if err == nil && made == nil {
		err = fmt.Errorf("jsvm: %s in a workspace row is nothing", tag)
	}
	if err != nil {
		return r.fail(err)
	}
	r.made[o] = made
	if fill != nil {
		r.queue = append(r.queue, fill)
	}
	return made
}

// fillPlain replaces the tagged members of a plain object or array in place.
func (r *restorer) fillPlain(o *goja.Object, keys []string) error {
	for _, key := range keys {
		child := r.get(o, key)
		if _, isObject := child.(*goja.Object); !isObject {
			continue
		}
		if v := r.value(child); v != child {
			if err := o.DefineDataProperty(key, v, goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_TRUE); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *restorer) reference(o *goja.Object) goja.Value {
	at := r.items(r.get(o, "$ref"))
	if len(at) < 1 || len(at) > 2 {
		return r.broken("a reference has %d parts", len(at))
	}
	name := at[0].String()
	if len(at) == 2 {
		if target := r.ids[name+"#"+at[1].String()]; target != nil {
			return r.value(target)
		}
		return r.broken("it refers to object %s of variable %s, which is missing", at[1], name)
	}
	target, ok := r.rows[name]
	if !ok {
		return r.broken("it refers to variable %s, which is missing", name)
	}
	return r.value(target)
}

// make builds a tagged value; fill completes it once everything has been made.
func (r *restorer) make(o *goja.Object, tag string) (v goja.Value, fill func() error, err error) {
	payload := r.get(o, tag)
	vm, js := r.s.vm, r.js
	switch tag {
	case "$undefined":
		return goja.Undefined(), nil, nil
	case "$number":
		f, _ := strconv.ParseFloat(strings.Replace(payload.String(), "Infinity", "Inf", 1), 64)
		return vm.ToValue(f), nil, nil
	case "$units":
		list := r.items(payload)
		units := make([]uint16, len(list))
		for i, unit := range list {
			units[i] = uint16(unit.ToInteger())
		}
		return goja.StringFromUTF16(units), nil, nil
	case "$bigint":
		ctor, _ := goja.AssertFunction(r.s.constructor("BigInt"))
		v, err = ctor(goja.Undefined(), payload)
		return v, nil, err
	case "$symbolFor":
		return js.must(callSymbolFor, payload), nil, nil
	case "$symbol":
		symbols, _ := r.builtin("Symbol").(*goja.Object)
		return js.data(symbols, payload.String()), nil, nil
	case "$native":
		if len(r.items(payload)) == 0 {
			return goja.Undefined(), nil, r.err
		}
		v, err = r.native(payload.ToObject(vm))
		return v, nil, err
	case "$prototypeOf":
		f, ok := r.value(payload).(*goja.Object)
		if !ok || js.kind(f) != "Function" {
			return nil, nil, fmt.Errorf("jsvm: prototype of what is no function")
		}
		return js.data(f, "prototype"), nil, nil
	}
	made, err := r.shell(o, tag, payload)
	if err != nil {
		return nil, nil, err
	}
	if err := r.inherit(o, made); err != nil {
		return nil, nil, err
	}
	return made, func() error { return r.fill(o, tag, made) }, nil
}

func (r *restorer) native(path *goja.Object) (goja.Value, error) {
	n := r.js.length(path)
	name := r.get(path, "0").String()
	if name == "%" {
		list := r.s.part("hidden")
		if which := r.get(path, "1"); which != nil && len(which.String()) == 1 {
			if v := r.get(list, strconv.Itoa(int(which.String()[0]-'a'))); v != nil {
				return v, nil
			}
		}
		return nil, fmt.Errorf("jsvm: unknown built-in in a workspace row")
	}
	v := r.builtin(name)
	for i := 1; i < n; i++ {
		o, ok := v.(*goja.Object)
		if !ok {
			break
		}
		v = r.js.data(o, r.get(path, strconv.Itoa(i)).String())
	}
	if v == nil {
		// A tool that was revoked since: reading it says so.
		return nil, fmt.Errorf("jsvm: built-in %s is gone", name)
	}
	return v, nil
}

// builtin is a global of that name. Nothing has run yet that could have replaced it, but a variable of that
// name may have been restored.
func (r *restorer) builtin(name string) goja.Value {
	v, ok := r.builtins[name]
	if !ok {
		v = r.s.builtin(r.s.builtinNames(), name)
		r.builtins[name] = v
	}
	return v
}

// shell makes the empty object with the right internal slots.
func (r *restorer) shell(o *goja.Object, tag string, payload goja.Value) (*goja.Object, error) {
	vm, js, constructor := r.s.vm, r.js, r.s.constructor
	switch tag {
	case "$object":
		return vm.NewObject(), nil
	case "$array", "$sparse":
		return vm.NewArray(), nil
	case "$map":
		return vm.New(constructor("Map"))
	case "$set":
		return vm.New(constructor("Set"))
	case "$date":
		if goja.IsNull(payload) {
			payload = goja.NaN()
		}
		return vm.New(constructor("Date"), payload)
	case "$regexp":
		parts := r.parts(payload, 2)
		return vm.New(constructor("RegExp"), parts...)
	case "$error":
		ctor := constructor("Error")
		if name := payload.String(); strings.HasSuffix(name, "Error") {
			if c, ok := r.builtin(name).(*goja.Object); ok {
				ctor = c
			}
		}
		args := []goja.Value{}
		if payload.String() == "AggregateError" {
			args = append(args, vm.NewArray())
		}
		made, err := vm.New(ctor, args...)
		if err != nil {
			return nil, err
		}
		// What a new error has is kept only where it is among the properties, in their order. It goes before
		// the error gets a prototype whose getters goja would ask for the stack's first line.
		for _, key := range js.keys(made) {
			if err := made.Delete(key.String()); err != nil {
				return nil, err
			}
		}
		return made, nil
	case "$buffer":
		b, err := base64.StdEncoding.DecodeString(payload.String())
		return vm.ToValue(vm.NewArrayBuffer(b)).ToObject(vm), err
	case "$view":
		parts := r.parts(payload, 4)
		name := parts[0].String()
		ctor, ok := r.builtin(name).(*goja.Object)
		buffer := r.value(parts[1])
		if !ok || !slices.Contains(viewKinds, name) || js.kind(buffer) != "ArrayBuffer" {
			return nil, fmt.Errorf("jsvm: unknown view in a workspace row")
		}
		return vm.New(ctor, buffer, parts[2], parts[3])
	case "$function":
		return r.function(o, payload.String())
	case "$classSource":
		return r.class(o, payload.String())
	}
	return nil, fmt.Errorf("jsvm: unknown tag %s in a workspace row", tag)
}

// inherit sets the prototype.
func (r *restorer) inherit(o, made *goja.Object) error {
	if f := r.get(o, "$class"); f != nil {
		class, ok := r.value(f).(*goja.Object)
		if !ok {
			return fmt.Errorf("jsvm: class of an instance is missing")
		}
		proto, _ := r.js.data(class, "prototype").(*goja.Object)
		return made.SetPrototype(proto)
	}
	if p := r.get(o, "$proto"); p != nil {
		if goja.IsNull(p) {
			return made.SetPrototype(nil)
		}
		proto, ok := r.value(p).(*goja.Object)
		if !ok {
			return fmt.Errorf("jsvm: prototype is missing")
		}
		return made.SetPrototype(proto)
	}
	return nil
}
