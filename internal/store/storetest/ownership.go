package storetest

import (
	"encoding/json"

	"github.com/google/uuid"

	"statek/internal/jobs"
)

// ownership is who may do what with a job.
var ownership = map[string]func(*kit){
	"a free job is claimed at the next epoch, with all there is of it": func(k *kit) {
		job, w := k.job(), k.worker()
		k.put(job, "message", "hello")
		l := k.claim(job, w)
		k.same("hold", jobs.Hold{Job: job, Epoch: 1, Owner: w}, l.Hold)
		k.same("previous owner", uuid.Nil, l.Previous)
		k.same("status", jobs.Ready, l.State.Status)
		k.same("prefix", Prefix, l.Spec.Prefix)
		k.same("mail", []string{`message 0/0 "hello"`}, letters(l.Mail))
		if l.Spec.CreatedAt.IsZero() {
			k.Error("the job has no time of creation")
		}
	},
	"an unknown job is an error": func(k *kit) {
		if _, ok, err := k.Jobs.Claim(k.ctx, uuid.New(), k.worker(), false); ok || err == nil {
			k.Errorf("claim = %v, %v; want an error", ok, err)
		}
	},
	"a held job is rung instead, and so not released": func(k *kit) {
		job, w := k.job(), k.worker()
		l := k.claim(job, w)
		k.refused(job, k.worker(), false)
		k.released(l, false)
		k.must(k.Jobs.ClearRung(k.ctx, l.Hold))
		k.refused(job, w, true) // by another doorbell of its own worker
		k.released(l, false)
		k.must(k.Jobs.ClearRung(k.ctx, l.Hold))
		k.released(l, true)
		k.same("epoch of the next claim", int64(2), k.claim(job, w).Epoch)
	},
	"a worker that does not run what it owns claims it again": func(k *kit) {
		job, w := k.job(), k.worker()
		lost := k.claim(job, w)
		again := k.claim(job, w)
		k.same("previous owner", w, again.Previous)
		_, err := k.Jobs.Commit(k.ctx, lost.events(start(1)))
		k.fenced("the lost claim's commit", err)
	},
	"a worker that left loses its jobs to whoever asks": func(k *kit) {
		job, w := k.job(), k.worker()
		old := k.claim(job, w)
		k.must(k.World.Leave(k.ctx, w))
		l := k.claim(job, k.worker())
		k.same("previous owner", w, l.Previous)
		k.zombie(old, l)
	},
	"a worker that was buried loses its jobs, which are rung": func(k *kit) {
		job, w, other := k.job(), k.worker(), k.worker()
		old := k.claim(job, w)
		dead, err := k.Chores.Bury(k.ctx, []uuid.UUID{w, other}, deadAfter)
		k.must(err)
		k.same("buried although their hearts beat", 0, len(dead))
		k.must(k.World.Silence(k.ctx, w))
		beat, err := k.World.Beat(k.ctx, other)
		k.must(err)
		k.same("silent", []uuid.UUID{w}, beat.Silent)
		dead, err = k.Chores.Bury(k.ctx, beat.Silent, deadAfter)
		k.must(err)
		k.same("buried", []uuid.UUID{w}, dead)
		n, err := k.Chores.TakeOver(k.ctx)
		k.must(err)
		k.same("taken over", 1, n)
		k.same("rings", []jobs.ID{job}, k.rings())
		n, err = k.Chores.TakeOver(k.ctx)
		k.must(err)
		k.same("taken over again", 0, n)
		l := k.claim(job, other)
		k.same("previous owner", w, l.Previous)
		k.zombie(old, l)
		beat, err = k.World.Beat(k.ctx, w)
		k.must(err)
		k.same("alive", false, beat.Alive)
	},
	"a beat tells what is owned and what was rung": func(k *kit) {
		w := k.worker()
		a, b := k.claim(k.job(), w), k.claim(k.job(), w)
		k.refused(b.Job, k.worker(), false)
		beat, err := k.World.Beat(k.ctx, w)
		k.must(err)
		k.same("owned", map[jobs.ID]int64{a.Job: 1, b.Job: 1}, beat.Owned)
		k.same("rung", []jobs.ID{b.Job}, beat.Rung)
		k.same("alive", true, beat.Alive)
	},
	"a job that is handed over is free and rung": func(k *kit) {
		job := k.job()
		l := k.claim(job, k.worker())
		k.refused(job, k.worker(), false)
		k.must(k.Jobs.HandOver(k.ctx, l.Hold))
		k.same("rings", []jobs.ID{job}, k.rings())
		l = k.claim(job, k.worker())
		c := l.events(start(1))
		c.HandOver = true
		k.same("released", true, l.commit(c))
		k.same("rings", []jobs.ID{job}, k.rings())
		k.same("status", jobs.WarmingUp, k.claim(job, k.worker()).State.Status)
	},
	"a ring of a held job is kept through commits": func(k *kit) {
		job := k.job()
		l := k.claim(job, k.worker())
		k.put(job, "message", "hello")
		k.same("rings", []jobs.ID{job}, k.rings())
		k.refused(job, k.worker(), false)
		k.same("released", false, l.commit(l.events(start(1))))
		c := l.events(jobs.Console{Lines: []string{"x"}})
		c.Release = true
		k.same("released although rung", false, l.commit(c))
		k.must(k.Jobs.ClearRung(k.ctx, l.Hold))
		k.same("mail", []string{`message 0/0 "hello"`}, k.mail(job))
		c = l.events(jobs.Console{Lines: []string{"y"}})
		c.Release = true
		k.same("released", true, l.commit(c))
	},
}

func (k *kit) released(l *life, want bool) {
	k.Helper()
	got, err := k.Jobs.Release(k.ctx, l.Hold)
	k.must(err)
	k.same("released", want, got)
}

// zombie: whatever the old owner still does changes nothing for the new one.
func (k *kit) zombie(old, now *life) {
	k.Helper()
	before := k.history(old.Job)
	c := old.events(start(1))
	c.Release = true
	_, err := k.Jobs.Commit(k.ctx, c)
	k.fenced("a zombie's commit", err)
	_, err = k.Jobs.TakeMessage(k.ctx, old.Hold, 1, 1)
	k.fenced("a zombie's message", err)
	err = k.SQL.RunTool(k.ctx, Note(old.Job, "ghost"), func(json.RawMessage, *jobs.Fault) (jobs.Commit, jobs.Ended, error) {
		return c, func(bool, error) {}, nil
	})
	k.fenced("a zombie's tool", err)
	k.released(old, false)
	k.must(k.Jobs.ClearRung(k.ctx, old.Hold))
	k.must(k.Jobs.HandOver(k.ctx, old.Hold)) // a spurious ring at most
	k.rings()
	notes, err := k.World.Ledger(k.ctx)
	k.must(err)
	k.same("ledger", 0, len(notes))
	k.same("history", before, k.history(old.Job))
	now.commit(now.events(start(1)))
}
