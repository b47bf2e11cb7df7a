package store

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// merger lets operations of different jobs share a transaction. While one batch is on its way what comes is
// collected for the next: alone, an operation waits for nobody; in a crowd, hundreds share one commit. Every
// operation still waits for its own outcome, and none suffers from another's: a batch that fails is taken apart.
type merger[T any] struct {
	// run performs a batch and gives each item its outcome with done.
	run func(ctx context.Context, batch []*merged[T])
	// most bounds a batch.
	most int
	// idle: an operation changes nothing, so that who gives one up need not know what becomes of it.
	idle bool

	mu      sync.Mutex
	queue   []*merged[T]
	working bool // a batch is on its way, one at a time: two would be half as large
	last    int  // the size of the batch before
}

// In a crowd a batch waits a little for others: its price is that of a transaction, whatever it holds. A crowd is when
// crowd operations have come for this batch and the one before; one job alone never is.
const (
	crowd  = 4
	linger = 3 * time.Millisecond
)

// merged is one operation in a merger.
type merged[T any] struct {
	op      T
	outcome chan error
}

// batchTimeout bounds one batch. Its statements have shorter bounds; this is for a server that says nothing.
const batchTimeout = 10 * time.Second

// errAlone tells an operation that its batch has failed, perhaps because of another, and that nothing was done.
var errAlone = errors.New("store: the batch was taken apart")

func (m *merged[T]) done(err error) { m.outcome <- err }

// do performs op with others and returns its outcome. errAlone: do it alone. When ctx ends, an operation that still
// waits for its turn is taken back; one that is on its way is waited for, since only its outcome tells what happened.
func (m *merger[T]) do(ctx context.Context, op T) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	item := &merged[T]{op: op, outcome: make(chan error, 1)}
	m.mu.Lock()
	m.queue = append(m.queue, item)
	first := !m.working
	m.working = true
	m.mu.Unlock()
	switch {
	case first && m.idle:
		go m.work(context.WithoutCancel(ctx))
	case first: // its own batch needs no goroutine: alone, that would be two more hand-overs
		m.lead(context.WithoutCancel(ctx))
	}
	select {
	case err := <-item.outcome:
		return err
	case <-ctx.Done():
	}
	if m.withdraw(item) || m.idle {
		return context.Cause(ctx)
	}
	return <-item.outcome
}

// lead performs the batch of an operation that has found nobody at work, and leaves the next to others.
func (m *merger[T]) lead(ctx context.Context) {
	defer crash()
	m.next(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.queue) > 0 {
		go m.work(ctx)
		return
	}
	m.working, m.last = false, 0
}

// crash ends the process after a panic, as one in a goroutine of its own does. Whoever called would recover it, an HTTP server or
// River, and nobody would ever lead again.
func crash() {
	if cause := recover(); cause != nil {
		stack := debug.Stack()
		go func() { panic(fmt.Sprintf("%v\n\n%s", cause, stack)) }()
		select {}
	}
}

// work performs batches until nothing waits. Its context is nobody's: an operation that is given up must not take
// others with it.
func (m *merger[T]) work(ctx context.Context) {
	for m.next(ctx) {
	}
}

// next performs a batch; false: nothing waits, and whoever comes next begins again.
func (m *merger[T]) next(ctx context.Context) bool {
	m.mu.Lock()
	if n := len(m.queue); n > 0 && n < m.most/2 && n+m.last >= crowd {
		m.mu.Unlock()
		time.Sleep(linger) //nolint:forbidigo // waits for nobody in particular
		m.mu.Lock()
	}
	n := min(len(m.queue), m.most)
	m.last = n
	if n == 0 {
		m.working = false
		m.mu.Unlock()
		return false
	}
	batch := m.queue[:n:n]
	m.queue = m.queue[n:]
	m.mu.Unlock()
	bounded, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	m.run(bounded, batch)
	return true
}

// withdraw takes back an operation that waits for its turn; false when it is on its way.
func (m *merger[T]) withdraw(item *merged[T]) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, other := range m.queue {
		if other == item {
			m.queue = append(m.queue[:i:i], m.queue[i+1:]...)
			return true
		}
	}
	return false
}
