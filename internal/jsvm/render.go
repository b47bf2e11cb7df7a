package jsvm

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/dop251/goja"
)

// The renderer shows values to a model: strings raw at the top, collections cut at 25 items. It reads
// descriptors and internal slots only, so no getter, toString or proxy trap runs.
const (
	renderItems  = 25
	renderDepth  = 6
	renderString = 2000 // characters of a nested string
	renderBytes  = 64 << 10
)

// line renders the arguments of print.
func (js *intrinsics) line(args []goja.Value) string {
	parts := make([]string, len(args))
	for i, a := range args {
		parts[i] = js.render(a)
	}
	return strings.Join(parts, " ")
}

func (js *intrinsics) render(v goja.Value) string {
	if goja.IsString(v) {
		return v.String()
	}
	r := &renderer{js: js, path: map[*goja.Object]bool{}}
	r.value(v, 0)
	return r.b.String()
}

type renderer struct {
	js   *intrinsics
	b    strings.Builder
	path map[*goja.Object]bool
}

func (r *renderer) value(v goja.Value, depth int) {
	o, ok := v.(*goja.Object)
	switch {
	case v == nil || goja.IsUndefined(v):
		r.b.WriteString("undefined")
	case ok:
		r.object(o, depth)
	case goja.IsString(v):
		r.b.WriteString(quoteShort(v.String()))
	case goja.IsBigInt(v):
		r.b.WriteString(v.String() + "n")
	case goja.IsNumber(v) && v.ToFloat() == 0 && math.Signbit(v.ToFloat()):
		r.b.WriteString("-0")
	default:
		if sym, ok := v.(*goja.Symbol); ok {
			r.b.WriteString("Symbol(" + sym.String() + ")")
			return
		}
		r.b.WriteString(v.String())
	}
}

func quoteShort(s string) string {
	if runes := []rune(s); len(runes) > renderString {
		return quote(string(runes[:renderString])) + fmt.Sprintf("… (%d characters)", len(runes))
	}
	return quote(s)
}

func quote(s string) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(s) != nil {
		return strconv.Quote(s)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func (r *renderer) object(o *goja.Object, depth int) {
	if r.path[o] {
		r.b.WriteString("[Circular]")
		return
	}
	kind := r.js.kind(o)
	if r.simple(o, kind) {
		return
	}
	if depth >= renderDepth || r.b.Len() > renderBytes {
		r.b.WriteString("[" + kind + "]")
		return
	}
	r.path[o] = true
	defer delete(r.path, o)
	switch kind {
	case "Array":
		r.list(o, r.js.length(o), "", depth)
	case "Map":
		r.pairs(r.js.entries(callMapEach, o), "Map", true, depth)
	case "Set":
		r.pairs(r.js.entries(callSetEach, o), "Set", false, depth)
	case "Error":
		r.err(o, depth)
	default:
		if v, ok := r.js.layout.view(o); ok && v.constructor != nil {
			r.list(o, v.length, kind+" ", depth)
			return
		}
		r.properties(o, r.prefix(o, kind), nil, depth)
	}
}

// simple renders objects that have no parts to show.
func (r *renderer) simple(o *goja.Object, kind string) bool {
	switch kind {
	case "Proxy":
		r.b.WriteString("[Proxy]")
	case "Function":
		r.function(o)
	case "Date":
		ms := r.js.must(callTime, o).ToFloat()
		if math.IsNaN(ms) {
			r.b.WriteString("Invalid Date")
			return true
		}
		r.b.WriteString(time.UnixMilli(int64(ms)).UTC().Format("2006-01-02T15:04:05.000Z"))
	case "RegExp":
		source, flags := r.js.regexp(o)
		r.b.WriteString("/" + source + "/" + flags)
	case "Promise":
		p, _ := o.Export().(*goja.Promise)
		state := "pending"
		if p != nil && p.State() == goja.PromiseStateFulfilled {
			state = "fulfilled"
		} else if p != nil && p.State() == goja.PromiseStateRejected {
			state = "rejected"
		}
		r.b.WriteString("[Promise " + state + ": await it to get its value]")
	case "ArrayBuffer":
		b, _ := o.Export().(goja.ArrayBuffer)
		fmt.Fprintf(&r.b, "ArrayBuffer(%d bytes)", len(b.Bytes()))
	case "Number", "String", "Boolean", "BigInt", "Symbol", "WeakMap", "WeakSet", "Generator", "DataView":
		r.b.WriteString("[" + kind + "]")
	default:
		return false
	}
	return true
}

func (r *renderer) function(o *goja.Object) {
	source := r.js.must(callSource, o).String()
	name := ""
	if v := r.js.data(o, "name"); v != nil && goja.IsString(v) {
		name = v.String()
	}
	label := "Function"
	if strings.HasPrefix(source, "class") {
		label = "class"
	}
	if name == "" {
		name = "(anonymous)"
	}
	r.b.WriteString("[" + label + " " + name + "]")
}

func (r *renderer) list(o *goja.Object, n int, prefix string, depth int) {
	r.b.WriteString(prefix + "[")
	for i := range min(n, renderItems) {
		if i > 0 {
			r.b.WriteString(", ")
		}
		p, ok := r.js.ownNamed(o, strconv.Itoa(i))
		switch {
		case !ok:
			r.b.WriteString("<empty>")
		case p.accessor:
			r.b.WriteString("[Getter]")
		default:
			r.value(p.value, depth+1)
		}
	}
	r.more(n, ", ")
	r.b.WriteString("]")
}

func (r *renderer) more(n int, separator string) {
	if n > renderItems {
		fmt.Fprintf(&r.b, "%s… (%d items total)", separator, n)
	}
}

func (r *renderer) pairs(list [][2]goja.Value, name string, keyed bool, depth int) {
	fmt.Fprintf(&r.b, "%s(%d) {", name, len(list))
	for i, pair := range list[:min(len(list), renderItems)] {
		if i > 0 {
			r.b.WriteString(", ")
		}
		r.value(pair[0], depth+1)
		if keyed {
			r.b.WriteString(" => ")
			r.value(pair[1], depth+1)
		}
	}
	r.more(len(list), ", ")
	r.b.WriteString("}")
}

// prefix names the class of an instance.
func (r *renderer) prefix(o *goja.Object, kind string) string {
	proto := o.Prototype()
	if proto == nil {
		return "[Object: null prototype] "
	}
	if proto == r.js.objectProto || r.js.kind(proto) == "Proxy" {
		return ""
	}
	if c, ok := r.js.data(proto, "constructor").(*goja.Object); ok && r.js.kind(c) == "Function" {
		if name := r.js.data(c, "name"); name != nil && goja.IsString(name) && name.String() != "" {
			return name.String() + " "
		}
	}
	if kind != "Object" {
		return kind + " "
	}
	return ""
}

func (r *renderer) properties(o *goja.Object, prefix string, skip map[string]bool, depth int) {
	r.b.WriteString(prefix + "{")
	n := 0
	for _, key := range r.js.keys(o) {
		p, ok := r.js.own(o, key)
		if !ok || !p.enumerable || skip[p.name] {
			continue
		}
		if n++; n > renderItems {
			continue
		}
		if n > 1 {
			r.b.WriteString(", ")
		}
		r.b.WriteString(keyText(p) + ": ")
		if p.accessor {
			r.b.WriteString("[Getter]")
		} else {
			r.value(p.value, depth+1)
		}
	}
	r.more(n, ", ")
	r.b.WriteString("}")
}

var plainKey = regexp.MustCompile(`^[\p{L}_$][\p{L}\p{N}_$]*$`)

func keyText(p property) string {
	if sym, ok := p.key.(*goja.Symbol); ok {
		return "[Symbol(" + sym.String() + ")]"
	}
	if plainKey.MatchString(p.name) {
		return p.name
	}
	return quote(p.name)
}

// err renders an error as name, message and position, then its own properties.
func (r *renderer) err(o *goja.Object, depth int) {
	e := r.js.errorData(o)
	r.b.WriteString(e.Error())
	if at := firstPosition(e.Stack); at != "" && depth == 0 {
		r.b.WriteString(" (" + at + ")")
	}
	skip := map[string]bool{"name": true, "message": true, "stack": true, "cause": true}
	for _, key := range r.js.keys(o) {
		if p, ok := r.js.own(o, key); ok && p.enumerable && !skip[p.name] {
			r.properties(o, " ", skip, depth)
			break
		}
	}
	if cause := r.js.data(o, "cause"); cause != nil {
		r.b.WriteString(" [cause: ")
		r.value(cause, depth+1)
		r.b.WriteString("]")
	}
}
