package storetest

import (
	"encoding/json"
	"fmt"
	"time"

	"statek/internal/jobs"
	"statek/internal/temporal"
)

// waiting is when a wait ends, and that it ends once.
var waiting = map[string]func(*kit){
	"a sleep resolves when it is due, and rings": func(k *kit) {
		job := k.asleep("", nil, wait{"sleep", `["1h"]`})
		k.quiet()
		k.same("mail before", 0, len(k.mail(job)))
		k.World.Pass(time.Hour)
		k.quiet()
		k.same("mail", []string{"resolved 1/1 null"}, k.mail(job))
		k.same("rings", []jobs.ID{job}, k.rings())
		k.quiet()
		k.same("rings again", 0, len(k.rings()))
	},
	"any other wait times out": func(k *kit) {
		job := k.asleep("", nil, wait{"event", `["x", {"timeout": "1h"}]`}, wait{"message", `[{"timeout": "2h"}]`}, wait{"pick", `["q", {"timeout": "3h"}]`})
		k.World.Pass(2 * time.Hour)
		k.quiet()
		k.same("mail", []string{"timeout 1/1 null", "timeout 1/2 null"}, k.mail(job))
	},
	"what is withdrawn never ends": func(k *kit) {
		job, w := k.job(), k.worker()
		k.sleeps(job, w, "", nil, wait{"event", `["x"]`}, wait{"sleep", `["1h"]`}, wait{"event", `["y"]`})
		l := k.claim(job, w)
		c := l.events(jobs.TakenOver{})
		c.Withdraw = []temporal.Withdrawal{{Cell: 1, Calls: []int{1, 2}}}
		l.commit(c)
		k.World.Pass(2 * time.Hour)
		k.emit("x", nil, "1")
		k.emit("y", nil, "2")
		k.quiet()
		k.same("mail", []string{"resolved 1/3 2"}, k.mail(job))
	},
	"the end of a cell withdraws all its waits": func(k *kit) {
		job, w := k.job(), k.worker()
		k.sleeps(job, w, temporal.First, []int{1, 2}, wait{"event", `["x"]`}, wait{"sleep", `["1h"]`})
		l := k.claim(job, w)
		c := l.events(jobs.CellEnded{State: "aborted", Error: &jobs.Fault{Message: "m"}})
		c.Withdraw = []temporal.Withdrawal{{Cell: 1}}
		l.commit(c)
		k.World.Pass(2 * time.Hour)
		k.emit("x", nil, "1")
		k.quiet()
		k.same("mail", 0, len(k.mail(job)))
	},
	"an event that came first is found": func(k *kit) {
		job := k.job()
		k.emit("x", nil, "1")
		k.sleeps(job, k.worker(), "", nil, wait{"event", `["x"]`})
		k.same("mail", []string{"resolved 1/1 1"}, k.mail(job))
		k.same("rings", []jobs.ID{job}, k.rings())
	},
	"an event from before the job is not": func(k *kit) {
		k.emit("x", nil, "1")
		k.World.Pass(time.Second)
		job := k.asleep("", nil, wait{"event", `["x"]`})
		k.quiet()
		k.same("mail", 0, len(k.mail(job)))
	},
	"an event that comes later is told to all who wait": func(k *kit) {
		a, b := k.asleep("", nil, wait{"event", `["x"]`}), k.asleep("", nil, wait{"event", `["x"]`})
		other := k.asleep("", nil, wait{"event", `["y"]`})
		k.emit("x", nil, "1")
		k.quiet()
		k.same("mail", []string{"resolved 1/1 1"}, k.mail(a))
		k.same("mail", []string{"resolved 1/1 1"}, k.mail(b))
		k.same("mail of another", 0, len(k.mail(other)))
		k.same("rings", sorted([]jobs.ID{a, b}), sorted(k.rings()))
	},
	"a job gets a fact once, the oldest first, and one wait at a time": func(k *kit) {
		job := k.asleep("", nil, wait{"event", `["x"]`}, wait{"event", `["x"]`}, wait{"event", `["x"]`})
		k.emit("x", nil, "1")
		k.emit("x", nil, "2")
		k.quiet()
		k.same("mail", []string{"resolved 1/1 1", "resolved 1/2 2"}, k.mail(job))
	},
	"a keyed event is told to those who ask for its key or for none": func(k *kit) {
		job := k.asleep("", nil, wait{"event", `["x", {"key": "a"}]`}, wait{"event", `["x", {"key": "b"}]`})
		plain := k.asleep("", nil, wait{"event", `["x"]`})
		k.emit("x", new("a"), "1")
		k.emit("x", new("a"), "2") // the first one counts
		k.quiet()
		k.same("mail", []string{"resolved 1/1 1"}, k.mail(job))
		k.same("mail", []string{"resolved 1/1 1"}, k.mail(plain))
	},
	"an event of an ancestor is heard, and one of a neighbour is not": func(k *kit) {
		job := k.asleep("", nil, wait{"event", `["x"]`})
		k.must(k.World.Emit(k.ctx, "/other", "x", nil, json.RawMessage("1")))
		k.quiet()
		k.same("mail", 0, len(k.mail(job)))
		k.must(k.World.Emit(k.ctx, "/", "x", nil, json.RawMessage("2")))
		k.quiet()
		k.same("mail", []string{"resolved 1/1 2"}, k.mail(job))
	},
	"the end of a job is told to those who wait for it": func(k *kit) {
		target, w := k.job(), k.worker()
		before := k.asleep("", nil, wait{"job", fmt.Sprintf("[%q]", target)})
		k.quiet()
		k.same("mail before", 0, len(k.mail(before)))
		l := k.claim(target, w)
		c := l.events(jobs.Finished{Outcome: jobs.Cancelled, Error: "enough"})
		c.Release = true
		l.commit(c)
		k.quiet()
		after := k.asleep("", nil, wait{"job", fmt.Sprintf("[%q]", target)})
		for _, job := range []jobs.ID{before, after} {
			l := k.claim(job, w)
			var got struct{ ID, Outcome, Error string }
			if len(l.Mail) != 1 {
				k.Fatalf("mail = %v, want one row", letters(l.Mail))
			}
			k.must(json.Unmarshal(l.Mail[0].Payload, &got))
			k.same("outcome", [3]string{target.String(), "cancelled", "enough"}, [3]string{got.ID, got.Outcome, got.Error})
		}
	},
	"waiting for no job is an error": func(k *kit) {
		job := k.asleep("", nil, wait{"job", `["01980000-0000-7000-8000-000000000000"]`})
		l := k.claim(job, k.worker())
		if len(l.Mail) != 1 || l.Mail[0].Kind != "rejected" {
			k.Errorf("mail = %v, want a rejection", letters(l.Mail))
		}
	},
}

func (k *kit) emit(name string, key *string, payload string) {
	k.Helper()
	k.must(k.World.Emit(k.ctx, Prefix, name, key, json.RawMessage(payload)))
}
