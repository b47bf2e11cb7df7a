package app_test

import (
	"encoding/json"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"statek/internal/app"
	"statek/internal/pgtest"
)

// TestWorkReadsNoGrownTable: in a database with months of jobs, nothing that jobs do, and nothing that is asked about one, reads
// a grown table as a whole: the server's own counters say so, also of what happens inside functions and triggers.
func TestWorkReadsNoGrownTable(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	pgtest.Plenty(t, pgtest.Pool(t, url))
	before := pgtest.SeqScans(t, url)
	k := (&kit{t: t, url: url, pool: pgtest.Pool(t, url)}).open(files{
		"agents/m.md": simpleAgent,
		"agents/m.warmup.js": "const a = await add(1)\n" +
			"const who = await first(event('go', {key: String(n)}), sleep('1h'))\n" +
			"const b = await add(2)\n// ----------\n" +
			"await sleep(5)\n" +
			"const m = await message()\n" +
			"const t = await ready(String(n))\n" +
			"await objects.put('c', String(n), {a, b})\n" +
			"exit([m, t, (await objects.get('c', String(n))).value])",
		"tools/add.sql": "-- tool: add(n int)\n-- returns: value\nselect :n::int\n",
	})
	k.exec(reviewSchema)
	k.apply(files{"temporals/ready.sql": "-- temporal: ready(queue text)\n-- watch: app.tasks key queue\n-- condition\nselect 1 from app.tasks where queue = :queue\n" +
		"-- complement\nupdate app.tasks set state = 'taken' where queue = :queue returning id\n"})
	k.exec("select statek.set_retention('/', 'forever', 'forever', 'forever')") // removal is looked at elsewhere
	stop := k.work()
	const n = 4
	var ids []uuid.UUID
	for i := range n {
		ids = append(ids, k.submit("m", map[string]any{"n": i}).ID)
	}
	for i, id := range ids {
		k.until(id, "SUSPENDED")
		if _, _, err := k.Emit(t.Context(), "/acme", "go", strconv.Itoa(i), json.RawMessage(`1`)); err != nil {
			t.Fatal(err)
		}
		if err := k.SendMessage(t.Context(), id, json.RawMessage(`"hi"`), ""); err != nil {
			t.Fatal(err)
		}
		k.exec("insert into app.tasks (id, queue) values ($1, $2)", i, strconv.Itoa(i))
	}
	for _, id := range ids {
		if got := k.ended(id); got.Outcome != "succeeded" {
			k.dump(id)
			t.Fatalf("job %s: %s %s", id, got.Status, got.Error)
		}
		k.ask(id)
	}
	stop()
	after := pgtest.SeqScans(t, k.url)
	for name := range after {
		after[name] -= before[name]
		before[name] = 0
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("sequential scans (-before +after):\n%s", diff)
	}
}

// ask asks all that one asks about a job, and for a page of jobs.
func (k *kit) ask(id uuid.UUID) {
	k.t.Helper()
	ctx := k.t.Context()
	if _, err := k.Variables(ctx, id, nil); err != nil {
		k.t.Fatal(err)
	}
	if _, err := k.Explain(ctx, id); err != nil {
		k.t.Fatal(err)
	}
	if _, err := k.History(ctx, id, 0, 100); err != nil {
		k.t.Fatal(err)
	}
	if _, err := k.ListJobs(ctx, app.ListFilter{Prefix: "/acme", Limit: 10}); err != nil {
		k.t.Fatal(err)
	}
}
