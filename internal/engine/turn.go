package engine

import "sync"

// turn is a lock that is held across round trips to the database: whoever waits for it waits for I/O. It is a channel and
// no mutex so that a simulation, which decides when each of those round trips ends, can tell that all who wait do.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

// Lock waits in the order of arrival.
func (t turn) Lock() { t <- struct{}{} }

// Unlock lets the next one go on.
func (t turn) Unlock() { <-t }

// poll takes what a channel has now. Where two things may have come at once, select would take any of them: asking for
// one first makes what follows depend on nothing but their order.
func poll[T any](c <-chan T) (value T, ok bool) {
	select {
	case value = <-c:
		return value, true
	default:
		return value, false
	}
}

// inbox holds what performed calls hand in, which never waits.
type inbox struct {
	news chan struct{} // yields after something has come, perhaps once more
	mu   sync.Mutex
	list []result
}

func newInbox() *inbox { return &inbox{news: make(chan struct{}, 1)} }

func (b *inbox) put(res result) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.list = append(b.list, res)
	select {
	case b.news <- struct{}{}:
	default:
	}
}

// take returns the oldest result, if there is one.
func (b *inbox) take() (res result, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.list) == 0 {
		return result{}, false
	}
	res, b.list = b.list[0], b.list[1:]
	return res, true
}
