package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"statek/internal/jobs"
	"statek/internal/objects"
	"statek/internal/store"
)

func version(v int64) *int64 { return &v }

// object makes a call on /acme, collection docs.
func object(name, key, value string, expected *int64) objects.Call {
	c := objects.Call{Name: name, Prefix: "/acme", Collection: "docs", Key: key, Expected: expected, By: "test"}
	if value != "" {
		c.Value = json.RawMessage(value)
	}
	return c
}

// put writes outside of a job.
func (k *jobsKit) put(key, value string, expected *int64) (objects.Object, error) {
	o, _, err := k.store.WriteObject(k.ctx, object(objects.Put, key, value, expected))
	return o, err
}

// change makes a call of the holder's open cell.
func (h *holder) change(call objects.Call) (json.RawMessage, *jobs.Fault, error) {
	h.k.Helper()
	var value json.RawMessage
	var fault *jobs.Fault
	before := h.state
	err := h.k.store.RunObject(h.k.ctx, call, func(v json.RawMessage, f *jobs.Fault) (jobs.Commit, jobs.Ended, error) {
		value, fault = v, f
		settled := jobs.CallSettled{Call: h.state.Cell.Issued, Name: call.Name, Value: v, Error: f}
		next := jobs.CallIssued{Call: h.state.Cell.Issued + 1, Name: "t", Class: jobs.Tool, Args: json.RawMessage("[]")}
		return h.commit(settled, next), func(_ bool, err error) {
			if err != nil {
				h.state = before
			}
		}, nil
	})
	return value, fault, err
}

// holding is a job whose cell has an open call.
func (k *jobsKit) holding() *holder {
	k.Helper()
	h := k.claimed(k.job(), k.worker())
	_, err := k.store.Commit(k.ctx, h.commit(start(1), jobs.CallIssued{Call: 1, Name: "t", Class: jobs.Tool, Args: json.RawMessage("[]")}))
	k.must(err)
	return h
}

// TestObjectVersions walks one object through its life: versions only grow, also over deletion and collection.
func TestObjectVersions(t *testing.T) {
	t.Parallel()
	k := newJobsKit(t)
	steps := []struct {
		what     string
		value    string // empty: delete
		expected *int64
		version  int64 // 0: there was nothing to delete; -1: refused
		current  int64 // when refused
	}{
		{"delete what never was", "", nil, 0, 0},
		{"expect what never was", `1`, version(3), -1, 0},
		{"expect some version of it", `1`, version(objects.Present), -1, 0},
		{"make", `{"n":1.0}`, version(0), 1, 0},
		{"make again", `2`, version(0), -1, 1},
		{"overwrite", `2`, nil, 2, 0},
		{"write an old version", `3`, version(1), -1, 2},
		{"write the current version", `null`, version(2), 3, 0},
		{"write some version", `4`, version(objects.Present), 4, 0},
		{"delete an old version", "", version(3), -1, 4},
		{"delete", "", version(4), 5, 0},
		{"delete again", "", nil, 0, 0},
		{"delete at a version", "", version(5), -1, 0},
		{"write the deleted version", `5`, version(5), -1, 0},
		{"make it anew", `6`, version(0), 6, 0},
	}
	for _, s := range steps {
		o, err := k.put("a", s.value, s.expected)
		var conflict *objects.ConflictError
		switch {
		case s.version < 0:
			if !errors.As(err, &conflict) || conflict.Version != s.current || !strings.Contains(conflict.Message, "object docs/a is") {
				t.Errorf("%s: got version %d and %v, want a conflict with version %d", s.what, o.Version, err, s.current)
			}
		case err != nil || o.Version != s.version:
			t.Errorf("%s: got version %d (%v), want %d", s.what, o.Version, err, s.version)
		}
	}
	if got := k.text("select string_agg(version || coalesce(value::text, '-'), ' ' order by version) from statek.object_history"); got != `1{"n": 1.0} 2`+`2 3null 44 5- 66` {
		t.Errorf("history = %s", got)
	}
	_, err := k.put("a", "", nil)
	k.must(err)
	k.exec("update statek.objects set updated_at = now() - interval '31 days'")
	if n, err := k.store.CollectObjects(k.ctx); n != 1 || err != nil {
		t.Fatalf("%d rows were collected (%v), want 1", n, err)
	}
	if n := k.count("select count(*) from statek.object_history"); n != 0 {
		t.Errorf("%d versions are left of an object that was collected", n)
	}
	if o, err := k.put("a", `1`, version(0)); err != nil || o.Version != 8 {
		t.Errorf("got version %d (%v) after the collection, want 8", o.Version, err)
	}
}

// TestObjectBytes: what is kept is what was written.
func TestObjectBytes(t *testing.T) {
	t.Parallel()
	k := newJobsKit(t)
	const exact = `{"z":1, "a":-0,"s":"\u0000 \ud800","n":12345678901234567890.10}`
	_, err := k.put("a", exact, nil)
	k.must(err)
	got, err := k.store.ReadObjects(k.ctx, object(objects.Get, "a", "", nil))
	k.must(err)
	if !strings.HasPrefix(string(got), `{"key":"a","value":`+exact+`,"version":1,"updatedAt":"20`) {
		t.Errorf("got %s", got)
	}
	if got, err := k.store.ReadObjects(k.ctx, object(objects.Get, "b", "", nil)); err != nil || string(got) != "null" {
		t.Errorf("got %s (%v) for an object that is not there, want null", got, err)
	}
	if n := k.count("select count(*) from statek.object_overview where value ->> 'a' = '0'"); n != 1 {
		t.Error("the view does not show an object that jsonb cannot hold")
	}
}

// TestObjectLimits are one place's for cells, REST and SQL: each says what was given and what would be right.
func TestObjectLimits(t *testing.T) {
	t.Parallel()
	k := newJobsKit(t)
	big := func(n int) string { return `"` + strings.Repeat("x", n-2) + `"` }
	cases := []struct{ name, prefix, collection, key, value, want string }{
		{"prefix", "acme", "docs", "a", "1", "prefix 'acme' is not a path"},
		{"collection", "/acme", "my docs", "a", "1", "collection 'my docs' must have 1 to 64 letters, digits, '_', '.' or '-'"},
		{"long collection", "/acme", strings.Repeat("c", 65), "a", "1", "must have 1 to 64"},
		{"empty key", "/acme", "docs", "", "1", "key '' must have 1 to 512 bytes"},
		{"long key", "/acme", "docs", strings.Repeat("é", 257), "1", "must have 1 to 512 bytes"},
		{"line in a key", "/acme", "docs", "a\nb", "1", "no control characters"},
		{"large value", "/acme", "docs", "a", big(1<<20 + 1), "the value of object docs/a has 1048577 bytes, the limit is 1048576"},
	}
	for _, c := range cases {
		_, _, err := k.store.WriteObject(k.ctx, objects.Call{Prefix: c.prefix, Collection: c.collection, Key: c.key, Value: json.RawMessage(c.value), By: "t"})
		var invalid *objects.InvalidError
		if !errors.As(err, &invalid) || !strings.Contains(invalid.Message, c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
	_, err := k.put("a", big(1<<20), nil)
	k.must(err)
	k.exec("select statek.set_object_limits('/acme', 'docs', versions => 2, max_bytes => 10)")
	if _, err := k.put("a", big(11), nil); err == nil || !strings.Contains(err.Error(), "has 11 bytes, the limit is 10") {
		t.Errorf("got %v, want the limit of the collection", err)
	}
	for i := range 5 {
		_, err := k.put("a", fmt.Sprint(i), nil)
		k.must(err)
	}
	if got := k.text("select string_agg(version::text, ' ' order by version) from statek.object_history"); got != "4 5 6" {
		t.Errorf("versions %s are kept, want the current one and two before it", got)
	}
	o, err := k.store.ObjectVersion(k.ctx, "/acme", "docs", "a", 5)
	if err != nil || string(o.Value) != "3" {
		t.Errorf("version 5 = %s (%v), want 3", o.Value, err)
	}
	if _, err := k.store.ObjectVersion(k.ctx, "/acme", "docs", "a", 1); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("version 1: got %v, want ErrNotFound", err)
	}
}

// TestObjectPages: byte order, prefixes, both bounds.
func TestObjectPages(t *testing.T) {
	t.Parallel()
	k := newJobsKit(t)
	for _, key := range []string{"b", "a/2", "a/1", "a", "ä", "a/\U0010FFFF", "aa", "B"} {
		_, err := k.put(key, `"`+strings.Repeat("v", 98)+`"`, nil)
		k.must(err)
	}
	_, err := k.put("gone", "1", nil)
	k.must(err)
	_, err = k.put("gone", "", nil)
	k.must(err)
	_, _, err = k.store.WriteObject(k.ctx, objects.Call{Prefix: "/acme/b", Collection: "docs", Key: "elsewhere", Value: json.RawMessage("1"), By: "t"})
	k.must(err)
	cases := []struct {
		begins, after string
		limit, budget int
		want, next    string
	}{
		{"", "", 50, 1 << 20, "B a a/1 a/2 a/\U0010FFFF aa b ä", ""},
		{"", "", 3, 1 << 20, "B a a/1", "a/1"},
		{"", "a/1", 3, 1 << 20, "a/2 a/\U0010FFFF aa", "aa"},
		{"", "aa", 2, 1 << 20, "b ä", ""},
		{"a/", "", 50, 1 << 20, "a/1 a/2 a/\U0010FFFF", ""},
		{"a/", "a/1", 1, 1 << 20, "a/2", "a/2"},
		{"", "", 50, 450, "B a", "a"},
		{"", "", 50, 1, "B", "B"},
		{"x", "", 50, 1 << 20, "", ""},
	}
	for _, c := range cases {
		page, err := k.store.ListObjects(k.ctx, objects.Call{Prefix: "/acme", Collection: "docs", Begins: c.begins, After: c.after, Limit: c.limit}, c.budget)
		k.must(err)
		var keys []string
		for _, o := range page.Objects {
			keys = append(keys, o.Key)
		}
		if got := strings.Join(keys, " "); got != c.want || page.Next != c.next {
			t.Errorf("%+v: got %q, next %q", c, got, page.Next)
		}
	}
}

// TestObjectCallsCommitWithTheirRecord: effect and record are there together, or neither is.
func TestObjectCallsCommitWithTheirRecord(t *testing.T) {
	t.Parallel()
	k := newJobsKit(t)
	h := k.holding()
	steps := []struct {
		call  objects.Call
		want  string // of the value, less the time
		fault *jobs.Fault
	}{
		{object(objects.Put, "a", `{"n":1.0}`, version(0)), `{"key":"a","version":1}`, nil},
		{object(objects.Put, "a", `2`, version(0)), "", &jobs.Fault{Name: "ConflictError", Code: "conflict",
			Message: "object docs/a is at version 1, expected none", Data: json.RawMessage(`{"version":1}`)}},
		{object(objects.Update, "a", `{"m":2.0}`, nil), `{"key":"a","value":{"n":1.0,"m":2.0},"version":2}`, nil},
		{object(objects.Update, "a", `{"n":null}`, version(1)), "", &jobs.Fault{Name: "ConflictError", Code: "conflict",
			Message: "object docs/a is at version 2, expected version 1", Data: json.RawMessage(`{"version":2}`)}},
		{object(objects.Update, "new", `{"a":{"b":null}}`, nil), `{"key":"new","value":{"a":{}},"version":1}`, nil},
		{object(objects.Delete, "a", "", nil), `{"key":"a","version":3}`, nil},
		{object(objects.Delete, "a", "", nil), `null`, nil},
		{object(objects.Update, "a", `{"n":4}`, nil), `{"key":"a","value":{"n":4},"version":4}`, nil},
		{object(objects.Put, "a", `"`+strings.Repeat("x", 1<<20)+`"`, nil), "", &jobs.Fault{Name: "LimitError", Code: "limit",
			Message: "the value of object docs/a has 1048578 bytes, the limit is 1048576"}},
	}
	for i, s := range steps {
		value, fault, err := h.change(s.call)
		if err != nil {
			t.Fatalf("step %d: the record was lost: %v", i, err)
		}
		if diff := cmp.Diff(s.fault, fault); diff != "" {
			t.Errorf("step %d (-want +got):\n%s", i, diff)
		}
		text := string(value)
		if at := strings.Index(text, `,"updatedAt"`); at >= 0 {
			text = text[:at] + "}"
		}
		if text != s.want {
			t.Errorf("step %d: got %s, want %s", i, text, s.want)
		}
		if got := k.count("select count(*) from statek.history_entries where kind = 'call_settled'"); got != i+1 {
			t.Errorf("step %d: %d results are recorded, want %d", i, got, i+1)
		}
	}
	k.bury(h.rec.Owner)
	k.claimed(h.rec.Job, k.worker())
	if _, _, err := h.change(object(objects.Put, "ghost", `1`, nil)); !errors.Is(err, jobs.ErrFenced) {
		t.Errorf("error = %v, want ErrFenced", err)
	}
	if n := k.count("select count(*) from statek.objects where key = 'ghost'"); n != 0 {
		t.Error("a job that was lost has written an object")
	}
}

// TestObjectConflictsBetweenSessions: a writer that expects a version waits for one that is under way, and is then
// refused; rolled back, it is not. A patch waits and is applied to what the other one left.
func TestObjectConflictsBetweenSessions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, seed string
		call       objects.Call
		rollback   bool
		conflict   int64  // the version that is reported, -1: none
		want       string // the value in the end
	}{
		{name: "put", seed: `{"n":0}`, call: object(objects.Put, "a", `"late"`, version(1)), conflict: 2, want: `{"first":true}`},
		{name: "put, the first one rolled back", seed: `{"n":0}`, call: object(objects.Put, "a", `"late"`, version(1)), rollback: true, conflict: -1, want: `"late"`},
		{name: "make", call: object(objects.Put, "a", `"late"`, version(0)), conflict: 1, want: `{"first":true}`},
		{name: "make, the first one rolled back", call: object(objects.Put, "a", `"late"`, version(0)), rollback: true, conflict: -1, want: `"late"`},
		{name: "patch", seed: `{"n":0}`, call: object(objects.Update, "a", `{"late":true}`, nil), conflict: -1, want: `{"first":true,"late":true}`},
		{name: "patch what is being made", call: object(objects.Update, "a", `{"late":true}`, nil), conflict: -1, want: `{"first":true,"late":true}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			k := newJobsKit(t)
			if c.seed != "" {
				_, err := k.put("a", c.seed, nil)
				k.must(err)
			}
			h := k.holding()
			first := k.session()
			_, err := first.Exec(k.ctx, `select statek.put_object('/acme', 'docs', 'a', '{"first":true}')`)
			k.must(err)
			var fault *jobs.Fault
			done := make(chan error, 1)
			go func() {
				var err error
				_, fault, err = h.change(c.call)
				done <- err
			}()
			k.blocked(1)
			if c.rollback {
				k.must(first.Rollback(k.ctx))
			} else {
				k.must(first.Commit(k.ctx))
			}
			k.must(<-done)
			switch {
			case c.conflict < 0 && fault != nil:
				t.Errorf("got %v, want no fault", fault)
			case c.conflict >= 0 && (fault == nil || string(fault.Data) != fmt.Sprintf(`{"version":%d}`, c.conflict)):
				t.Errorf("got %+v, want a conflict with version %d", fault, c.conflict)
			}
			if got := k.text("select value::text from statek.objects"); got != c.want {
				t.Errorf("value = %s, want %s", got, c.want)
			}
		})
	}
}

// TestObjectCounters: many writers that expect what they have read lose nothing.
func TestObjectCounters(t *testing.T) {
	t.Parallel()
	k := newJobsKit(t)
	const writers, rounds = 4, 25
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for range rounds {
				for {
					n, expected := 0, version(0)
					o, err := k.store.Object(k.ctx, "/acme", "docs", "n")
					if err == nil {
						expected = &o.Version
						err = json.Unmarshal(o.Value, &n)
					}
					if err != nil && !errors.Is(err, store.ErrNotFound) {
						t.Error(err)
						return
					}
					_, err = k.put("n", fmt.Sprint(n+1), expected)
					if err == nil {
						break
					}
					if conflict := (*objects.ConflictError)(nil); !errors.As(err, &conflict) {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	all.Wait()
	o, err := k.store.Object(k.ctx, "/acme", "docs", "n")
	want := objects.Object{Key: "n", Version: writers * rounds, Value: json.RawMessage("100"), UpdatedBy: "test"}
	if diff := cmp.Diff(want, o, cmpopts.IgnoreTypes(time.Time{})); err != nil || diff != "" {
		t.Errorf("(%v) (-want +got):\n%s", err, diff)
	}
}

// TestCollectingRacesWithWriters: a new life begins above the old one, whoever comes first.
func TestCollectingRacesWithWriters(t *testing.T) {
	t.Parallel()
	k := newJobsKit(t)
	_, err := k.put("a", "1", nil)
	k.must(err)
	_, err = k.put("a", "", nil)
	k.must(err)
	collector := k.session()
	_, err = collector.Exec(k.ctx, "select statek.collect_objects(now() + interval '1 hour', 10)")
	k.must(err)
	done := make(chan error, 1)
	var made objects.Object
	go func() {
		var err error
		made, err = k.put("a", "2", version(0))
		done <- err
	}()
	k.blocked(1)
	k.must(collector.Commit(k.ctx))
	k.must(<-done)
	if made.Version != 3 {
		t.Errorf("the new object begins at version %d, want 3", made.Version)
	}
}
