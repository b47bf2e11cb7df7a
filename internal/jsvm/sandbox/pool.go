package sandbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// child is a process that serves a prefix. Its fields are guarded by the pool's lock, but for the process
// itself, which belongs to the borrower.
type child struct {
	*process
	prefix   string
	busy     bool
	full     bool              // its heap leaves no room for more sessions
	sessions map[uint32]uint64 // what it holds → the turn of its last use
	forget   []uint32          // what it holds for nobody
	turn     uint64            // of its last loan
}

// grant is a child, or the right to start one.
type grant struct{ child *child }

const (
	// patience is how long a session waits for the busy child that holds it before it is rebuilt elsewhere.
	patience = 100 * time.Millisecond
	// fairness is how long a prefix without a child waits for one that others keep busy.
	fairness = 200 * time.Millisecond
)

// borrow gets a child for a session, alone or where it is at home. here: the child holds the session.
func (p *Pool) borrow(ctx context.Context, prefix string, session uint32, alone bool) (c *child, here bool, err error) {
	w := &waiter{prefix: prefix, session: session, alone: alone}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, false, errClosed
	}
	g, ok := p.grant(w, true)
	if !ok {
		w.since, w.ready = time.Now(), make(chan grant, 1)
		p.waiting.add(w)
	}
	p.mu.Unlock()
	if !ok {
		if g, err = p.await(ctx, w); err != nil {
			return nil, false, err
		}
	}
	if g.child == nil {
		if g.child, err = p.open(prefix); err != nil {
			return nil, false, err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, here = g.child.sessions[session]; !here {
		p.disown(session) // it goes on in this child: what others hold of it stays behind
	}
	return g.child, here, nil
}

// await waits for a grant. One that comes together with the end of ctx is passed on.
func (p *Pool) await(ctx context.Context, w *waiter) (grant, error) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		select {
		case g, ok := <-w.ready:
			if !ok {
				return grant{}, errClosed
			}
			return g, nil
		case <-timer.C:
			p.mu.Lock()
			w.aged = true
			p.serve()
			p.mu.Unlock()
		case <-ctx.Done():
			p.mu.Lock()
			p.waiting.remove(w)
			select {
			case g, ok := <-w.ready:
				if ok && g.child != nil {
					g.child.busy = false
				} else if ok {
					p.started(w.prefix)
				}
				p.serve()
			default:
			}
			p.mu.Unlock()
			return grant{}, fmt.Errorf("sandbox: wait for a child: %w", context.Cause(ctx))
		}
	}
}

// open starts a child in a place that was granted.
func (p *Pool) open(prefix string) (*child, error) {
	p.mu.Lock()
	proc := p.spare
	p.spare = nil
	p.mu.Unlock()
	var err error
	if proc == nil || !proc.alive() {
		proc, err = p.start()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.started(prefix)
	if err == nil && p.closed {
		p.work.Go(func() { _ = proc.Close() })
		err = errClosed
	}
	if err != nil {
		p.serve()
		return nil, err
	}
	p.turn++
	c := &child{process: proc, prefix: prefix, busy: true, sessions: map[uint32]uint64{}, turn: p.turn}
	p.children[c] = true
	if p.counts.Started > 1 { // one may be all that this process ever needs
		p.prepare()
	}
	return c, nil
}

// prepare starts a spare child in the background.
func (p *Pool) prepare() {
	p.work.Go(func() {
		proc, err := p.start()
		if err != nil {
			return // whoever needs a child will be told
		}
		p.mu.Lock()
		if p.spare == nil && !p.closed {
			p.spare, proc = proc, nil
		}
		p.mu.Unlock()
		if proc != nil {
			_ = proc.Close()
		}
	})
}

// grant finds a child for a waiter: its own, an idle one of the prefix, a place for a new one. With replace
// also the place of the least recently used idle child, which ends. Called with the lock held.
func (p *Pool) grant(w *waiter, replace bool) (grant, bool) {
	var best, mine, oldest *child
	own, home := p.starting[w.prefix], false
	for c := range p.children {
		if c.prefix == w.prefix {
			own++
		}
		_, here := c.sessions[w.session]
		home = home || here
		switch {
		case c.busy:
			continue
		case here && !w.alone:
			return p.lend(c), true
		case c.prefix != w.prefix:
		case !w.alone && !c.full && (best == nil || len(c.sessions) < len(best.sessions)):
			best = c
		default:
			mine = c
		}
		if oldest == nil || c.turn < oldest.turn {
			oldest = c
		}
	}
	switch {
	case home && !w.aged && !w.alone:
		return grant{}, false
	case best != nil:
		return p.lend(best), true
	case own >= p.cfg.PerPrefix && mine == nil:
		return grant{}, false // its children are busy
	case own >= p.cfg.PerPrefix:
		p.drop(mine, errReplaced)
	case len(p.children)+p.places < p.cfg.Children:
	case replace && oldest != nil:
		p.drop(oldest, errReplaced)
	default:
		return grant{}, false
	}
	p.starting[w.prefix]++
	p.places++
	return grant{}, true
}

// started takes back a place that was granted: a child stands in it, or nobody will. Called with the lock held.
func (p *Pool) started(prefix string) {
	p.places--
	if p.starting[prefix]--; p.starting[prefix] == 0 {
		delete(p.starting, prefix)
	}
}

var errReplaced = errors.New("sandbox: another prefix needs the place")

func (p *Pool) lend(c *child) grant {
	p.turn++
	c.busy, c.turn = true, p.turn
	return grant{c}
}

// drop ends a child. Its sessions are rebuilt when they go on.
func (p *Pool) drop(c *child, why error) {
	delete(p.children, c)
	c.kill(why)
	p.work.Go(func() { <-c.gone })
}

// giveBack returns a child after an exchange. kept: it holds the session now.
func (p *Pool) giveBack(c *child, session uint32, kept bool, rep *reply, limit int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var heap int64
	if rep != nil {
		heap = rep.Heap
		p.counts.CPU += rep.used
	}
	c.busy = false
	switch {
	case !c.alive():
		delete(p.children, c)
	case kept:
		c.sessions[session] = c.turn
	default:
		delete(c.sessions, session)
		c.forget = append(c.forget, session)
	}
	p.makeRoom(c, session, heap, limit)
	p.serve()
}

// makeRoom lets the older half of a child's sessions go when they use much of what one cell may have, so that
// no cell pays for its neighbours. A child whose heap stays large takes no more of them.
func (p *Pool) makeRoom(c *child, session uint32, heap, limit int64) {
	c.full = heap > limit/2
	if !c.full {
		return
	}
	if len(c.sessions) == 0 {
		p.drop(c, errReplaced)
		return
	}
	var others []uint32
	for id := range c.sessions {
		if id != session {
			others = append(others, id)
		}
	}
	slices.SortFunc(others, func(a, b uint32) int { return int(int64(c.sessions[a]) - int64(c.sessions[b])) })
	for _, id := range others[:(len(others)+1)/2] {
		delete(c.sessions, id)
		c.forget = append(c.forget, id)
	}
}

// forgotten takes the list of what the child need not hold any more.
func (p *Pool) forgotten(c *child) []uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := c.forget
	c.forget = nil
	return list
}

// leave is told that a session is over.
func (p *Pool) leave(session uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.disown(session)
}

// disown makes children forget a session. Called with the lock held.
func (p *Pool) disown(session uint32) {
	for c := range p.children {
		if _, here := c.sessions[session]; here {
			delete(c.sessions, session)
			c.forget = append(c.forget, session)
		}
	}
}

// serve gives what is free to those who wait, oldest first. A child stays with its prefix while that has
// work, unless another prefix has waited for long. Called with the lock held.
func (p *Pool) serve() {
	if p.waiting.len() == 0 {
		return
	}
	if time.Since(p.waiting.list[0].since) > fairness {
		p.waiting.pass(func(w *waiter) (bool, bool) {
			if time.Since(w.since) <= fairness {
				return false, true // whoever comes after it is younger still
			}
			return p.try(w, true)
		})
	}
	p.waiting.pass(func(w *waiter) (bool, bool) { return p.try(w, false) })
	for c := range p.children {
		if !c.busy { // so that it can be replaced
			p.waiting.pass(func(w *waiter) (bool, bool) { return p.try(w, true) })
			return
		}
	}
}

// try gives a waiter what there is for it. hopeless: nothing is free for anybody of its prefix.
func (p *Pool) try(w *waiter, replace bool) (granted, hopeless bool) {
	g, ok := p.grant(w, replace)
	if ok {
		w.ready <- g
		return true, false
	}
	return false, !p.idle(w.prefix)
}

// idle reports whether a child of the prefix is free, though not for everybody.
func (p *Pool) idle(prefix string) bool {
	for c := range p.children {
		if c.prefix == prefix && !c.busy {
			return true
		}
	}
	return false
}

// rebuilt counts a session that goes on in another child.
func (p *Pool) rebuilt() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts.Rebuilt++
}

// note counts a death and logs what nobody asked for.
func (p *Pool) note(ctx context.Context, prefix string, d *death) {
	p.mu.Lock()
	p.counts.Deaths[string(d.cause)]++
	p.counts.CPU += d.used
	p.mu.Unlock()
	p.cfg.Logger.InfoContext(ctx, "sandbox child ended", slog.String("prefix", prefix), slog.String("cause", string(d.cause)), slog.String("detail", d.detail))
}
