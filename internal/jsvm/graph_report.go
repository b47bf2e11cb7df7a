package jsvm

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/dop251/goja"
	"github.com/dop251/goja/ast"
)

// refusal finds the nearest thing behind a value that cannot be kept, and says where it is.
func (g *graph) refusal(root slot) string {
	type place struct {
		node *node
		path string
	}
	if root.node == nil {
		return ""
	}
	seen := map[*node]bool{root.node: true}
	queue := []place{{root.node, ""}}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		if at.node.reason != "" {
			if at.path == "" {
				return "it " + at.node.reason
			}
			return "its part " + strings.TrimLeft(at.path, ". ") + " " + at.node.reason
		}
		at.node.each(func(label string, to slot) {
			if to.node != nil && !seen[to.node] {
				seen[to.node] = true
				path := at.path + label
				if len(path) > 200 {
					path = at.path
				}
				queue = append(queue, place{to.node, path})
			}
		})
	}
	return ""
}

// each visits what a node refers to.
func (n *node) each(f func(label string, to slot)) {
	if n.class != nil {
		f(" class", slot{node: n.class})
	}
	f(" prototype", n.proto)
	for _, list := range [][]edge{n.props, n.patches} {
		for _, e := range list {
			f(pathTo(e.key), e.to)
		}
	}
	for i, e := range n.entries {
		f(fmt.Sprintf(" key %d", i+1), e[0])
		if key := e[0].value; n.kind == "Map" && key != nil && (goja.IsString(key) || goja.IsNumber(key)) {
			f(".get("+shown(key)+")", e[1])
		} else {
			f(fmt.Sprintf(" value %d", i+1), e[1])
		}
	}
}

// pathTo writes how code would reach a property.
func pathTo(key goja.Value) string {
	if sym, ok := key.(*goja.Symbol); ok {
		return "[" + sym.String() + "]"
	}
	text := key.String()
	switch {
	case isIndex(text):
		return "[" + text + "]"
	case identifier.MatchString(text):
		return "." + text
	}
	return "[" + quote(text) + "]"
}

var identifier = regexp.MustCompile(`^[\pL_$][\pL\pN_$]*$`)

func shown(key goja.Value) string {
	if goja.IsString(key) {
		return quote(key.String())
	}
	return key.String()
}

// typeOf describes a value for people.
func (g *graph) typeOf(v slot) string {
	if v.node == nil {
		switch {
		case v.value == nil || goja.IsUndefined(v.value):
			return "undefined"
		case goja.IsNull(v.value):
			return "null"
		case goja.IsString(v.value):
			return "string"
		case goja.IsBigInt(v.value):
			return "bigint"
		case goja.IsNumber(v.value):
			return "number"
		}
		if _, ok := v.value.(*goja.Symbol); ok {
			return "symbol"
		}
		return "boolean"
	}
	n := v.node
	switch {
	case n.kind == "class":
		return "class " + n.name
	case n.kind == "Function":
		return "function"
	case n.class != nil && n.class.name != "":
		return n.class.name
	case n.kind == "Array":
		return fmt.Sprintf("Array(%d)", n.length)
	case n.kind == "Map" || n.kind == "Set":
		return fmt.Sprintf("%s(%d)", n.kind, len(n.entries))
	case n.kind == "native":
		return strings.Join(n.native, ".")
	case n.kind == "Error" && n.text != "":
		return n.text
	}
	return n.kind
}

// hasPrivate tells classes whose instances hold state that only their methods can see.
func hasPrivate(c *ast.ClassLiteral) (instance, static bool) {
	for _, el := range c.Body {
		var key ast.Expression
		var isStatic bool
		switch el := el.(type) {
		case *ast.FieldDefinition:
			key, isStatic = el.Key, el.Static
		case *ast.MethodDefinition:
			key, isStatic = el.Key, el.Static
		}
		if _, ok := key.(*ast.PrivateIdentifier); ok {
			instance, static = instance || !isStatic, static || isStatic
		}
	}
	return instance, static
}
