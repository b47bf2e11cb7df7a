package store_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"statek/internal/objects"
	"statek/internal/store"
	"statek/internal/temporal"
)

// changedKit is a waitsKit with the objects of its database.
type changedKit struct {
	*waitsKit
	store *store.Store
}

func newChangedKit(t testing.TB) *changedKit {
	t.Helper()
	k := newWaitsKit(t)
	return &changedKit{k, store.New(k.pool, nil, k.now)}
}

// watching plans objects.changed as an engine does: it reads the mark when the code gave none.
func (k *changedKit) watching(call int, args string) temporal.Spec {
	k.Helper()
	spec := k.plan(call, objects.Changed, nil, "", args)
	if open, ok := temporal.Unmarked(spec); ok {
		mark, err := k.store.MarkObjects(k.ctx, "/acme/dev", open.Collection, open.Key)
		k.must(err)
		spec = temporal.Marked(spec, open, mark)
	}
	return spec
}

const putOne = "select statek.put_object('/acme/dev', '%s', 'a', '{\"n\":1.0}')"

// TestNoChangeIsLost runs every order of a wait for a change (mark, register, commit, stamp, settle), a writer and a
// drain, with real sessions. The job must wake exactly when the write was committed after the mark was read.
func TestNoChangeIsLost(t *testing.T) {
	t.Parallel()
	del := "select statek.delete_object('/acme/dev', '%s', 'a')"
	for _, s := range []struct {
		name, seed, early, write, end string
	}{
		{name: "made", write: "begin; " + putOne},
		{name: "written again", seed: putOne, write: "begin; " + putOne},
		{name: "deleted", seed: putOne, write: "begin; " + del},
		{name: "xid early", early: "begin; select pg_current_xact_id()", write: putOne},
		{name: "repeatable read, snapshot early", early: "begin isolation level repeatable read; select 1 from statek.objects", write: putOne},
		{name: "serializable", write: "begin isolation level serializable; " + putOne},
		{name: "savepoint", write: "begin; savepoint a; " + putOne + "; release a"},
		{name: "rolled back", write: "begin; " + putOne, end: "rollback"},
	} {
		for name, args := range map[string]string{"object": `["%s","a"]`, "collection": `["%s"]`} {
			t.Run(s.name+", "+name, func(t *testing.T) {
				t.Parallel()
				c := &changes{changedKit: newChangedKit(t), seed: s.seed, early: s.early, write: s.write, end: s.end, args: args, open: map[uuid.UUID]outcome{}}
				if c.end == "" {
					c.end = "commit"
				}
				c.waiter, c.writer = c.session(), c.session()
				c.all("", map[byte]int{'R': 5, 'W': 2, 'D': 1})
				c.verify()
				if c.n != 168 {
					t.Errorf("%d orders ran, want 168", c.n)
				}
			})
		}
	}
}

// changes runs one writer in all orders.
type changes struct {
	*changedKit
	seed, early, write, end, args string
	waiter, writer                *pgxpool.Conn
	n                             int
	spec                          temporal.Spec
	open                          map[uuid.UUID]outcome
}

// outcome is what must come of an order: how many values its job gets.
type outcome struct {
	order  string
	values int
}

func (c *changes) all(order string, left map[byte]int) {
	done := true
	for _, actor := range []byte("RWD") {
		if left[actor] > 0 {
			done = false
			left[actor]--
			c.all(order+string(actor), left)
			left[actor]++
		}
	}
	if done {
		c.n++
		c.run(order)
	}
}

func (c *changes) run(order string) {
	c.Helper()
	// Orders have collections of their own, so no later write can hide a loss.
	named := func(text string) string { return strings.ReplaceAll(text, "%s", fmt.Sprintf("c%d", c.n)) }
	if c.seed != "" {
		c.exec(named(c.seed))
	}
	job := c.job("/acme/dev")
	if c.early != "" {
		c.do(c.writer, c.early)
	}
	at := map[rune]int{}
	marked, want := false, 0
	for _, actor := range order {
		at[actor]++
		switch {
		case actor == 'D':
			_, err := c.waits.Drain(c.ctx)
			c.must(err)
		case actor == 'R':
			marked = true
			c.registration(at['R'], job, named(c.args))
		case at['W'] == 1:
			c.do(c.writer, named(c.write))
		default:
			c.do(c.writer, c.end)
			if marked && c.end == "commit" {
				want = 1
			}
		}
	}
	c.open[job] = outcome{order, want}
}

// verify lets everything that is owed happen and asks whether each job woke.
func (c *changes) verify() {
	c.Helper()
	c.quiesce()
	for job, want := range c.open {
		if got := c.mail(job); len(got) != want.values {
			c.Errorf("order %s: job got %q, want %d values", want.order, got, want.values)
		}
	}
}

func (c *changes) registration(step int, job uuid.UUID, args string) {
	c.Helper()
	var err error
	switch step {
	case 1:
		c.spec = c.watching(1, args)
	case 2:
		c.do(c.waiter, "begin")
		c.register(c.waiter, job, c.spec)
	case 3:
		c.do(c.waiter, "commit")
	case 4:
		_, err = c.waits.Stamp(c.ctx)
	default:
		_, err = c.waits.Settle(c.ctx, 100)
	}
	c.must(err)
}

func (c *changes) do(on *pgxpool.Conn, sql string) {
	c.Helper()
	_, err := on.Exec(c.ctx, sql)
	c.must(err)
}

// TestWhatAChangeTells: the values, and that since is exact whatever came before.
func TestWhatAChangeTells(t *testing.T) {
	t.Parallel()
	k := newChangedKit(t)
	put := func(key, value string) {
		k.exec("select statek.put_object('/acme/dev', 'cfg', $1, $2::json)", key, value)
	}
	told := func(spec temporal.Spec) map[string]any {
		t.Helper()
		job := k.job("/acme/dev")
		k.register(k.pool, job, spec)
		k.quiesce()
		mail := k.mail(job)
		if len(mail) != 1 {
			t.Fatalf("%s: got %q, want one value", spec.Group.Args, mail)
		}
		_, text, _ := strings.Cut(mail[0], "resolved 1/1 ")
		var got map[string]any
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Fatalf("%s: %v", mail[0], err)
		}
		delete(got, "updatedAt")
		return got
	}
	put("a", `{ "n": 1.0 }`)
	before := k.watching(1, `["cfg"]`)
	put("b", `1`)
	put("a", `{ "n": 2.0 }`)
	want := map[string]any{"key": "a", "version": 2.0, "value": map[string]any{"n": 2.0}}
	if diff := cmp.Diff(want, told(k.watching(1, `["cfg","a",{"since":1}]`))); diff != "" {
		t.Errorf("an object that is ahead (-want +got):\n%s", diff)
	}
	got := told(before)
	cursor, _ := got["since"].(string)
	delete(got, "since")
	changed := func(key string, version float64, deleted bool) any {
		return map[string]any{"key": key, "version": version, "deleted": deleted}
	}
	if diff := cmp.Diff(map[string]any{"changed": []any{changed("a", 2, false), changed("b", 1, false)}, "more": false}, got); diff != "" {
		t.Errorf("a collection (-want +got):\n%s", diff)
	}
	next := k.watching(1, `["cfg",{"since":"`+cursor+`"}]`)
	k.exec("select statek.delete_object('/acme/dev', 'cfg', 'b')")
	got = told(next)
	delete(got, "since")
	if diff := cmp.Diff(map[string]any{"changed": []any{changed("b", 2, true)}, "more": false}, got); diff != "" {
		t.Errorf("the next change of the collection (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]any{"key": "b", "version": 2.0, "value": nil, "deleted": true}, told(k.watching(1, `["cfg","b",{"since":1}]`))); diff != "" {
		t.Errorf("a deleted object (-want +got):\n%s", diff)
	}
	k.exec("update statek.objects set updated_at = '2020-01-01' where value is null")
	if n, err := k.store.CollectObjects(k.ctx); n != 1 || err != nil {
		t.Fatalf("%d objects were collected (%v), want 1", n, err)
	}
	if got := told(k.watching(1, `["cfg","b",{"since":1}]`)); got["deleted"] != true || got["version"] != 2.0 {
		t.Errorf("got %v for an object that is gone without a trace, want its deletion", got)
	}
	if got := told(k.watching(1, `["cfg",{"since":"9000000000000:9000000000000:"}]`)); len(got["changed"].([]any)) != 0 {
		t.Errorf("got %v for a snapshot of another cluster, want an empty list and a new snapshot", got)
	}
}

// TestChangesReachWhoWaitsForThem and nobody else: not another prefix, collection or key, and not at all when the
// version is not exceeded. All who saw the same version are told in one look.
func TestChangesReachWhoWaitsForThem(t *testing.T) {
	t.Parallel()
	k := newChangedKit(t)
	k.exec("select statek.put_object('/acme/dev', 'cfg', 'a', '1')")
	crowd := make([]uuid.UUID, 20)
	for i := range crowd {
		crowd[i] = k.job("/acme/dev")
		k.register(k.pool, crowd[i], k.watching(1, `["cfg","a"]`))
	}
	calm := map[string]uuid.UUID{}
	for _, args := range []string{`["cfg","b"]`, `["cfg","a",{"since":2}]`, `["cfg2"]`, `["cfg2","a"]`} {
		calm[args] = k.job("/acme/dev")
		k.register(k.pool, calm[args], k.watching(1, args))
	}
	k.quiesce()
	k.exec("select statek.put_object('/acme', 'cfg', 'a', '1'), statek.put_object('/acme/dev/x', 'cfg', 'a', '1')")
	k.quiesce()
	if n := k.count("select count(*) from statek.mailbox"); n != 0 {
		t.Fatalf("%d values were given for objects of other prefixes", n)
	}
	k.exec("select statek.put_object('/acme/dev', 'cfg', 'a', '2')")
	round, err := k.waits.Drain(k.ctx)
	if err != nil || round.Served != len(crowd) {
		t.Errorf("served %d in %d looks (%v), want %d", round.Served, round.Looks, err, len(crowd))
	}
	k.quiesce()
	for _, job := range crowd {
		if got := k.mail(job); len(got) != 1 || !strings.Contains(got[0], `"version":2`) {
			t.Errorf("got %q, want version 2 once", got)
		}
	}
	for args, job := range calm {
		if got := k.mail(job); len(got) != 0 {
			t.Errorf("%s got %q", args, got)
		}
	}
	if round, err := k.waits.Sweep(k.ctx, 0, 100); err != nil || round.Caught != 0 {
		t.Errorf("a sweep caught %d (%v), want 0", round.Caught, err)
	}
}
