package jsvm

import (
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/dop251/goja"
)

// inlineDepth bounds the nesting of a row, because Postgres parses json by recursion.
const inlineDepth = 64

// emitter writes rows. Which row an object belongs to depends only on names and on the graph, so a row
// changes only when something about it does.
type emitter struct {
	g       *graph
	owners  map[*node]string // objects that are the whole value of a variable
	uses    map[*node]int
	placed  map[*node]location
	name    string
	ids     int
	tagged  bool
	pending []*node
}

type location struct {
	row string
	id  int
}

func newEmitter(g *graph, vars []*variable) *emitter {
	e := &emitter{g: g, owners: map[*node]string{}, uses: map[*node]int{}, placed: map[*node]location{}}
	var queue []*node
	count := func(_ string, to slot) {
		if to.node != nil {
			if e.uses[to.node]++; e.uses[to.node] == 1 {
				queue = append(queue, to.node)
			}
		}
	}
	for _, v := range vars {
		n := v.root.node
		if n == nil || v.reason != "" || v.poisoned {
			continue
		}
		// Functions and classes belong to the variable of their own name.
		if _, taken := e.owners[n]; !taken || v.name == n.name {
			e.owners[n] = v.name
		}
		count("", v.root)
	}
	for len(queue) > 0 {
		n := queue[0]
		queue = queue[1:]
		n.each(count)
	}
	return e
}

// row writes one variable.
func (e *emitter) row(v *variable) []byte {
	e.name, e.ids, e.tagged, e.pending = v.name, 0, false, nil
	var value string
	if n := v.root.node; n != nil && e.owners[n] == v.name {
		value = e.inline(n, 0, 0)
	} else {
		value = e.slot(v.root, 0)
	}
	more := ""
	for len(e.pending) > 0 {
		n := e.pending[0]
		e.pending = e.pending[1:]
		if more != "" {
			more += ","
		}
		more += e.inline(n, e.placed[n].id, 0)
	}
	if e.tagged || strings.HasPrefix(value, `{"$row":`) {
		if !e.tagged {
			value = `{"$object":` + value + "}"
		}
		value = `{"$row":1,"value":` + value
		if more != "" {
			value += `,"more":[` + more + "]"
		}
		value += "}"
	}
	if v.constant {
		value = string(constMark) + value
	}
	return []byte(value)
}

func (e *emitter) tag(text string) string {
	e.tagged = true
	return text
}

func (e *emitter) slot(s slot, depth int) string {
	if s.node == nil {
		return e.primitive(s.value)
	}
	n := s.node
	if owner, ok := e.owners[n]; ok {
		return e.tag(`{"$ref":[` + quote(owner) + "]}")
	}
	if at, ok := e.placed[n]; ok {
		return e.tag(fmt.Sprintf(`{"$ref":[%s,%d]}`, quote(at.row), at.id))
	}
	id := 0
	if e.uses[n] > 1 || depth > inlineDepth {
		e.ids++
		id = e.ids
		e.placed[n] = location{e.name, id}
	}
	if depth > inlineDepth {
		e.pending = append(e.pending, n)
		return e.tag(fmt.Sprintf(`{"$ref":[%s,%d]}`, quote(e.name), id))
	}
	return e.inline(n, id, depth)
}

func (e *emitter) primitive(v goja.Value) string {
	switch {
	case v == nil || goja.IsUndefined(v):
		return e.tag(`{"$undefined":1}`)
	case goja.IsBigInt(v):
		return e.tag(`{"$bigint":"` + v.String() + `"}`)
	case goja.IsNumber(v):
		f := v.ToFloat()
		switch {
		case f == 0 && math.Signbit(f):
			return "-0"
		case math.IsNaN(f) || math.IsInf(f, 0):
			return e.tag(`{"$number":"` + v.String() + `"}`)
		}
		return v.String()
	}
	if sym, ok := v.(*goja.Symbol); ok {
		return e.tag(e.g.symbol(sym))
	}
	text := e.g.quoted(v)
	if str, ok := v.(goja.String); ok && !wellFormed(str) {
		// Lone surrogates: JSON could escape them, but parsers replace them.
		return e.tag(`{"$units":[` + e.list(str.Length(), func(i int) string { return strconv.Itoa(int(str.CharAt(i))) }) + "]}")
	}
	return text
}

// inline writes a node where it is. Only plain objects and arrays that nobody shares need no tag.
func (e *emitter) inline(n *node, id, depth int) string {
	main, rest := e.main(n, depth), e.rest(n, id, depth)
	if rest == "" {
		switch {
		case n.kind == "Object" && !strings.HasPrefix(main, `{"$`):
			return main
		case n.kind == "Array" && strings.HasPrefix(main, "["):
			return main
		}
	}
	switch {
	case n.kind == "Object":
		main = `"$object":` + main
	case n.kind == "Array" && strings.HasPrefix(main, "["):
		main = `"$array":` + main
	}
	return e.tag("{" + main + rest + "}")
}

// main writes what makes the object: {…}, […] or a tag and its payload.
func (e *emitter) main(n *node, depth int) string {
	switch n.kind {
	case "Object":
		return e.object(n.props, depth)
	case "Array":
		return e.array(n, depth)
	case "native":
		return `"$native":` + quoteList(n.native)
	case "prototype":
		return `"$prototypeOf":` + e.slot(slot{node: n.class}, depth+1)
	case "Map":
		return `"$map":[` + e.list(len(n.entries), func(i int) string {
			return "[" + e.slot(n.entries[i][0], depth+2) + "," + e.slot(n.entries[i][1], depth+2) + "]"
		}) + "]"
	case "Set":
		return `"$set":[` + e.list(len(n.entries), func(i int) string { return e.slot(n.entries[i][0], depth+1) }) + "]"
	case "Date":
		if math.IsNaN(n.number.ToFloat()) {
			return `"$date":null`
		}
		return `"$date":` + n.number.String()
	case "RegExp":
		return `"$regexp":[` + e.g.quoted(e.g.js.vm.ToValue(n.text)) + "," + quote(n.flags) + "]"
	case "Error":
		return `"$error":` + quote(n.text)
	case "ArrayBuffer":
		b, _ := n.object.Export().(goja.ArrayBuffer)
		return `"$buffer":"` + base64.StdEncoding.EncodeToString(b.Bytes()) + `"`
	case "Function":
		return e.function(n, depth)
	case "class":
		return e.class(n, depth)
	}
	return `"$view":[` + quote(n.kind) + "," + e.slot(n.entries[0][0], depth+1) + "," + n.entries[0][1].value.String() + "," + n.number.String() + "]"
}

func quoteList(list []string) string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = quote(s)
	}
	return "[" + strings.Join(out, ",") + "]"
}

func (e *emitter) list(n int, item func(int) string) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(item(i))
	}
	return b.String()
}

// object writes properties with keys that JSON can have.
func (e *emitter) object(props []edge, depth int) string {
	var b strings.Builder
	b.WriteByte('{')
	for _, p := range props {
		if p.odd {
			continue
		}
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		b.WriteString(e.g.quoted(p.key))
		b.WriteByte(':')
		b.WriteString(e.slot(p.to, depth+1))
	}
	b.WriteByte('}')
	return b.String()
}

// array writes elements; other properties of an array are written by rest.
func (e *emitter) array(n *node, depth int) string {
	count := 0
	for _, p := range n.props {
		if isElement(n, p) {
			count++
		}
	}
	if count < n.length { // holes
		return `"$sparse":` + strconv.Itoa(n.length) + `,"$items":` + e.object(elements(n, true), depth)
	}
	items := elements(n, true)
	return "[" + e.list(len(items), func(i int) string { return e.slot(items[i].to, depth+1) }) + "]"
}

func isElement(n *node, p edge) bool {
	if p.odd {
		return false
	}
	i, err := strconv.Atoi(p.key.String())
	return err == nil && i >= 0 && i < n.length && strconv.Itoa(i) == p.key.String()
}

func elements(n *node, want bool) []edge {
	var out []edge
	for _, p := range n.props {
		if isElement(n, p) == want {
			out = append(out, p)
		}
	}
	return out
}

// rest writes what is not usual about an object.
func (e *emitter) rest(n *node, id, depth int) string {
	var b strings.Builder
	if id != 0 {
		fmt.Fprintf(&b, `,"$id":%d`, id)
	}
	if n.kind == "prototype" || n.kind == "native" {
		return b.String()
	}
	if n.class != nil {
		b.WriteString(`,"$class":` + e.slot(slot{node: n.class}, depth+1))
	}
	if n.hasNull {
		b.WriteString(`,"$proto":null`)
	} else if n.proto.node != nil && n.kind != "class" {
		b.WriteString(`,"$proto":` + e.slot(n.proto, depth+1))
	}
	extra := n.props
	switch n.kind {
	case "Object":
		extra = nil
	case "Array":
		extra = elements(n, false)
	}
	if text := e.object(extra, depth+1); text != "{}" {
		b.WriteString(`,"$props":` + text)
	}
	b.WriteString(e.details(n.props, n.ext, depth))
	return b.String()
}

// details writes other keys, attributes and extensibility.
func (e *emitter) details(props []edge, ext string, depth int) string {
	var keys, attrs []string
	usual := map[string]string{"frozen": "e", "sealed": "we"}[ext]
	if usual == "" {
		usual = defaultAttrs
	}
	for _, p := range props {
		if p.odd {
			keys = append(keys, "["+e.primitive(p.key)+","+e.slot(p.to, depth+2)+","+quote(p.attrs)+"]")
		} else if p.attrs != usual {
			attrs = append(attrs, e.g.quoted(p.key)+":"+quote(p.attrs))
		}
	}
	out := ""
	if len(keys) > 0 {
		out += `,"$keys":[` + strings.Join(keys, ",") + "]"
	}
	if len(attrs) > 0 {
		out += `,"$attrs":{` + strings.Join(attrs, ",") + "}"
	}
	if ext != "" {
		out += `,"$ext":` + quote(ext)
	}
	return out
}

func (e *emitter) function(n *node, depth int) string {
	out := `"$function":` + e.g.quoted(e.g.js.must(callSource, n.object))
	if n.source.kind == kindMethod {
		out += `,"$kind":"method"`
	}
	if n.source.hoisted {
		out += `,"$hoisted":true`
	}
	return out + e.made(n, depth)
}

func (e *emitter) class(n *node, depth int) string {
	out := `"$classSource":` + e.g.quoted(e.g.js.must(callSource, n.object))
	if n.proto.node != nil {
		out += `,"$super":` + e.slot(n.proto, depth+1)
	}
	return out + e.made(n, depth)
}

// made writes the name of a function or class and what was put on its prototype later.
func (e *emitter) made(n *node, depth int) string {
	out := `,"$name":` + e.g.quoted(e.g.js.vm.ToValue(n.name))
	if len(n.patches) > 0 {
		out += `,"$prototype":{"$object":` + e.object(n.patches, depth+2) + e.details(n.patches, "", depth+2) + "}"
	}
	return out
}
