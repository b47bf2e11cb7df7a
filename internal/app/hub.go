package app

import (
	"strings"
	"sync"

	"github.com/google/uuid"

	"statek/internal/jobs"
	"statek/internal/store"
)

// hub wakes callers that wait for a job to change.
type hub struct {
	mu      sync.Mutex
	waiting map[uuid.UUID]map[chan *Job]bool // true: only the job's rest is of interest
	// born are jobs that this process has submitted lately and that have not come to rest, as far as it has heard: whoever
	// waits for one need not look at it first.
	born  map[uuid.UUID]bool
	hears bool // it has been told at least once
}

// mostBorn bounds what is remembered.
const mostBorn = 10_000

func newHub() *hub {
	return &hub{waiting: map[uuid.UUID]map[chan *Job]bool{}, born: map[uuid.UUID]bool{}}
}

// submits is told before jobs are inserted: they may be over before the insertion has been answered.
func (h *hub) submits(job uuid.UUID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.hears {
		return
	}
	if len(h.born) == mostBorn {
		clear(h.born)
	}
	h.born[job] = true
}

// watch returns a channel that yields after each change of the job, or only when it has come to rest, and a function to
// stop. What it yields is the job, if that is known already. fresh: it has not come to rest yet.
func (h *hub) watch(job uuid.UUID, atRest bool) (ch chan *Job, fresh bool, stop func()) {
	ch = make(chan *Job, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waiting[job] == nil {
		h.waiting[job] = map[chan *Job]bool{}
	}
	h.waiting[job][ch] = atRest
	return ch, h.born[job], func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.waiting[job], ch)
		if len(h.waiting[job]) == 0 {
			delete(h.waiting, job)
		}
	}
}

// bell tells waiting callers of this process at once, and the others by a notification.
type bell struct {
	*store.Notifier
	hub *hub
}

// Changed implements store.Bell.
func (b bell) Changed(job jobs.ID, rests bool) {
	b.hub.tell(job, rests)
	b.Notifier.Changed(job, rests)
}

func (h *hub) tell(job uuid.UUID, rests bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.told(job, rests)
}

func (h *hub) told(job uuid.UUID, rests bool) {
	wake(h.waiting[job], rests, nil)
	if rests {
		delete(h.born, job)
	}
}

// changed reads a notification: a list of job ids, or nothing, which means any.
func (h *hub) changed(payload string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if payload == "" {
		h.hears = true
		clear(h.born)
		for _, chans := range h.waiting {
			wake(chans, true, nil)
		}
		return
	}
	for text := range strings.SplitSeq(payload, ",") {
		text, rests := strings.CutSuffix(text, ".")
		if id, err := uuid.Parse(text); err == nil {
			h.told(id, rests)
		}
	}
}

// audience implements store.Audience.
type audience struct{ hub *hub }

// Awaits implements store.Audience.
func (a audience) Awaits(job jobs.ID) bool {
	a.hub.mu.Lock()
	defer a.hub.mu.Unlock()
	for _, atRest := range a.hub.waiting[job] {
		if atRest {
			return true
		}
	}
	return false
}

// See implements store.Audience.
func (a audience) See(v store.JobView) {
	job := fromView(v)
	a.hub.mu.Lock()
	defer a.hub.mu.Unlock()
	wake(a.hub.waiting[v.ID], true, &job)
}

func wake(chans map[chan *Job]bool, rests bool, job *Job) {
	for ch, atRest := range chans {
		if atRest && !rests {
			continue
		}
		select {
		case ch <- job.clone():
		default:
		}
	}
}
