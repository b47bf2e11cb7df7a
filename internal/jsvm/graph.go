package jsvm

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/dop251/goja"
)

// graph is the objects that variables reach, read once each and without recursion.
type graph struct {
	s     *session
	js    *intrinsics
	nodes map[*goja.Object]*node
	queue []*node
	// names of the built-ins that the session has made, and those that were looked up.
	names    map[*goja.Object]string
	builtins map[string]goja.Value
}

// slot is a value: a primitive, or a node.
type slot struct {
	value goja.Value
	node  *node
}

// node is one object.
type node struct {
	object *goja.Object
	kind   string // as of intrinsics.kind; or "native", "class", "prototype"
	reason string // why it cannot be kept

	props   []edge
	entries [][2]slot
	length  int
	class   *node // instance of
	proto   slot
	hasNull bool // the prototype is null
	ext     string

	// Functions and classes.
	source  *callable
	name    string
	patches []edge // properties of its prototype beyond those that the source makes

	text   string // dates, buffers, errors: what the constructor takes
	native []string
	flags  string
	number goja.Value
}

// edge is one own property.
type edge struct {
	key   goja.Value
	odd   bool   // no member of a JSON object: a symbol, a text that is no valid Unicode, or what follows one
	attrs string // "wec" by default
	to    slot
}

const defaultAttrs = "wec"

func newGraph(s *session) *graph {
	return &graph{s: s, js: s.js, nodes: map[*goja.Object]*node{}, names: s.builtinNames(), builtins: map[string]goja.Value{}}
}

// builtin is a global of that name, as it was before any code of a cell ran.
func (g *graph) builtin(name string) *goja.Object {
	v, ok := g.builtins[name]
	if !ok {
		v = g.s.builtin(g.names, name)
		g.builtins[name] = v
	}
	o, _ := v.(*goja.Object)
	return o
}

func (g *graph) slot(v goja.Value) slot {
	if sym, ok := v.(*goja.Symbol); ok && g.symbol(sym) == "" {
		return slot{node: &node{kind: "Symbol", reason: "is a symbol of its own; use Symbol.for(name) or a string"}}
	}
	o, ok := v.(*goja.Object)
	if !ok {
		return slot{value: v}
	}
	n := g.nodes[o]
	if n == nil {
		n = &node{object: o}
		g.nodes[o] = n
		g.queue = append(g.queue, n)
	}
	return slot{node: n}
}

// symbol is the tag of a registered or well-known symbol.
func (g *graph) symbol(sym *goja.Symbol) string {
	if key := g.js.must(callKeyFor, sym); !goja.IsUndefined(key) {
		return `{"$symbolFor":` + g.quoted(key) + "}"
	}
	ctor := g.builtin("Symbol")
	if ctor == nil {
		return ""
	}
	for _, key := range g.js.keys(ctor) {
		if v, ok := g.js.data(ctor, key.String()).(*goja.Symbol); ok && v == sym {
			return `{"$symbol":` + quote(key.String()) + "}"
		}
	}
	return ""
}

func (g *graph) readAll() {
	for len(g.queue) > 0 {
		n := g.queue[0]
		g.queue = g.queue[1:]
		g.read(n)
	}
}

// fleeting are kinds of objects that cannot be kept, and what to do instead.
var fleeting = map[string]string{
	"Proxy":           "is a Proxy; keep the plain data behind it",
	"Promise":         "is a promise; await it and keep the result",
	"Generator":       "is a generator; keep an array of what it gives",
	"Iterator":        "is a running iterator; keep an array of what it gives",
	"boxed primitive": "is a boxed primitive; keep the value itself, without Object(…)",
	"Arguments":       "is an arguments object; make it an array: [...arguments]",
}

func (g *graph) read(n *node) {
	o := n.object
	n.kind = g.js.kind(o)
	if n.kind == "Proxy" { // asking it anything else would run its traps
		n.reason = fleeting[n.kind]
		return
	}
	if path := g.native(o, n.kind); path != nil {
		n.kind, n.native = "native", path
		return
	}
	if n.reason = fleeting[n.kind]; n.reason != "" {
		return
	}
	switch n.kind {
	case "Function":
		g.readFunction(n)
		return
	case "Object":
		if f := g.prototypeOwner(o); f != nil {
			n.kind, n.class = "prototype", g.slot(f).node
			return
		}
	case "Array":
		n.length = g.js.length(o)
	case "Map":
		g.entries(n, callMapEach)
	case "Set":
		g.entries(n, callSetEach)
	case "Date":
		n.number = g.js.must(callTime, o)
	case "RegExp":
		n.text, n.flags = g.js.regexp(o)
	case "Error":
		if !g.js.settleStack(o) {
			n.reason = "is a closed error whose name or message is computed; keep its text instead"
			return
		}
	case "ArrayBuffer":
	case "DataView":
		g.view(n)
	default:
		if !strings.HasSuffix(n.kind, "Array") {
			n.reason = "is a " + n.kind + " object; keep the data it gives instead"
			return
		}
		g.view(n)
	}
	g.prototype(n)
	if n.reason == "" {
		n.props = g.props(n, o, func(p property) bool {
			return n.kind == "Array" && p.name == "length" || strings.HasSuffix(n.kind, "Array") && n.kind != "Array" && isIndex(p.name)
		})
		g.extensible(n)
		if n.asyncGenerator() {
			n.reason = "is a running async generator; keep an array of what it gives"
		}
	}
	if n.kind == "Error" {
		g.stack(n)
	}
}

// stack keeps an error's stack without byte-code offsets and always first: goja moves it about.
func (g *graph) stack(n *node) {
	for i, p := range n.props {
		if p.key.String() == "stack" && p.to.node == nil && goja.IsString(p.to.value) {
			p.to.value = g.js.vm.ToValue(cleanStack(p.to.value.String()))
			p.odd = false // it goes before what may be
			n.props = slices.Insert(slices.Delete(n.props, i, i+1), 0, p)
			return
		}
	}
}

func isIndex(name string) bool {
	_, err := strconv.ParseUint(name, 10, 53)
	return err == nil
}

func (g *graph) entries(n *node, each builtinCall) {
	for _, e := range g.js.entries(each, n.object) {
		n.entries = append(n.entries, [2]slot{g.slot(e[0]), g.slot(e[1])})
	}
}

func (g *graph) view(n *node) {
	v, ok := g.js.layout.view(n.object)
	if !ok {
		n.reason = "is a " + n.kind + " object; keep the data it gives instead"
		return
	}
	n.entries = [][2]slot{{g.slot(v.buffer), {value: g.js.vm.ToValue(v.offset)}}}
	n.number = g.js.vm.ToValue(v.length)
}

// prototype classifies an object's prototype: the usual one, null, a class's, or another object.
func (g *graph) prototype(n *node) {
	proto := n.object.Prototype()
	if proto == nil {
		n.hasNull = true
		return
	}
	if g.isDefault(n, proto) {
		return
	}
	if g.js.kind(proto) == "Proxy" {
		n.reason = "has a Proxy as its prototype; use a class"
		return
	}
	if f := g.prototypeOwner(proto); f != nil {
		n.class = g.slot(f).node
		if name := g.private(f); name != "" {
			n.reason = "is an instance of class " + name + ", which has private members; use plain fields"
		}
		return
	}
	if what := g.iterator(proto); what != "" && n.kind == "Object" {
		n.reason = "is a " + what + "; keep an array of what it gives"
		return
	}
	if path := g.native(proto, g.js.kind(proto)); path != nil {
		if n.kind == "Error" && len(path) == 2 {
			n.text = path[0]
			return
		}
		if g.s.values.lazy[path[0]] == nil { // a class of JavaScript, whose state is in internal slots that we know
			n.proto = g.slot(proto)
			return
		}
		n.reason = fmt.Sprintf("is a %s object; keep its plain data (such as its text) instead", strings.TrimSuffix(strings.Join(path, "."), ".prototype"))
		return
	}
	n.proto = g.slot(proto)
}

// asyncGenerator recognizes what esbuild makes of one: an object with its three methods.
func (n *node) asyncGenerator() bool {
	if n.kind != "Object" || len(n.props) != 4 {
		return false
	}
	found := 0
	for _, p := range n.props {
		switch text := p.key.String(); {
		case text == "next" || text == "throw" || text == "return" || strings.HasSuffix(text, "Symbol.asyncIterator"):
			found++
		}
	}
	return found == len(n.props)
}

// iterator names the running state that an object with this prototype stands for.
func (g *graph) iterator(proto *goja.Object) string {
	for p := proto; p != nil && g.js.kind(p) != "Proxy"; p = p.Prototype() {
		switch g.names[p] {
		case "GeneratorPrototype":
			return "generator"
		case "IteratorPrototype", "ArrayIteratorPrototype", "MapIteratorPrototype", "SetIteratorPrototype", "StringIteratorPrototype", "RegExpStringIteratorPrototype":
			return "running iterator"
		}
	}
	return ""
}

// private names the first class above an instance that hides state from us.
func (g *graph) private(f *goja.Object) string {
	for ; f != nil && g.js.kind(f) == "Function"; f = f.Prototype() {
		src := g.s.sources[g.js.must(callSource, f).String()]
		if src == nil || src.class == nil {
			continue
		}
		if instance, _ := hasPrivate(src.class); instance {
			return "'" + src.selfName + "'"
		}
	}
	return ""
}

func (g *graph) isDefault(n *node, proto *goja.Object) bool {
	if n.kind == "Object" {
		return proto == g.js.objectProto
	}
	ctor := g.builtin(n.kind)
	if ctor == nil {
		return false
	}
	p, _ := g.js.data(ctor, "prototype").(*goja.Object)
	return p == proto
}

// prototypeOwner is the function whose own, unreplaced prototype o is.
func (g *graph) prototypeOwner(o *goja.Object) *goja.Object {
	p, ok := g.js.ownNamed(o, "constructor")
	if !ok || p.accessor || p.enumerable {
		return nil
	}
	f, ok := p.value.(*goja.Object)
	if !ok || g.js.kind(f) != "Function" || g.s.sources[g.js.must(callSource, f).String()] == nil {
		return nil
	}
	if own, _ := g.js.data(f, "prototype").(*goja.Object); own != o {
		return nil
	}
	if g.s.classes[f] == nil && o.Prototype() != g.js.objectProto {
		return nil
	}
	return f
}
