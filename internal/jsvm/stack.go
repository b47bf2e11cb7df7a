package jsvm

import (
	"bytes"
	"unsafe"

	"github.com/dop251/goja"
)

// settleStack writes an error's stack as goja does when it is first read, but without asking for a name and a
// message that code of a cell computes. It fails for a closed error, which takes no stack any more.
func (js *intrinsics) settleStack(o *goja.Object) bool {
	frames, pending := js.layout.pendingStack(o)
	if !pending {
		return true
	}
	name, simple := js.inherited(o, "name", "Error")
	message, simple2 := js.inherited(o, "message", "")
	if !js.must(callIsExtensible, o).ToBoolean() {
		return simple && simple2
	}
	var b bytes.Buffer
	b.WriteString(name)
	if name != "" && message != "" {
		b.WriteString(": ")
	}
	b.WriteString(message + "\n")
	for _, frame := range frames {
		b.WriteString("\tat ")
		frame.Write(&b)
		b.WriteByte('\n')
	}
	js.layout.stackWritten(o)
	return js.define(o, js.vm.ToValue("stack"), js.vm.ToValue(b.String()), "wc")
}

// inherited is the text of a property along the prototype chain. It is not simple when code may run to find
// it; then it is what an error has otherwise.
func (js *intrinsics) inherited(o *goja.Object, key, otherwise string) (text string, simple bool) {
	for p := o; p != nil && js.kind(p) != "Proxy"; p = p.Prototype() {
		found, ok := js.ownNamed(p, key)
		if !ok {
			continue
		}
		_, isObject := found.value.(*goja.Object)
		_, isSymbol := found.value.(*goja.Symbol)
		switch {
		case found.accessor || isObject || isSymbol:
			return otherwise, false
		case goja.IsUndefined(found.value):
			return otherwise, true
		}
		return found.value.String(), true
	}
	return otherwise, true
}

// pendingStack gives the frames of an error whose stack has not been written yet.
func (l *layout) pendingStack(o *goja.Object) ([]goja.StackFrame, bool) {
	s, at := l.shape(o)
	if s.frames < 0 || s.stacked < 0 || *(*bool)(unsafe.Add(at, s.stacked)) {
		return nil, false
	}
	return *(*[]goja.StackFrame)(unsafe.Add(at, s.frames)), true
}

func (l *layout) stackWritten(o *goja.Object) {
	s, at := l.shape(o)
	*(*bool)(unsafe.Add(at, s.stacked)) = true
}
