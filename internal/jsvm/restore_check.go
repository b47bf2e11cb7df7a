package jsvm

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/dop251/goja"
)

// reject finds the rows that cannot be restored although they could be written: they hold a tool that has
// been revoked since, or refer to a row that does. They are refused instead of failing the session, and for
// good: the other rows are numbered anew when they change, so what refers to them cannot wait.
func (r *restorer) reject(variables []Variable) map[string]string {
	why := map[string]string{}
	for _, v := range variables {
		if root, ok := r.rows[v.Name]; ok && !r.plain[v.Name] {
			if reason := r.problem(v.Name, root); reason != "" {
				why[v.Name] = reason
			}
		}
	}
	for again := len(why) > 0; again; {
		again = false
		for _, v := range variables {
			if _, known := why[v.Name]; known || r.plain[v.Name] || v.Refused != "" {
				continue
			}
			for _, other := range r.refers(r.rows[v.Name]) {
				cause, bad := why[other]
				if !bad {
					continue
				}
				if first, _, chained := strings.Cut(cause, "; it shares"); chained {
					cause = first
				}
				why[v.Name] = fmt.Sprintf("%s; it shares that with variable '%s'", cause, other)
				again = true
				break
			}
		}
	}
	return why
}

// problem says what a row holds that is not there any more.
func (r *restorer) problem(row string, v goja.Value) (reason string) {
	r.eachTagged(v, func(tag string, o *goja.Object) {
		if tag == "$native" && reason == "" {
			path := r.get(o, tag).ToObject(r.s.vm)
			if found, err := r.native(path); err != nil || found == nil {
				name := r.get(path, "0").String()
				reason = fmt.Sprintf("it holds the tool '%s', which is not granted any more; call tools() for those that are", name)
			}
		}
	})
	return reason
}

// refers lists the other rows that a row refers to.
func (r *restorer) refers(v goja.Value) []string {
	var out []string
	r.eachTagged(v, func(tag string, o *goja.Object) {
		if at, ok := r.get(o, tag).(*goja.Object); ok && tag == "$ref" {
			out = append(out, r.get(at, "0").String())
		}
	})
	return out
}

// eachTagged visits the tagged objects in the text of a row.
func (r *restorer) eachTagged(v goja.Value, f func(tag string, o *goja.Object)) {
	o, ok := v.(*goja.Object)
	if !ok {
		return
	}
	if o.ClassName() == "Array" {
		for i := range r.js.length(o) {
			r.eachTagged(r.get(o, strconv.Itoa(i)), f)
		}
		return
	}
	keys := o.Keys()
	if len(keys) > 0 && isTag(keys[0]) {
		f(keys[0], o)
		if keys[0] == "$native" || keys[0] == "$ref" {
			return
		}
	}
	for _, key := range keys {
		r.eachTagged(r.get(o, key), f)
	}
}

// fail keeps the first reason why the workspace cannot be restored.
func (r *restorer) fail(err error) goja.Value {
	if r.err == nil {
		r.err = err
	}
	return goja.Undefined()
}

func (r *restorer) broken(format string, args ...any) goja.Value {
	return r.fail(fmt.Errorf("jsvm: a workspace row is broken: "+format, args...)) //nolint:err113 // for people
}

// items are the members of a list in a row, whatever a broken row has in its place.
func (r *restorer) items(v goja.Value) []goja.Value {
	list, ok := v.(*goja.Object)
	if !ok || list.ClassName() != "Array" {
		r.broken("there should be a list")
		return nil
	}
	out := make([]goja.Value, r.js.length(list))
	for i := range out {
		out[i] = r.get(list, strconv.Itoa(i))
	}
	return out
}

// parts are items of a list that has exactly n.
func (r *restorer) parts(v goja.Value, n int) []goja.Value {
	out := r.items(v)
	if len(out) != n {
		r.broken("there should be a list of %d, and it has %d", n, len(out))
		return slices.Repeat([]goja.Value{goja.Undefined()}, n)
	}
	return out
}

var viewKinds = []string{
	"DataView", "Int8Array", "Uint8Array", "Uint8ClampedArray", "Int16Array", "Uint16Array", "Int32Array", "Uint32Array",
	"Float32Array", "Float64Array", "BigInt64Array", "BigUint64Array",
}
