package jsvm

import (
	"context"
	"sync"
	"time"

	"github.com/dop251/goja"
)

// guard interrupts the VM when time is up or the context ends. goja looks at the flag between
// instructions only: a native built-in that loops is not stopped.
type guard struct {
	mu      sync.Mutex
	armed   bool
	vm      *goja.Runtime
	timer   *time.Timer
	release func() bool
}

func (s *session) guard(ctx context.Context, budget time.Duration) *guard {
	g := &guard{armed: true, vm: s.vm}
	g.timer = time.AfterFunc(max(budget, time.Millisecond), func() { g.fire(errTime) })
	g.release = context.AfterFunc(ctx, func() { g.fire(context.Cause(ctx)) })
	return g
}

func (g *guard) fire(reason error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.armed {
		g.vm.Interrupt(reason)
	}
}

// stop disarms the guard; an interrupt that came too late is taken back.
func (g *guard) stop() {
	g.timer.Stop()
	g.release()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.armed = false
	g.vm.ClearInterrupt()
}
