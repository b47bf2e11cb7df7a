package sandbox

import (
	"slices"
	"time"
)

// waiter stands in line for a child.
type waiter struct {
	prefix  string
	session uint32
	alone   bool // wants a child that holds nothing
	aged    bool // does not wait for the child that holds its session any more
	since   time.Time
	ready   chan grant // one value; closed when the pool is
}

// line is those who wait, oldest first. A crowd may stand in it, and each child that is given back is offered to it.
type line struct {
	list     []*waiter
	prefixes map[string]int // how many stand in it
}

func (l *line) len() int { return len(l.list) }

func (l *line) add(w *waiter) {
	if l.prefixes == nil {
		l.prefixes = map[string]int{}
	}
	l.list = append(l.list, w)
	l.prefixes[w.prefix]++
}

func (l *line) remove(w *waiter) {
	if at := slices.Index(l.list, w); at >= 0 {
		l.take(at)
	}
}

func (l *line) take(at int) {
	prefix := l.list[at].prefix
	l.list = slices.Delete(l.list, at, at+1)
	if l.prefixes[prefix]--; l.prefixes[prefix] == 0 {
		delete(l.prefixes, prefix)
	}
}

// pass offers what there is to one after the other, and leaves out a prefix for which there is nothing. Who is granted
// something leaves the line.
func (l *line) pass(offer func(*waiter) (granted, hopeless bool)) {
	hopeless := map[string]bool{}
	for at := 0; at < len(l.list) && len(hopeless) < len(l.prefixes); {
		w := l.list[at]
		if hopeless[w.prefix] {
			at++
			continue
		}
		granted, none := offer(w)
		switch {
		case granted:
			l.take(at)
			continue
		case none:
			hopeless[w.prefix] = true
		}
		at++
	}
}
