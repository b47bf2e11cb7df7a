package jsvm

import (
	"strconv"
	"unicode/utf8"

	"github.com/dop251/goja"
)

// props reads own properties; accessors cannot be kept.
func (g *graph) props(n *node, o *goja.Object, skip func(property) bool) []edge {
	if list, ok := g.dense(o); ok {
		return list
	}
	var out []edge
	odd := false
	for _, key := range g.js.keys(o) {
		p, ok := g.js.own(o, key)
		if !ok || skip(p) {
			continue
		}
		text, isString := key.(goja.String)
		odd = odd || !isString || !wellFormed(text)
		if sym, isSymbol := key.(*goja.Symbol); isSymbol && g.symbol(sym) == "" {
			n.reason = "has a property under a symbol of its own; use Symbol.for(name) or a string"
			return nil
		}
		if p.accessor {
			n.reason = "has the accessor property '" + p.name + "'; use a method, or a plain value"
			return nil
		}
		out = append(out, edge{key: key, odd: odd, attrs: attrsOf(p), to: g.slot(p.value)})
	}
	return out
}

// dense reads an array that has nothing but elements, as nearly all have.
func (g *graph) dense(o *goja.Object) ([]edge, bool) {
	elements, ok := g.js.layout.elements(o)
	if !ok || g.js.kind(o) != "Array" || !g.js.layout.bare(o) {
		return nil, false
	}
	other := false
	g.js.layout.eachSymbol(o, func(*goja.Symbol, goja.Value) { other = true })
	out := make([]edge, 0, len(elements))
	for i, v := range elements {
		if v == nil {
			continue
		}
		p := g.js.layout.raw(v)
		if other = other || p.accessor; other {
			return nil, false
		}
		attrs := attrsOf(property{writable: p.writable, enumerable: p.enumerable, configurable: p.configurable})
		out = append(out, edge{key: g.js.vm.ToValue(strconv.Itoa(i)), attrs: attrs, to: g.slot(p.value)})
	}
	return out, !other
}

func attrsOf(p property) string {
	i := 0
	if p.writable {
		i += 4
	}
	if p.enumerable {
		i += 2
	}
	if p.configurable {
		i++
	}
	return [...]string{"", "c", "e", "ec", "w", "wc", "we", "wec"}[i]
}

// extensible finds out whether an object is frozen, sealed or just closed.
func (g *graph) extensible(n *node) {
	if g.js.must(callIsExtensible, n.object).ToBoolean() {
		if n.kind == "Array" {
			if p, ok := g.js.ownNamed(n.object, "length"); ok && !p.writable {
				n.reason = "is an array with a read-only length; freeze it, or leave it open"
			}
		}
		return
	}
	n.ext = "frozen"
	for _, key := range g.js.keys(n.object) { // also of those that are not kept, such as a function's name
		switch p, ok := g.js.own(n.object, key); {
		case ok && p.configurable:
			n.ext = "fixed"
			return
		case ok && p.writable:
			n.ext = "sealed"
		}
	}
}

func (g *graph) quoted(v goja.Value) string {
	if text, ok := v.(goja.String); ok {
		if s := text.String(); plainText(s) {
			return `"` + s + `"`
		}
	}
	return g.js.must(callStringify, v).String()
}

// plainText tells whether JSON writes a text as it is.
func plainText(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
