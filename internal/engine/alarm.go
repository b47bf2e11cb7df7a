package engine

import (
	"container/heap"
	"sync"
	"time"
)

// alarm fires at the times it was asked for. It is a hint: every second everything that is due is looked at
// anyway, so it remembers only near times, and not too many.
type alarm struct {
	timer *time.Timer

	mu    sync.Mutex
	times times
}

const (
	alarmAhead = 10 * time.Second
	alarmMost  = 10_000
)

func newAlarm() *alarm {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return &alarm{timer: t}
}

// rang yields when a time has come; the receiver calls rearm.
func (a *alarm) rang() <-chan time.Time { return a.timer.C }

// set asks for a look at a time, or now when it is zero or past.
func (a *alarm) set(at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if time.Until(at) > alarmAhead || len(a.times) >= alarmMost { //nolint:forbidigo // wall times come from rows
		return
	}
	heap.Push(&a.times, at)
	a.armLocked()
}

// rearm forgets the times that have passed.
func (a *alarm) rearm() {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now() //nolint:forbidigo // see set
	for len(a.times) > 0 && !a.times[0].After(now) {
		heap.Pop(&a.times)
	}
	a.armLocked()
}

func (a *alarm) armLocked() {
	if len(a.times) > 0 {
		a.timer.Reset(max(0, time.Until(a.times[0]))) //nolint:forbidigo // see set
	}
}

type times []time.Time

// Len implements heap.Interface.
func (t times) Len() int { return len(t) }

// Less implements heap.Interface.
func (t times) Less(i, j int) bool { return t[i].Before(t[j]) }

// Swap implements heap.Interface.
func (t times) Swap(i, j int) { t[i], t[j] = t[j], t[i] }

// Push implements heap.Interface.
func (t *times) Push(x any) {
	if at, ok := x.(time.Time); ok {
		*t = append(*t, at)
	}
}

// Pop implements heap.Interface.
func (t *times) Pop() any {
	last := (*t)[len(*t)-1]
	*t = (*t)[:len(*t)-1]
	return last
}
