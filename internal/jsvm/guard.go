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
	clock   func() time.Duration
	end     time.Duration // on the clock
	release func() bool
}

func (s *session) guard(ctx context.Context, begin, budget time.Duration) *guard {
	g := &guard{armed: true, vm: s.vm, clock: s.clock, end: begin + budget}
	g.mu.Lock()
	g.timer = time.AfterFunc(max(budget, time.Millisecond), g.tick)
	g.mu.Unlock()
	g.release = context.AfterFunc(ctx, func() { g.fire(context.Cause(ctx)) })
	return g
}

// tick fires when the clock says so too: CPU time may pass more slowly than the timer's.
func (g *guard) tick() {
	if left := g.end - g.clock(); left > 0 {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.armed {
			g.timer.Reset(max(left, time.Millisecond))
		}
		return
	}
	g.fire(errTime)
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
	g.release()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.timer.Stop()
	g.armed = false
	g.vm.ClearInterrupt()
}
