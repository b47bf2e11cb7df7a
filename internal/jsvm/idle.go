package jsvm

import (
	"fmt"
	"reflect"
	"unsafe"

	"github.com/dop251/goja"
)

// idleFields are where goja keeps the height of its operand stack, and its other stacks.
type idleFields struct {
	vm, height, calls, jobs uintptr
	others                  []uintptr
}

func (l *layout) findIdle() error {
	vm, ok := reflect.TypeFor[goja.Runtime]().FieldByName("vm")
	if !ok || vm.Type.Kind() != reflect.Pointer {
		return fmt.Errorf("%w: no vm", errLayout)
	}
	queue, ok := reflect.TypeFor[goja.Runtime]().FieldByName("jobQueue")
	if !ok || queue.Type != reflect.TypeFor[[]func()]() {
		return fmt.Errorf("%w: no job queue", errLayout)
	}
	l.stacks.vm, l.stacks.jobs = vm.Offset, queue.Offset
	height, ok := vm.Type.Elem().FieldByName("sp")
	if !ok || height.Type.Kind() != reflect.Int {
		return fmt.Errorf("%w: no sp", errLayout)
	}
	l.stacks.height = height.Offset
	for _, name := range []string{"callStack", "tryStack", "iterStack", "refStack"} {
		f, ok := vm.Type.Elem().FieldByName(name)
		if !ok || f.Type.Kind() != reflect.Slice {
			return fmt.Errorf("%w: no %s", errLayout, name)
		}
		l.stacks.others = append(l.stacks.others, f.Offset)
	}
	l.stacks.calls, l.stacks.others = l.stacks.others[0], l.stacks.others[1:]
	return nil
}

// idle empties the stacks of a VM in which nothing runs, and says whether it had to. goja leaves them uneven
// when a generator that was asked to return throws out of a finally block after another yield: then it runs no
// microtasks any more, and the next call fails in Go, far from the cause. It must be called from outside of
// the VM only.
func (l *layout) idle(vm *goja.Runtime) (uneven bool) {
	at := *(*unsafe.Pointer)(unsafe.Add(unsafe.Pointer(vm), l.stacks.vm))
	calls := (*[]struct{})(unsafe.Add(at, l.stacks.calls)) // of elements of any size: only the length is changed
	uneven = len(*calls) > 0
	*calls = (*calls)[:0]
	*(*int)(unsafe.Add(at, l.stacks.height)) = 0
	for _, other := range l.stacks.others {
		list := (*[]struct{})(unsafe.Add(at, other))
		*list = (*list)[:0]
	}
	return uneven
}

// forget drops the microtasks that are queued: no code of a cell runs after exit.
func (l *layout) forget(vm *goja.Runtime) {
	queue := (*[]func())(unsafe.Add(unsafe.Pointer(vm), l.stacks.jobs))
	*queue = nil
}

// drained runs f from outside of the VM, and all microtasks after it.
func (s *session) drained(f func() error) error {
	s.layout.idle(s.vm)
	err := f()
	if c := s.cell; c.exit != nil || c.fault != nil || c.diverged != nil {
		s.layout.forget(s.vm)
	}
	for err == nil && s.layout.idle(s.vm) {
		_, err = s.js.call(callIsExtensible, s.vm.GlobalObject()) // any call ends with the microtasks
	}
	return err
}
