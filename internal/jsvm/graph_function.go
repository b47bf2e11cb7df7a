package jsvm

import (
	"slices"
	"strings"

	"github.com/dop251/goja"
	"github.com/dop251/goja/ast"
)

// readFunction decides whether a function can be kept by its source.
func (g *graph) readFunction(n *node) {
	o := n.object
	n.source = g.s.sources[g.js.must(callSource, o).String()]
	if name := g.js.data(o, "name"); name != nil && goja.IsString(name) {
		n.name = name.String()
	}
	switch src := n.source; {
	case src == nil:
		n.reason = "is a bound or built-in function; write it as an arrow function at the top level"
	case src.kind == kindMember:
		n.reason = "is a method taken out of its class; keep the class or an instance"
	case src.captures != "":
		n.reason = "is a function that closes over '" + src.captures + "'; make that a top-level variable, or pass it as an argument"
	case src.kind == kindClass:
		n.kind = "class"
		g.readClass(n)
	case src.super:
		n.reason = "is a method that uses super; use a class"
	case computedName(src):
		n.reason = "is a method with a computed name; give it a plain one"
	case !src.remakeable():
		n.reason = "is a function whose text cannot be told from what is around it; write it on lines of its own"
	default:
		g.readPlainFunction(n)
	}
}

// computedName: making the method again would evaluate the name.
func computedName(c *callable) bool {
	if text := strings.TrimLeft(strings.TrimPrefix(c.source, "async"), " *\n\t"); c.kind != kindMethod || !strings.HasPrefix(text, "[") {
		return false
	}
	_, body, err := functionLiteral(c.source, true)
	if err != nil {
		return true
	}
	literal, ok := body.(*ast.ObjectLiteral)
	if !ok {
		return true
	}
	p, ok := literal.Value[0].(*ast.PropertyKeyed)
	return !ok || !wellKnown(p.Key)
}

func (g *graph) readPlainFunction(n *node) {
	o := n.object
	if p := o.Prototype(); p != g.js.functionProto && !isFunctionPrototype(g.names[p]) {
		n.reason = "is a function with a changed prototype chain; use a class"
		return
	}
	if v := g.js.data(o, "length"); v == nil || int(v.ToInteger()) != n.source.length {
		n.reason = "is a function whose length was changed; leave it as it is"
		return
	}
	natural := false
	if p, ok := g.js.data(o, "prototype").(*goja.Object); ok {
		if g.js.kind(p) == "Proxy" {
			n.reason = "is a function whose prototype is a Proxy; use a class"
			return
		}
		natural = g.prototypeOwner(p) == o
		if natural {
			n.patches = g.props(n, p, func(q property) bool { return q.name == "constructor" })
			natural = g.js.must(callIsExtensible, p).ToBoolean()
		} else if len(g.js.keys(p)) == 0 && g.names[p.Prototype()] == "GeneratorPrototype" {
			natural = true // the fresh prototype of a generator function
		}
	}
	props := g.props(n, o, func(p property) bool {
		return p.name == "length" || p.name == "name" && !p.writable || p.name == "prototype" && natural
	})
	n.props = props
	g.extensible(n)
}

// readClass keeps a class by source, its superclass as a value, static data, and later patches.
func (g *graph) readClass(n *node) {
	note, class := g.s.classes[n.object], n.source.class
	proto, _ := g.js.data(n.object, "prototype").(*goja.Object)
	_, static := hasPrivate(class)
	switch {
	case note == nil:
		n.reason = "is a class that is not declared at the top level; declare it there with class Name {…}"
	case !n.source.remakeable():
		n.reason = "is a class whose text cannot be told from what is around it; write it on lines of its own"
	case static:
		n.reason = "is a class with private static members; use plain static fields, or a variable"
	case slices.ContainsFunc(class.Body, computedElement):
		n.reason = "is a class with computed member names; use plain names"
	case proto == nil || g.prototypeOwner(proto) != n.object:
		n.reason = "is a class whose prototype lost its constructor; leave it as it is"
	case !g.superclass(n, proto):
		n.reason = "is a class whose prototype chain was changed; use extends"
	}
	if n.reason != "" {
		return
	}
	n.props = g.patched(n, n.object, note.statics, "length", "prototype", "name")
	n.patches = g.patched(n, proto, note.methods, "constructor")
	g.extensible(n)
	if !g.js.must(callIsExtensible, proto).ToBoolean() {
		n.reason = "is a class with a frozen prototype; leave it open"
	}
}

func computedElement(el ast.ClassElement) bool {
	var key ast.Expression
	switch el := el.(type) {
	case *ast.FieldDefinition:
		if !el.Computed || el.Static {
			return false
		}
		key = el.Key
	case *ast.MethodDefinition:
		if !el.Computed {
			return false
		}
		key = el.Key
	default:
		return false
	}
	return !wellKnown(key)
}

// wellKnown tells computed names that are the same whenever they are computed: [5], ['a b'], [Symbol.iterator].
func wellKnown(key ast.Expression) bool {
	switch k := key.(type) {
	case *ast.StringLiteral, *ast.NumberLiteral:
		return true
	case *ast.DotExpression:
		id, ok := k.Left.(*ast.Identifier)
		return ok && (id.Name == "Symbol" || id.Name == hiddenSymbol)
	}
	return false
}

func (g *graph) superclass(n *node, proto *goja.Object) bool {
	parent := n.object.Prototype()
	if n.source.class.SuperClass == nil {
		return parent == g.js.functionProto && proto.Prototype() == g.js.objectProto
	}
	if parent == nil || parent == g.js.functionProto {
		return false // extends null
	}
	over, _ := g.js.data(parent, "prototype").(*goja.Object)
	n.proto = g.slot(parent)
	return over != nil && over == proto.Prototype()
}

// patched lists own properties other than the functions that the class's source made.
func (g *graph) patched(n *node, o *goja.Object, made map[string]*goja.Object, skip ...string) []edge {
	left := len(made)
	out := g.props(n, o, func(p property) bool {
		f, ok := made[keyID(p.key)]
		if ok {
			left--
			now, isObject := p.value.(*goja.Object)
			if isObject && now == f && !p.enumerable && p.configurable {
				return true
			}
		}
		return slices.Contains(skip, p.name)
	})
	if left > 0 && n.reason == "" {
		n.reason = "is a class that lost a method after it was declared; declare it without"
	}
	return out
}

// isFunctionPrototype tells the prototypes of async and generator functions.
func isFunctionPrototype(name string) bool {
	return name == "AsyncFunctionPrototype" || name == "GeneratorFunctionPrototype"
}

// native names a built-in: the path to it from the global object.
func (g *graph) native(o *goja.Object, kind string) []string {
	w := g.s.values
	if kind != "Function" && g.names[o] == "" && g.js.layout.extensible(o) {
		return nil // what else is built in has been closed
	}
	if kind == "Function" && g.s.sources[g.js.must(callSource, o).String()] != nil {
		return nil
	}
	if w.natives == nil {
		w.natives = g.findNatives()
	}
	return w.natives[o]
}

// findNatives walks the built-ins that the session has made. Properties that scripts could replace count
// only where what they hold still is native code under its own name.
func (g *graph) findNatives() map[*goja.Object][]string {
	s, out := g.s, map[*goja.Object][]string{}
	var queue []*goja.Object
	add := func(v goja.Value, path []string) {
		o, ok := v.(*goja.Object)
		if !ok || out[o] != nil || s.js.kind(o) == "Proxy" {
			return
		}
		out[o] = path
		queue = append(queue, o)
	}
	for _, name := range s.globals() {
		add(s.builtin(g.names, name), []string{name})
	}
	for i, name := range hiddenPrototypes {
		for o, at := range g.names {
			if at == name {
				add(o, []string{"%", string(rune('a' + i))})
			}
		}
	}
	for len(queue) > 0 {
		o := queue[0]
		queue = queue[1:]
		if o == s.vm.GlobalObject() {
			continue
		}
		for _, key := range s.js.keys(o) {
			p, ok := s.js.own(o, key)
			if _, isSymbol := key.(*goja.Symbol); !ok || p.accessor || isSymbol {
				continue
			}
			f, isObject := p.value.(*goja.Object)
			if !isObject || p.writable && (p.name == "constructor" || s.js.data(f, "name") == nil || s.js.data(f, "name").String() != p.name) {
				continue
			}
			add(f, append(slices.Clone(out[o]), p.name))
		}
	}
	return out
}

// hiddenPrototypes are built-ins that no global leads to, in the order in which the prelude gives them.
var hiddenPrototypes = []string{
	"IteratorPrototype", "AsyncFunctionPrototype", "GeneratorFunctionPrototype", "GeneratorPrototype",
	"ArrayIteratorPrototype", "MapIteratorPrototype", "SetIteratorPrototype", "StringIteratorPrototype",
}
