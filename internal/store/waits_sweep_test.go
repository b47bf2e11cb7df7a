package store_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"statek/internal/store"
)

// quietKit is a kit with a job for each kind of wait; nothing tells to look at any of them, and an hour has passed.
type quietKit struct {
	*changedKit
	jobs   map[string]uuid.UUID
	target uuid.UUID // of the wait for a job
}

// leaky is a temporal that never holds, unless another one's condition has left something behind.
const leaky = `-- temporal: leaky(queue text)
-- watch: app.tasks key queue
-- condition
select case when coalesce(current_setting('app.leak', true), '') <> '' then true else set_config('app.leak', :queue, true) is null end
-- complement
select 1 as n
`

func newQuietKit(t *testing.T) *quietKit {
	t.Helper()
	k := &quietKit{newChangedKit(t), map[string]uuid.UUID{}, uuid.Nil}
	k.target = k.job("/acme/dev")
	k.exec("insert into statek.job_state (job_id, status, core) values ($1, 'STARTED', '{\"seq\":0}')", k.target)
	for name, args := range map[string]string{"event": `["e"]`, "keyed": `["e",{"key":"k"}]`, "job": `["` + k.target.String() + `"]`} {
		k.jobs[name] = k.job("/acme/dev")
		k.register(k.pool, k.jobs[name], k.plan(1, strings.Replace(name, "keyed", "event", 1), nil, "", args))
	}
	for _, args := range []string{`["cfg","a"]`, `["cfg"]`} {
		k.jobs[args] = k.job("/acme/dev")
		k.register(k.pool, k.jobs[args], k.watching(1, args))
	}
	for _, text := range []string{pickTask, pickPart, leaky, strings.Replace(leaky, "leaky", "other", 1)} {
		def, id := k.define(text)
		k.jobs[def.Name] = k.job("/acme/dev")
		k.register(k.pool, k.jobs[def.Name], k.plan(1, def.Name, def, id, `["main"]`))
	}
	k.quiesce()
	k.offset.Add(int64(time.Hour))
	return k
}

// sweep sweeps, and says who has mail.
func (k *quietKit) sweep(what string, want store.Round, woken ...string) {
	k.Helper()
	round, err := k.waits.Sweep(k.ctx, time.Minute, 100)
	k.must(err)
	round.RetryIn = 0
	if round != want {
		k.Errorf("%s: got %+v, want %+v", what, round, want)
	}
	for name, job := range k.jobs {
		want := 0
		for _, w := range woken {
			if w == name {
				want = 1
			}
		}
		if got := k.mail(job); len(got) != want {
			k.Errorf("%s: %s has mail %v, want %d", what, name, got, want)
		}
	}
}

// looks counts the transactions that have noted looks at groups which somebody waits in.
func (k *quietKit) looks() int {
	k.Helper()
	return k.count("select count(distinct xmin::text) from statek.wait_groups g where exists (select from statek.waits w where w.group_id = g.id)")
}

// TestSweepAsksInCompany: what groups of all kinds were asked in vain is noted in one transaction, and what one temporal sets another does not see.
func TestSweepAsksInCompany(t *testing.T) {
	t.Parallel()
	k := newQuietKit(t)
	k.sweep("nothing lost", store.Round{Looks: len(k.jobs)})
	if n := k.looks(); n != 1 {
		t.Errorf("%d transactions have looked, want 1", n)
	}
	k.sweep("at once again", store.Round{})
	k.offset.Add(int64(time.Hour))
	k.sweep("an hour later", store.Round{Looks: len(k.jobs)})
}

// TestSweepFindsInCompany what was lost for each kind of wait, and counts it; the others are asked about together.
func TestSweepFindsInCompany(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		write string
		woken []string
	}{
		{"select statek.emit('/acme', 'e')", []string{"event"}},
		{"select statek.emit('/acme/dev', 'e', '1', 'k')", []string{"event", "keyed"}},
		{"update statek.job_state set status = 'DONE', outcome = 'succeeded', result = '1' where job_id = $1", []string{"job"}},
		{"select statek.put_object('/acme/dev', 'cfg', 'a', '1')", []string{`["cfg","a"]`, `["cfg"]`}},
		{"select statek.put_object('/acme/dev', 'cfg', 'b', '1')", []string{`["cfg"]`}},
		{"insert into app.tasks (queue) values ('main')", []string{"pickTask"}},
		{"insert into app.parts (id, queue) values (1, 'main')", []string{"pickPart"}},
	} {
		t.Run(c.woken[0], func(t *testing.T) {
			t.Parallel()
			k := newQuietKit(t)
			if strings.Contains(c.write, "$1") {
				k.exec(c.write, k.target)
			} else {
				k.exec(c.write)
			}
			k.exec("delete from statek.dirty")
			k.exec("delete from statek.wait_checks")
			n := len(c.woken)
			k.sweep("lost", store.Round{Looks: len(k.jobs), Served: n, Caught: n}, c.woken...)
			if n := k.looks(); n != 1 {
				t.Errorf("%d transactions have looked in vain, want 1", n)
			}
		})
	}
}

// TestSweepThatIsFasterThanTheDrain finds in company what marks tell of as well, and counts nothing.
func TestSweepThatIsFasterThanTheDrain(t *testing.T) {
	t.Parallel()
	k := newQuietKit(t)
	k.exec("insert into app.tasks (queue) values ('main')")
	k.sweep("marked", store.Round{Looks: len(k.jobs), Served: 1}, "pickTask")
}

// TestSweepDoesWithoutCompany when one of the groups cannot be asked: all the same, the others are looked at.
func TestSweepDoesWithoutCompany(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, condition string }{
		{"fails", "select 1 / 0"}, {"slow", "select pg_sleep(0.3) is null"}, {"writes no SQL", "selec"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			k := newQuietKit(t)
			k.exec(`update statek.temporals set definition = jsonb_set(definition::jsonb, '{condition}', jsonb_build_object('sql', $1::text, 'args', '[]'::jsonb))::json where name = 'leaky'`, c.condition)
			k.waits = store.NewWaits(k.pool, k.now) // it has read no definition yet
			k.exec("insert into app.tasks (queue) values ('main'); delete from statek.dirty")
			k.sweep(c.name, store.Round{Looks: len(k.jobs), Served: 1, Caught: 1}, "pickTask")
		})
	}
}
