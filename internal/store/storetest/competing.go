package storetest

import (
	"encoding/json"
	"strings"
	"time"

	"statek/internal/jobs"
	"statek/internal/temporal"
)

// competing is who gets what only one can have.
var competing = map[string]func(*kit){
	"tasks go to those who wait in the order of their waiting": func(k *kit) {
		a, b, c := k.asleep("", nil, wait{"pick", `["q"]`}), k.asleep("", nil, wait{"pick", `["q"]`}), k.asleep("", nil, wait{"pick", `["q"]`})
		for range 2 {
			k.must(k.World.AddTask(k.ctx, "q"))
		}
		k.must(k.World.AddTask(k.ctx, "other"))
		k.quiet()
		first, second := k.task(a), k.task(b)
		if first >= second {
			k.Errorf("tasks %d and %d, want the older one first", first, second)
		}
		k.same("mail of the third", 0, len(k.mail(c)))
		k.same("rings", sorted([]jobs.ID{a, b}), sorted(k.rings()))
		k.must(k.World.AddTask(k.ctx, "q"))
		k.quiet()
		k.task(c)
	},
	"a task that was there is taken at once": func(k *kit) {
		k.must(k.World.AddTask(k.ctx, "q"))
		k.quiet()
		k.task(k.asleep("", nil, wait{"pick", `["q"]`}))
	},
	"the first member of a set takes the others back": func(k *kit) {
		job := k.asleep(temporal.First, []int{1, 2, 3}, wait{"event", `["x"]`}, wait{"pick", `["q"]`}, wait{"sleep", `["1h"]`})
		other := k.asleep("", nil, wait{"pick", `["q"]`})
		k.emit("x", nil, "1")
		k.quiet()
		k.World.Pass(time.Hour)
		k.must(k.World.AddTask(k.ctx, "q"))
		k.quiet()
		k.same("mail", []string{"resolved 1/1 1"}, k.mail(job))
		k.task(other)
	},
	"in a first, a timeout decides": func(k *kit) {
		job := k.asleep(temporal.First, []int{1, 2}, wait{"event", `["x", {"timeout": "1h"}]`}, wait{"event", `["y"]`})
		k.World.Pass(time.Hour)
		k.quiet()
		k.emit("y", nil, "1")
		k.quiet()
		k.same("mail", []string{"timeout 1/1 null"}, k.mail(job))
	},
	"in an any, a timeout only leaves": func(k *kit) {
		job := k.asleep(temporal.Any, []int{1, 2, 3}, wait{"event", `["x", {"timeout": "1h"}]`}, wait{"event", `["y"]`}, wait{"event", `["z"]`})
		k.World.Pass(time.Hour)
		k.quiet()
		k.emit("y", nil, "1")
		k.quiet()
		k.emit("z", nil, "2")
		k.quiet()
		k.same("mail", []string{"timeout 1/1 null", "resolved 1/2 1"}, k.mail(job))
	},
	"of two that are due at once the earlier decides": func(k *kit) {
		job := k.asleep(temporal.First, []int{1, 2}, wait{"sleep", `["2h"]`}, wait{"sleep", `["1h"]`})
		k.World.Pass(3 * time.Hour)
		k.quiet()
		k.same("mail", []string{"resolved 1/2 null"}, k.mail(job))
	},
	"a set that is joined after a member has won withdraws the others": func(k *kit) {
		for mode, want := range map[temporal.Mode][]string{
			temporal.First: {"timeout 1/1 null"}, temporal.Any: {"timeout 1/1 null", "resolved 1/2 2"},
		} {
			job, w := k.job(), k.worker()
			k.sleeps(job, w, "", nil, wait{"event", `["late", {"timeout": "1h"}]`}, wait{"event", `["y"]`})
			k.World.Pass(time.Hour)
			k.quiet()
			l := k.claim(job, w)
			c := l.events(jobs.TakenOver{})
			c.Sets = []temporal.Set{{Cell: 1, Calls: []int{1, 2}, Mode: mode}}
			l.commit(c)
			k.emit("y", nil, "2")
			k.quiet()
			k.same(string(mode), want, k.mail(job))
		}
	},
	"a set that is joined after a value withdraws the others": func(k *kit) {
		job, w := k.job(), k.worker()
		k.sleeps(job, w, "", nil, wait{"event", `["x"]`}, wait{"event", `["y"]`})
		k.emit("x", nil, "1")
		k.quiet()
		l := k.claim(job, w)
		c := l.events(jobs.TakenOver{})
		c.Sets = []temporal.Set{{Cell: 1, Calls: []int{1, 2}, Mode: temporal.Any}}
		l.commit(c)
		k.emit("y", nil, "2")
		k.quiet()
		k.same("mail", []string{"resolved 1/1 1"}, k.mail(job))
	},
	"a message wins its set, and can neither lose nor time out any more": func(k *kit) {
		job, w := k.job(), k.worker()
		k.sleeps(job, w, temporal.Any, []int{1, 2, 3}, wait{"message", `[{"timeout": "1h"}]`}, wait{"event", `["x"]`}, wait{"sleep", `["1h"]`})
		l := k.claim(job, w)
		for range 2 { // whoever takes it again after a crash hears the same
			won, err := k.Jobs.TakeMessage(k.ctx, l.Hold, 1, 1)
			k.must(err)
			k.same("won", true, won)
			k.World.Pass(2 * time.Hour)
			k.emit("x", nil, "1")
			k.quiet()
			k.same("mail", 0, len(k.mail(job)))
		}
	},
	"a message loses to a member that was faster, and to a wait that is not there": func(k *kit) {
		job, w := k.job(), k.worker()
		k.sleeps(job, w, temporal.First, []int{1, 2}, wait{"message", `[]`}, wait{"event", `["x"]`})
		k.emit("x", nil, "1")
		k.quiet()
		l := k.claim(job, w)
		for _, call := range []int{1, 7} {
			won, err := k.Jobs.TakeMessage(k.ctx, l.Hold, 1, call)
			k.must(err)
			k.same("won", false, won)
		}
	},
	"a value that is given back is the next one's": func(k *kit) {
		job, w := k.job(), k.worker()
		k.sleeps(job, w, "", nil, wait{"pick", `["q"]`})
		k.must(k.World.AddTask(k.ctx, "q"))
		k.quiet()
		task := k.task(job)
		next := k.asleep("", nil, wait{"pick", `["q"]`})
		l := k.claim(job, w)
		discard := temporal.Discard{
			Cell: 1, Call: 1, Name: "pick", Temporal: PickID().String(), Args: []json.RawMessage{json.RawMessage(`"q"`)}, Value: l.Mail[0].Payload,
		}
		plain := temporal.Discard{Cell: 1, Call: 2, Name: "event", Value: json.RawMessage("1")}
		var outcomes []string
		settle := func(list []string) (jobs.Commit, jobs.Ended, error) {
			outcomes = list
			c := l.events(jobs.ValueDiscarded{Cell: 1, Call: 1, Name: "pick", Value: discard.Value, Release: list[0]})
			c.Mail = []int64{l.Mail[0].ID}
			return c, func(bool, error) {}, nil
		}
		k.must(k.SQL.GiveBack(k.ctx, job, Prefix, []temporal.Discard{discard, plain}, settle))
		k.same("outcomes", "done,", strings.Join(outcomes, ","))
		k.same("mail", 0, len(k.mail(job)))
		k.quiet()
		k.same("task of the next", task, k.task(next))
	},
	"what is given back without its record is not given back": func(k *kit) {
		job, w := k.job(), k.worker()
		k.sleeps(job, w, "", nil, wait{"pick", `["q"]`})
		k.must(k.World.AddTask(k.ctx, "q"))
		k.quiet()
		next := k.asleep("", nil, wait{"pick", `["q"]`})
		old := k.claim(job, w)
		k.claim(job, w)
		discard := temporal.Discard{
			Cell: 1, Call: 1, Name: "pick", Temporal: PickID().String(), Args: []json.RawMessage{json.RawMessage(`"q"`)}, Value: old.Mail[0].Payload,
		}
		err := k.SQL.GiveBack(k.ctx, job, Prefix, []temporal.Discard{discard}, func([]string) (jobs.Commit, jobs.Ended, error) {
			return old.events(jobs.ValueDiscarded{Cell: 1, Call: 1}), func(bool, error) {}, nil
		})
		k.fenced("giving back", err)
		k.quiet()
		k.same("mail of the next", 0, len(k.mail(next)))
	},
}

// task is the id of the task that a job's only wait has got.
func (k *kit) task(job jobs.ID) int64 {
	k.Helper()
	rows, err := k.Jobs.Mail(k.ctx, job)
	k.must(err)
	var task struct {
		ID    int64
		Queue string
	}
	if len(rows) != 1 || rows[0].Kind != "resolved" {
		k.Fatalf("mail = %v, want a task", letters(rows))
	}
	k.must(json.Unmarshal(rows[0].Payload, &task))
	k.same("queue", "q", task.Queue)
	return task.ID
}
