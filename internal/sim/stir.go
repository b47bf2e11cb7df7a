package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"statek/internal/jobs"
	"statek/internal/sim/memstore"
)

// faults are how often things go wrong in one world, in percent. Some worlds have none: what they do not allow cannot excuse
// anything.
type faults struct {
	before, after, race int // a transaction does not run; its reply is lost; it loses to a concurrent one
	crash               int // … the process dies instead, before or after
	pause, stop         int
	loseRing, twice     int
	model               int
	skew                bool
}

func drawFaults(rng *rand.Rand) faults {
	upTo := func(n int) int {
		if rng.IntN(2) == 0 {
			return 0
		}
		return rng.IntN(n + 1)
	}
	if rng.IntN(5) == 0 {
		return faults{twice: upTo(20)}
	}
	return faults{
		before: upTo(5), after: upTo(5), race: upTo(10), crash: upTo(4), pause: upTo(8), stop: upTo(2), loseRing: upTo(10),
		twice: upTo(20), model: upTo(30), skew: rng.IntN(2) == 0,
	}
}

func (w *world) chance(percent int) bool { return percent > 0 && w.rng.IntN(100) < percent }

// skew is how far a process's clock is off.
func (w *world) skew() time.Duration {
	if !w.faults.skew {
		return 0
	}
	return time.Duration(w.rng.IntN(4000)-2000) * time.Millisecond
}

// stir makes one thing happen.
func (w *world) stir() {
	if w.replace() {
		return
	}
	free := w.free()
	switch r := w.rng.IntN(100); {
	case r < 68 && len(free) > 0:
		w.release(free[w.rng.IntN(len(free))])
	case r < 82:
		w.deliver()
	case r < 88:
		w.advance()
	case r < 97:
		w.intrude()
	default:
		w.disturb()
	}
}

// replace starts a new process where an old one is over.
func (w *world) replace() bool {
	for i, p := range w.slots {
		if p.over || p.dead {
			w.start(i)
			return true
		}
	}
	return false
}

// free are those who wait and whose process is not stopped.
func (w *world) free() (list []*pending) {
	for _, c := range w.parked {
		if c.p == nil || !c.p.paused {
			list = append(list, c)
		}
	}
	return list
}

// release lets one go on, and decides what becomes of it.
func (w *world) release(c *pending) {
	fate, lost := w.fate(c)
	w.tell("%s %s%s %s: %s", c.owner(), c.what, w.job(c.job), c.of, fate)
	w.unpark(c)
	var err error
	switch {
	case fate == "never":
		err = lost
	default:
		err = c.run()
		w.noteClaim(c, err)
		if err == nil {
			err = lost
		}
	}
	if strings.HasPrefix(fate, "dies") {
		w.crash(c.p)
	}
	c.reply <- err
}

func (w *world) unpark(c *pending) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.parked = remove(w.parked, c)
}

// fate is ok, never (it does not run), or that the reply is lost; and the error that is heard then.
func (w *world) fate(c *pending) (fate string, lost error) {
	if c.p == nil {
		return "ok", nil
	}
	away := memstore.ErrAway
	if c.txn.Commit {
		away = jobs.ErrUnknownOutcome
	}
	switch {
	case c.ctx.Err() != nil && w.rng.IntN(2) == 0:
		return "never", context.Cause(c.ctx)
	case c.ctx.Err() != nil:
		return "after its end", errors.Join(away, context.Cause(c.ctx))
	case c.what == "model" && w.chance(w.faults.model):
		return "never", errors.New("overloaded")
	case w.chance(w.faults.crash):
		if w.rng.IntN(2) == 0 {
			w.crash(c.p)
			return "never", errKilled
		}
		return "dies after", errKilled
	case c.txn.Name == "":
		return "ok", nil
	case c.txn.Retry && w.chance(w.faults.race):
		return "never", memstore.ErrConcurrent
	case w.chance(w.faults.before):
		return "never", []error{memstore.ErrAway, away}[w.rng.IntN(2)]
	case w.chance(w.faults.after):
		return "unheard", fmt.Errorf("reply lost: %w", away)
	default:
		return "ok", nil
	}
}

// noteClaim follows what became of a doorbell.
func (w *world) noteClaim(c *pending, err error) {
	if c.what != "claim" || err != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range c.p.rings {
		if a.job == c.job && !a.claimed {
			a.claimed = true
			delete(w.excused, c.job)
			return
		}
	}
}

// deliver gives a doorbell to a process; or loses it, or gives it twice.
func (w *world) deliver() {
	bells := w.db.Doorbells()
	p := w.slots[w.rng.IntN(len(w.slots))]
	if len(bells) == 0 || p.paused || p.told {
		return
	}
	i := w.rng.IntN(min(len(bells), 4))
	job := bells[i].Job
	if w.chance(w.faults.loseRing) {
		w.db.TakeDoorbell(i)
		w.tell("the doorbell of%s is lost", w.job(job))
		w.mu.Lock()
		w.excused[job] = true
		w.mu.Unlock()
		return
	}
	twice := w.chance(w.faults.twice)
	if !twice {
		w.db.TakeDoorbell(i)
	}
	w.tell("%s answers%s twice=%t", p.name, w.job(job), twice)
	p.answer(job)
}

// advance lets time pass.
func (w *world) advance() {
	d := 6 * time.Second
	if i := w.rng.IntN(12); i < 11 {
		d = []time.Duration{time.Millisecond, 20 * time.Millisecond, 300 * time.Millisecond, 1100 * time.Millisecond}[i%4]
	}
	w.tell("%s pass", d)
	w.sleep(d)
}

// intrude does what people and applications do.
func (w *world) intrude() {
	id := w.ids[w.rng.IntN(len(w.ids))]
	plan := w.plans[id]
	if plan.submitting {
		return
	}
	if !plan.submitted {
		if p := w.here(plan.n); p != nil {
			p.submit(id)
			return
		}
		w.submit(id)
		return
	}
	queue, topic := fmt.Sprint("q", w.rng.IntN(2)), fmt.Sprint("e", w.rng.IntN(2))
	switch w.rng.IntN(12) {
	case 0, 1, 2:
		w.someone("task", func(ctx context.Context, s *memstore.Session) error { return s.AddTask(ctx, queue) })
	case 3:
		w.someone("lock", func(ctx context.Context, s *memstore.Session) error { return s.LockTask(ctx, queue) })
	case 4, 5, 6:
		var key *string
		if w.rng.IntN(2) == 0 {
			key = new(fmt.Sprint("k", w.rng.IntN(2)))
		}
		payload := w.text("fact")
		w.someone("fact", func(ctx context.Context, s *memstore.Session) error {
			_, err := s.Emit(ctx, "/sim", topic, key, payload)
			return err
		})
	case 7:
		w.mail(id, "pause")
	case 8:
		w.mail(id, "resume")
	case 9:
		if w.rng.IntN(4) == 0 {
			w.mail(id, "cancel")
			return
		}
		w.mail(id, "interrupt")
	default:
		w.mail(id, "message")
	}
}

// here is a process for what is submitted and told where it runs: in every other world.
func (w *world) here(n int) *process {
	if p := w.slots[n%len(w.slots)]; w.seed%2 == 0 && !p.paused && !p.told && !p.dead && !p.over {
		return p
	}
	return nil
}

// mail is left by a process, which may take the job, or by others.
func (w *world) mail(id jobs.ID, kind string) {
	if p := w.here(w.plans[id].n + len(w.said[id])); p != nil {
		p.put(id, kind)
		return
	}
	w.put(id, kind)
}

func (w *world) submit(id jobs.ID) {
	spec, ev := w.submission(id)
	w.plans[id].submitted = true
	w.tell("submit%s", w.job(id))
	w.outside(func(ctx context.Context, s *memstore.Session) error { return s.Submit(ctx, id, spec, ev) })
}

// submission makes up what is submitted.
func (w *world) submission(id jobs.ID) (jobs.Spec, jobs.Submitted) {
	plan := w.plans[id]
	spec := jobs.Spec{Prefix: "/sim", Role: "sim", AgentID: agentID(), AgentVersion: 1}
	for _, p := range plan.warmup {
		spec.Warmup = append(spec.Warmup, jobs.Block{Source: p.source()})
	}
	ev := jobs.Submitted{Blocks: len(spec.Warmup)}
	if w.rng.IntN(4) == 0 {
		ev.RunAt = time.Now().Add(time.Duration(w.rng.IntN(3000)) * time.Millisecond).UnixMilli() //nolint:forbidigo // the bubble's clock
	}
	return spec, ev
}

func (w *world) put(id jobs.ID, kind string) {
	payload := w.text(kind)
	w.tell("%s for%s: %s", kind, w.job(id), payload)
	w.outside(func(ctx context.Context, s *memstore.Session) error {
		accepted, err := s.Put(ctx, id, kind, payload)
		if accepted && (kind == "message" || kind == "interrupt") {
			w.said[id] = append(w.said[id], string(payload))
		}
		return err
	})
}

// someone does something that takes several transactions.
func (w *world) someone(name string, do func(context.Context, *memstore.Session) error) {
	w.lives++
	who := fmt.Sprintf("%s%d", name, w.lives)
	w.tell("%s begins", who)
	s := w.db.Session(func(ctx context.Context, t memstore.Txn, run func() error) error {
		return w.park(&pending{what: t.Name, of: who, txn: t, run: run, ctx: ctx})
	}, time.Now) //nolint:forbidigo // the bubble's clock
	w.group.Go(func() {
		if err := do(context.Background(), s); err != nil {
			w.fail(err)
		}
	})
}

// disturb stops, resumes or ends a process.
func (w *world) disturb() {
	p := w.slots[w.rng.IntN(len(w.slots))]
	switch {
	case p.paused && w.rng.IntN(2) == 0:
		w.others()
	case p.paused:
		w.tell("%s goes on", p.name)
		p.paused = false
	case w.chance(w.faults.pause * 30):
		w.tell("%s is stopped", p.name)
		p.paused = true
	case w.chance(w.faults.stop*40) && !p.told:
		w.tell("%s is told to leave", p.name)
		p.told = true
		p.stopping()
	case p.told && len(p.rings) == 0 && len(p.engine.Running()) == 0:
		w.leave(p)
	case w.chance(w.faults.crash * 10):
		w.tell("%s is killed", p.name)
		w.crash(p)
	}
}

// others live on for a while without those that are stopped: long enough to take their jobs over.
func (w *world) others() {
	w.tell("the others go on for a while")
	for end := time.Now().Add(8 * time.Second); time.Now().Before(end) && w.settled(); { //nolint:forbidigo // the bubble's clock
		free := w.free()
		switch {
		case w.replace():
		case len(free) > 0:
			w.release(free[w.rng.IntN(len(free))])
		case w.rng.IntN(2) == 0 && len(w.db.Doorbells()) > 0:
			w.deliver()
		default:
			w.tell("500ms pass")
			w.sleep(500 * time.Millisecond)
		}
	}
}

// leave ends a process that has nothing left to do.
func (w *world) leave(p *process) {
	w.tell("%s leaves", p.name)
	w.outside(func(ctx context.Context, s *memstore.Session) error { return s.Leave(ctx, p.id) })
	p.kill(errLeft)
}

// crash ends a process: whatever it waits for never comes back to anybody.
func (w *world) crash(p *process) {
	w.mu.Lock()
	p.dead = true
	for _, a := range p.rings {
		if !a.claimed {
			w.excused[a.job] = true
		}
	}
	var orphans []*pending
	for _, c := range w.parked {
		if c.p == p {
			orphans = append(orphans, c)
		}
	}
	for _, c := range orphans {
		w.parked = remove(w.parked, c)
	}
	w.mu.Unlock()
	p.kill(errKilled)
	for _, c := range orphans {
		c.reply <- errKilled
	}
}
