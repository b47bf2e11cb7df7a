package storetest

import (
	"time"

	"github.com/google/uuid"

	"statek/internal/engine"
	"statek/internal/jobs"
)

const (
	deadAfter = engine.DeadAfter
	most      = 100
)

// chores is what is found although nobody was told.
var chores = map[string]func(*kit){
	"a job with work that nobody owns is rung when its doorbell is lost": func(k *kit) {
		job := k.job()
		k.strays("fresh", 0)
		k.must(k.World.Age(k.ctx, job))
		k.strays("old", 1)
		k.same("rings", []jobs.ID{job}, k.rings())
		k.claim(job, k.worker())
		k.must(k.World.Age(k.ctx, job))
		k.strays("owned", 0)
	},
	"mail that nobody has read is found": func(k *kit) {
		job := k.asleep("", nil, wait{"event", `["x"]`})
		k.emit("x", nil, "1")
		k.quiet()
		k.rings()
		k.must(k.World.Age(k.ctx, job))
		k.strays("resolved", 1)
	},
	"a message is not work for a cell that sleeps and has not asked for it": func(k *kit) {
		deaf, listening := k.asleep("", nil, wait{"event", `["x"]`}), k.asleep("", nil, wait{"message", `[]`})
		for _, job := range []jobs.ID{deaf, listening} {
			k.put(job, "message", "m")
			k.must(k.World.Age(k.ctx, job))
		}
		k.rings()
		k.strays("messages", 1)
		k.same("rings", []jobs.ID{listening}, k.rings())
	},
	"nor for a job that is paused": func(k *kit) {
		job, w := k.job(), k.worker()
		l := k.claim(job, w)
		c := l.events(start(1), jobs.Halted{Reason: "r"})
		c.Release = true
		l.commit(c)
		k.put(job, "message", "m")
		k.rings()
		k.must(k.World.Age(k.ctx, job))
		k.strays("message", 0)
		k.put(job, "resume", "me")
		k.rings()
		k.must(k.World.Age(k.ctx, job))
		k.strays("resume", 1)
	},
	"a job with a time of its own is rung then": func(k *kit) {
		due, later := uuid.Must(uuid.NewV7()), uuid.Must(uuid.NewV7())
		now := time.Now() //nolint:forbidigo // the job's own timer goes by the time of day
		k.must(k.World.Submit(k.ctx, due, jobs.Submitted{Blocks: 1, RunAt: now.Add(-time.Second).UnixMilli()}))
		k.must(k.World.Submit(k.ctx, later, jobs.Submitted{Blocks: 1, RunAt: now.Add(time.Hour).UnixMilli()}))
		k.same("rings", 0, len(k.rings()))
		beat, err := k.World.Beat(k.ctx, k.worker())
		k.must(err)
		k.same("wakes", true, beat.Wakes)
		n, err := k.Chores.WakeDue(k.ctx, most)
		k.must(err)
		k.same("woken", 1, n)
		k.same("rings", []jobs.ID{due}, k.rings())
		n, err = k.Chores.WakeDue(k.ctx, most)
		k.must(err)
		k.same("woken again", 0, n)
		k.must(k.World.Age(k.ctx, later))
		k.strays("later", 0)
	},
	"a look around tells of strays": func(k *kit) {
		job := k.job()
		k.around("fresh", engine.Around{})
		k.must(k.World.Age(k.ctx, job))
		k.around("old", engine.Around{Strays: true})
		l := k.claim(job, k.worker())
		k.around("owned", engine.Around{})
		k.put(job, "message", "m")
		k.around("with mail", engine.Around{Strays: true}) // it is looked at more closely when something comes of it
		k.strays("with mail", 0)
		l.commit(l.events(start(1)))
	},
	"a look around tells of jobs whose worker is dead, or gone": func(k *kit) {
		alive, dead, gone := k.worker(), k.worker(), k.worker()
		for _, w := range []uuid.UUID{alive, alive, dead, dead, gone} {
			k.claim(k.job(), w)
		}
		k.around("all alive", engine.Around{})
		k.must(k.World.Silence(k.ctx, dead))
		k.around("one silent", engine.Around{})
		_, err := k.Chores.Bury(k.ctx, []uuid.UUID{dead}, deadAfter)
		k.must(err)
		k.around("one dead", engine.Around{Orphans: true})
		k.takeOver(2)
		k.around("taken over", engine.Around{})
		k.must(k.World.Leave(k.ctx, gone))
		k.around("one gone", engine.Around{Orphans: true})
		k.takeOver(1)
		k.around("taken over again", engine.Around{})
	},
	"the sweep finds nothing when nothing was lost": func(k *kit) {
		job := k.asleep("", nil, wait{"event", `["x"]`}, wait{"pick", `["q"]`})
		k.emit("x", nil, "1")
		k.quiet()
		k.World.Pass(time.Hour)
		caught, err := k.Chores.SweepWaits(k.ctx)
		k.must(err)
		k.same("caught", 0, caught)
		k.same("mail", 1, len(k.mail(job)))
		k.must(k.Chores.Tidy(k.ctx))
	},
}

func (k *kit) strays(what string, want int) {
	k.Helper()
	n, err := k.Chores.RingStray(k.ctx, most)
	k.must(err)
	k.same(what+": rung", want, n)
}

// around compares what a look around says besides when to look again.
func (k *kit) around(what string, want engine.Around) {
	k.Helper()
	seen, err := k.Chores.LookAround(k.ctx)
	k.must(err)
	seen.Again = 0
	k.same(what+": seen", want, seen)
}

func (k *kit) takeOver(want int) {
	k.Helper()
	n, err := k.Chores.TakeOver(k.ctx)
	k.must(err)
	k.same("taken over", want, n)
}
