package app

import (
	"context"
	"slices"
	"sync"

	"github.com/google/uuid"

	"statek/internal/engine"
	"statek/internal/jobs"
	"statek/internal/store"
)

// bid is a worker of this process that waits for jobs which are being submitted.
type bid struct {
	*stay
	list  []store.NewJob
	heads []*engine.Head
}

// bid lets a worker of this process, if one has room, begin what is about to be submitted; nil: it is for all workers.
func (h *here) bid(list []store.NewJob) *bid {
	s := h.taker(len(list))
	if s == nil {
		return nil
	}
	b := &bid{stay: s, list: list}
	for _, n := range list {
		head := s.engine.Head(store.Promised(n, s.id))
		early := n.Submitted.RunAt == 0 && s.given.likely(n.Spec.AgentID)
		if !s.runs(func(work context.Context) { head.Run(work, early) }) { // it has just been told to leave
			b.lost()
			return nil
		}
		b.heads = append(b.heads, head)
	}
	return b
}

// worker is who bids.
func (b *bid) worker() uuid.UUID {
	if b == nil {
		return uuid.Nil
	}
	return b.id
}

// won ends the bid: these jobs were given.
func (b *bid) won(taken []jobs.Record) {
	if b == nil {
		return
	}
	for i, head := range b.heads {
		n := b.list[i]
		given := slices.ContainsFunc(taken, func(rec jobs.Record) bool { return rec.Job == n.ID })
		if n.Submitted.RunAt == 0 {
			b.given.note(n.Spec.AgentID, given)
		}
		head.Tell(given)
	}
	b.engine.Unreserve(len(b.list))
}

// lost ends the bid: none was given, or nobody knows.
func (b *bid) lost() {
	if b == nil {
		return
	}
	for _, head := range b.heads {
		head.Tell(false)
	}
	b.engine.Unreserve(len(b.list))
}

// given remembers of which agents jobs were not given to who bid for them. They are under limits, or the worker is taken for
// dead: what would be computed ahead would be in vain.
type given struct {
	mu     sync.Mutex
	denied map[uuid.UUID]bool
}

// mostDenied bounds what is remembered.
const mostDenied = 1000

func (g *given) likely(agent uuid.UUID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.denied[agent]
}

func (g *given) note(agent uuid.UUID, given bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if given {
		delete(g.denied, agent)
		return
	}
	if g.denied == nil || len(g.denied) == mostDenied {
		g.denied = map[uuid.UUID]bool{}
	}
	g.denied[agent] = true
}
