package store_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"statek/internal/store"
)

func TestEventsAreBroadcast(t *testing.T) {
	t.Parallel()
	k := newWaitsKit(t)
	emit := func(prefix, name, payload string, key ...string) bool {
		f := store.Fact{Prefix: prefix, Name: name, Payload: json.RawMessage(payload)}
		if len(key) > 0 {
			f.Key = &key[0]
		}
		_, isNew, err := k.waits.Emit(k.ctx, f)
		k.must(err)
		return isNew
	}
	emit("/acme", "paid", `"before"`)
	a, b := k.job("/acme/dev"), k.job("/acme/dev") // plan registers at /acme/dev
	k.register(k.pool, a, k.plan(1, "event", nil, "", `["paid"]`), k.plan(2, "event", nil, "", `["paid"]`))
	k.register(k.pool, b, k.plan(1, "event", nil, "", `["paid", {"key": "o1"}]`))
	k.quiesce()
	for _, job := range []uuid.UUID{a, b} {
		if got := k.mail(job); len(got) != 0 {
			t.Errorf("got %q before anything happened", got)
		}
	}
	emit("/acme/other", "paid", `"a sibling"`)
	emit("/acme/dev/below", "paid", `"below"`)
	emit("/acme", "refunded", `"another name"`)
	emit("/acme", "paid", `{"z": 1, "a": -0}`)
	if !emit("/", "paid", `"first"`, "o1") || emit("/", "paid", `"second"`, "o1") {
		t.Error("a keyed fact is not first-write-wins")
	}
	k.quiesce()
	if diff := cmp.Diff([]string{`resolved 1/1 {"z": 1, "a": -0}`, `resolved 1/2 "first"`}, k.mail(a)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{`resolved 1/1 "first"`}, k.mail(b)); diff != "" {
		t.Error(diff)
	}
	// Each fact once per job: the next wait of b gets what it has not had, then nothing.
	k.register(k.pool, b, k.plan(2, "event", nil, "", `["paid"]`), k.plan(3, "event", nil, "", `["paid", {"since": "2000-01-01", "timeout": "1h"}]`),
		k.plan(4, "event", nil, "", `["paid", {"since": "2000-01-01", "timeout": "1h"}]`))
	k.quiesce()
	if got := k.mail(b); len(got) != 3 {
		t.Errorf("b has %q, want three facts", got)
	}
	for bad, f := range map[string]store.Fact{"prefix": {Prefix: "acme", Name: "x"}, "name": {Prefix: "/"}, "payload": {Prefix: "/", Name: "x", Payload: []byte("{")}} {
		if _, _, err := k.waits.Emit(k.ctx, f); err == nil {
			t.Errorf("a bad %s was accepted", bad)
		}
	}
}

// TestEmitWhileRegistering steps both through each order: neither sees the other's uncommitted row.
func TestEmitWhileRegistering(t *testing.T) {
	t.Parallel()
	for _, begin := range []string{"begin", "begin isolation level repeatable read; select 1 from statek.facts"} {
		for _, order := range []string{"ERer", "EReDr", "EeRr", "REre", "RErDe", "RrEe", "ERrDe", "REDer", "REeDr"} {
			t.Run(begin[:min(len(begin), 20)]+order, func(t *testing.T) {
				t.Parallel()
				k := newWaitsKit(t)
				job := k.job("/acme/dev")
				emitter, owner := k.session(), k.session()
				for _, step := range order {
					var err error
					switch step {
					case 'E':
						_, err = emitter.Exec(k.ctx, begin+"; select statek.emit('/acme', 'paid', '1', 'k')")
					case 'e':
						_, err = emitter.Exec(k.ctx, "commit")
					case 'R':
						_, err = owner.Exec(k.ctx, "begin")
						k.must(err)
						k.register(owner, job, k.plan(1, "event", nil, "", `["paid", {"key": "k"}]`))
					case 'r':
						_, err = owner.Exec(k.ctx, "commit")
					}
					k.must(err)
					if step == 'D' || step == 'r' {
						_, _, err := k.waits.Tick(k.ctx)
						k.must(err)
					}
				}
				k.quiesce()
				if diff := cmp.Diff([]string{"resolved 1/1 1"}, k.mail(job)); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

func TestFactsExpire(t *testing.T) {
	t.Parallel()
	k := newWaitsKit(t)
	_, _, err := k.waits.Emit(k.ctx, store.Fact{Prefix: "/", Name: "x"})
	k.must(err)
	for _, want := range []int{1, 0} {
		_, err := k.waits.Collect(k.ctx)
		k.must(err)
		if n := k.count("select count(*) from statek.facts"); n != want {
			t.Errorf("%d facts, want %d", n, want)
		}
		k.offset.Add(int64(8 * 24 * time.Hour))
	}
}

func TestBroadcastInPages(t *testing.T) {
	t.Parallel()
	k := newWaitsKit(t)
	const n = 1100
	k.exec(`insert into statek.jobs (prefix, agent_id, role, agent_version, spec) select '/acme/dev', $1, 'a', 1, '{}' from generate_series(1, $2)`, k.agent, n)
	first := k.job("/acme/dev")
	k.register(k.pool, first, k.plan(1, "event", nil, "", `["go"]`))
	k.exec(`insert into statek.waits (job_id, cell, call, kind, name, group_id) select j.id, 1, 1, 'event', 'event', w.group_id
		from statek.jobs j, statek.waits w where j.id <> w.job_id`)
	_, _, err := k.waits.Emit(k.ctx, store.Fact{Prefix: "/acme/dev", Name: "go"})
	k.must(err)
	round, err := k.waits.Drain(k.ctx)
	k.must(err)
	if round.Served != n+1 || round.Looks != 3 {
		t.Errorf("%+v, want %d served in 3 looks", round, n+1)
	}
}
