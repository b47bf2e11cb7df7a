package app_test

import (
	"context"
	"testing"

	"statek/internal/jsvm"
)

// closer is a machine that tells when a session is closed.
type closer struct {
	jsvm.Machine
	closed chan struct{}
}

type closable struct {
	jsvm.Session
	closed chan struct{}
}

// Open implements jsvm.Machine.
func (c closer) Open(ctx context.Context, setup jsvm.Setup) (jsvm.Session, error) {
	s, err := c.Machine.Open(ctx, setup)
	return closable{s, c.closed}, err
}

// Close implements jsvm.Session.
func (c closable) Close() {
	c.Session.Close()
	select {
	case c.closed <- struct{}{}:
	default:
	}
}

// TestACallWhoseCellWasEndedMeanwhile: an interrupt ends the cell while its last call shares a transaction. Nothing of the call is left, the job
// goes on, and so do the calls of others.
func TestACallWhoseCellWasEndedMeanwhile(t *testing.T) {
	t.Parallel()
	m := closer{jsvm.NewInProcess(), make(chan struct{}, 1)}
	k := newKitOn(t, m, nil)
	k.replies["a.md"] = reply("```js\nawait hold()\n```\n----------\n```js\nexit('after')\n```")
	k.exec("create schema app; create table app.ledger (n bigint); grant usage on schema app to statek_tool; grant all on app.ledger to statek_tool")
	k.apply(files{
		"agents/a.md": simpleAgent, "agents/b.md": simpleAgent, "agents/b.warmup.js": "exit(await add())",
		"tools/hold.sql": "-- tool: hold()\n-- batch: yes\n-- returns: value\nwith l as materialized (select pg_advisory_xact_lock_shared(1)) insert into app.ledger select 1 from l returning n\n",
		"tools/add.sql":  "-- tool: add()\n-- batch: yes\n-- returns: value\ninsert into app.ledger values (2) returning n\n",
	})
	let := k.lock()
	defer let()
	k.work()
	job := k.submit("a", nil).ID
	k.is(`select exists (select from pg_locks l join pg_database d on d.oid = l.database
		where l.locktype = 'advisory' and not l.granted and d.datname = current_database())`)
	k.say(job, `"stop"`, "interrupt")
	<-m.closed
	let()
	if got := k.ended(job); string(got.Result) != `"after"` {
		k.dump(job)
		t.Errorf("the job is %s with result %s", got.Status, got.Result)
	}
	if got := k.ended(k.submit("b", nil).ID); string(got.Result) != "2" {
		t.Errorf("the other job is %s with result %s", got.Status, got.Result)
	}
	if rows := k.single("select string_agg(n::text, ',') from app.ledger"); rows != "2" {
		t.Errorf("the ledger has %q, want the other's row alone", rows)
	}
}
