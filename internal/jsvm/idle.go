package jsvm

import (
	"fmt"
	"reflect"
	"unsafe"

	"github.com/dop251/goja"
)

// idleFields are where goja keeps its operand stack's height and its call stack.
type idleFields struct{ vm, height, calls uintptr }

func (l *layout) findIdle() error {
	vm, ok := reflect.TypeFor[goja.Runtime]().FieldByName("vm")
	if !ok || vm.Type.Kind() != reflect.Pointer {
		return fmt.Errorf("%w: no vm", errLayout)
	}
	height, ok := vm.Type.Elem().FieldByName("sp")
	calls, ok2 := vm.Type.Elem().FieldByName("callStack")
	if !ok || !ok2 || height.Type.Kind() != reflect.Int || calls.Type.Kind() != reflect.Slice {
		return fmt.Errorf("%w: no stacks", errLayout)
	}
	l.stacks = idleFields{vm.Offset, height.Offset, calls.Offset}
	return nil
}

// idle empties the operand stack of a VM in which nothing runs. goja leaves values on it when a generator that
// was asked to return throws out of a finally block after another yield, and after an interrupt; the next call
// then fails in Go, far from the cause.
func (l *layout) idle(vm *goja.Runtime) {
	at := *(*unsafe.Pointer)(unsafe.Add(unsafe.Pointer(vm), l.stacks.vm))
	if len(*(*[]struct{})(unsafe.Add(at, l.stacks.calls))) == 0 {
		*(*int)(unsafe.Add(at, l.stacks.height)) = 0
	}
}
