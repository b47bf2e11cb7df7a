package sim

import "statek/internal/jobs"

// submit has a process submit a job for itself: its first cell computes meanwhile. When nothing was written, as far as the
// simulation knows, the application tries again some time.
func (p *process) submit(id jobs.ID) {
	spec, ev := p.submission(id)
	spec.CreatedAt = p.engine.Now().UTC()
	state, _, err := jobs.Step(jobs.Job{}, ev, spec.CreatedAt)
	if err != nil {
		p.fail(err)
		return
	}
	p.plans[id].submitting = true
	p.tell("%s submits%s", p.name, p.job(id))
	head := p.engine.Head(jobs.Record{
		Hold: jobs.Hold{Job: id, Epoch: 1, Owner: p.id}, State: state, Seq: state.Seq, Spec: spec,
	})
	p.begin(id, head, true)
	p.group.Go(func() {
		written, given, err := p.db.SubmitFor(p.ctx, id, spec, ev, p.id)
		head.Tell(given && err == nil)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.plans[id].submitted, p.plans[id].submitting = written, false
	})
}

// put has a process leave mail, and run the job if it is given it.
func (p *process) put(id jobs.ID, kind string) {
	payload := p.text(kind)
	p.tell("%s leaves %s for%s: %s", p.name, kind, p.job(id), payload)
	p.group.Go(func() {
		accepted, given, err := p.db.PutFor(p.ctx, id, kind, payload, p.id)
		if given != nil && err == nil {
			head := p.engine.Head(*given)
			head.Tell(true)
			p.begin(id, head, false)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if accepted && (kind == "message" || kind == "interrupt") {
			p.said[id] = append(p.said[id], string(payload))
		}
	})
}
