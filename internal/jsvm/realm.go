package jsvm

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/dop251/goja"
	"github.com/dop251/goja/unistring"
)

// A realm is the built-ins of an engine before any session has made some: what goja has, with bounds in front of
// what could end the process, and with what the prelude mends or adds. All of it is made when a script first
// touches it, and most cells touch little: opening a session makes none of what only some cells need.
//
// There are two hooks. A built-in that goja makes property by property gets templates of ours (realm.seen), in
// which a property may first make the family that it belongs to. What goja makes whole, such as Map, belongs to a
// family too (families.go), and every way to it leads through such a property, or through code that only a certain
// literal in a source brings (session.literals): before it is run the family is made.
type realm struct {
	layout  *layout
	prelude *goja.Program
	// natives are goja's own templates with bounds, by the name of the built-in: the prelude takes from them what
	// no script can have replaced. seen are what scripts find.
	natives, seen map[string]*template

	mu      sync.Mutex
	globals map[string]*template // of the global object, with the tools of a session, by their names
}

// templated are the built-ins that goja makes property by property and that the prelude changes or takes from.
var templated = []string{"Object", "Function", "Array", "String", "Number", "BigInt", "Date", "Math"}

const globalName = "globalThis"

func newRealm(l *layout, prelude *goja.Program) (*realm, error) {
	r := &realm{layout: l, prelude: prelude, natives: map[string]*template{}, seen: map[string]*template{}, globals: map[string]*template{}}
	vm := goja.New()
	add := func(name string, o *goja.Object) {
		if t := l.template(o); t != nil {
			r.natives[name] = t.clone()
		}
	}
	add(globalName, vm.GlobalObject())
	for _, name := range templated {
		o := vm.GlobalObject().Get(name).(*goja.Object)
		add(name, o)
		if p, ok := o.Get("prototype").(*goja.Object); ok {
			add(name+"Prototype", p)
		}
	}
	for _, name := range []string{"Object", "ObjectPrototype", "FunctionPrototype", "ArrayPrototype", "StringPrototype", "Number", "NumberPrototype", "BigInt", "BigIntPrototype", "Date", "DatePrototype", "Math"} {
		if r.natives[name] == nil {
			return nil, fmt.Errorf("%w: %s has no template", errLayout, name)
		}
	}
	r.bound()
	for name, t := range r.natives {
		r.seen[name] = t.clone()
	}
	r.mend()
	return r, nil
}

// mend puts the prelude's methods into the templates, and what leads to families.
func (r *realm) mend() {
	methods := func(owner string, part string, inner bool, names ...string) {
		for _, name := range names {
			r.seen[owner].put(name, r.session(func(s *session) goja.Value {
				from := s.part(part)
				if inner {
					from = from.Get(owner).(*goja.Object)
				}
				return r.layout.made(from.Get(name), true)
			}))
		}
	}
	methods("StringPrototype", "textMethods", true, "localeCompare", "isWellFormed", "toWellFormed")
	methods("NumberPrototype", "textMethods", true, "toLocaleString")
	methods("BigIntPrototype", "textMethods", true, "toLocaleString")
	methods("DatePrototype", "textMethods", true, "toLocaleString", "toLocaleDateString", "toLocaleTimeString")
	methods("Object", "objectMethods", false, "groupBy")
	for owner, names := range map[string]map[string][]string{
		"Object":          {"Symbol": {"getOwnPropertySymbols"}},
		"ObjectPrototype": {"Object": {"constructor"}},
		"ArrayPrototype":  {"Array": {"constructor"}, "Iterator": {"entries", "keys", "values"}},
		"StringPrototype": {"String": {"constructor"}, "RegExp": {"match", "matchAll", "search"}, "Iterator": {"matchAll"}},
		"NumberPrototype": {"Number": {"constructor"}},
		"BigIntPrototype": {"BigInt": {"constructor"}},
		"DatePrototype":   {"Date": {"constructor"}},
	} {
		for family, list := range names {
			for _, name := range list {
				r.lead(r.seen[owner], name, family)
			}
		}
	}
	r.seen["FunctionPrototype"].put("constructor", r.maker("Function"))
	r.mendGlobals(r.seen[globalName])
}

// mendGlobals does so for the global object. New names stand in the order in which they are added.
func (r *realm) mendGlobals(t *template) {
	for _, name := range familyNames {
		if key := unistring.String(name); t.props[key] != nil {
			r.lead(t, name, name)
		}
	}
	r.lead(t, "Proxy", "Symbol") // its traps are given symbols
	for _, name := range viewKinds {
		r.lead(t, name, "Iterator")
	}
	t.put("RegExp", r.session(func(s *session) goja.Value {
		s.need("RegExp")
		return r.layout.made(s.js.regexpConstructor, true)
	}))
	t.put("Function", r.maker("Function"))
	t.put("eval", r.maker("eval"))
	part := func(part string, names ...string) {
		for _, name := range names {
			t.put(name, r.session(func(s *session) goja.Value {
				made := s.part(part).Get(name)
				if slices.Contains(preludeClasses, name) {
					s.values.lazy[name] = made.(*goja.Object)
				}
				return r.layout.made(made, true)
			}))
		}
	}
	part("waits", "first", "all")
	t.put("Iterator", r.session(func(s *session) goja.Value {
		s.need("Iterator")
		return r.layout.made(s.part("iterators").Get("Iterator"), true)
	}))
	part("bytes", "TextEncoder", "TextDecoder")
	part("globals", "btoa", "atob", "queueMicrotask", "structuredClone")
	part("addresses", "URL", "URLSearchParams")
	r.hostGlobals(t)
}

// preludeClasses are classes of the prelude, whose instances hold state that only they see.
var preludeClasses = []string{"TextEncoder", "TextDecoder", "URL", "URLSearchParams"}

// session makes a maker of what a session does.
func (r *realm) session(f func(*session) goja.Value) maker {
	return func(vm *goja.Runtime) goja.Value { return f(r.layout.owned(vm)) }
}

// lead makes a family before a property that leads to it.
func (r *realm) lead(t *template, name, family string) {
	t.around(name, func(make maker) maker {
		return func(vm *goja.Runtime) goja.Value {
			r.layout.owned(vm).need(family)
			return make(vm)
		}
	})
}

// maker is a property that holds what makes functions of text.
func (r *realm) maker(name string) maker {
	return r.session(func(s *session) goja.Value {
		s.need("makers")
		return r.layout.made(s.part("makers").Get(name), true)
	})
}

// global is the template of a global object with these tools.
func (r *realm) global(grants []Grant) (*template, error) {
	var key strings.Builder
	for _, g := range grants {
		key.WriteString(g.Name + "\x00")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := r.globals[key.String()]; t != nil {
		return t, nil
	}
	if len(r.globals) >= mostGlobals {
		clear(r.globals)
	}
	t := r.seen[globalName].clone()
	if err := r.grantGlobals(t, grants); err != nil {
		return nil, err
	}
	r.globals[key.String()] = t
	return t, nil
}

// mostGlobals bounds the sets of tools that are remembered.
const mostGlobals = 64
