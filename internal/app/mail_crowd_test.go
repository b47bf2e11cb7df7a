package app_test

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/google/uuid"
)

// TestManyTellTheSameJobs: two processes, which both work, tell each of many jobs something at once, and one cancels some. Every job ends,
// nothing is left of any, and whoever was given one has run it.
func TestManyTellTheSameJobs(t *testing.T) {
	t.Parallel()
	k := newKit(t, files{
		"agents/a.md": simpleAgent, "agents/a.warmup.js": "const m = await first(message(), event('none'))\nexit(await add(m))",
		"tools/add.sql": "-- tool: add(n int)\n-- returns: value\nselect :n + 1\n",
		"replies/a.md":  "```js\nexit('told again')\n```\n----------\n```js\nexit('and again')\n```\n",
	})
	other := (&kit{t: t, url: k.url, pool: k.pool, replies: fstest.MapFS{}}).open(nil)
	other.reg = k.reg
	k.work()
	other.work()
	const n = 60
	ids := make([]uuid.UUID, n)
	for i := range ids {
		ids[i] = k.submit("a", nil).ID
	}
	k.is(fmt.Sprintf("select count(*) = %d from statek.job_state where status = 'SUSPENDED' and owner is null", n))
	var all sync.WaitGroup
	for i, id := range ids {
		for _, from := range []*kit{k, other} {
			all.Go(func() {
				if err := from.SendMessage(t.Context(), id, json.RawMessage("7"), ""); err != nil && i%5 > 0 {
					t.Error(err)
				}
			})
		}
		if i%5 == 0 {
			all.Go(func() { _ = other.Cancel(t.Context(), id, "") }) // or it has ended
		}
	}
	all.Wait()
	k.is(fmt.Sprintf("select count(*) = %d from statek.job_state where status = 'DONE' and owner is null", n))
	k.is("select not exists (select from statek.mailbox) and not exists (select from statek.waits)")
	if failed := k.one("select count(*) from statek.job_state where outcome = 'failed'"); failed > 0 {
		t.Errorf("%d jobs have failed", failed)
	}
}
