package store_test

import (
	"encoding/json"
	"strings"
	"testing"

	"statek/internal/jobs"
)

// TestToolsOfOddResults: whatever a statement returns, it is recorded with what it has done.
func TestToolsOfOddResults(t *testing.T) {
	t.Parallel()
	_, h := toolKit(t)
	for _, c := range []struct{ name, head, sql, want string }{
		{"no column", "value", "select from generate_series(1, 2)", "null"},
		{"a column with the name of the row", "value", "select 1 as call", "1"},
		{"that and others", "one", "select 1 as call, 2 as x", `{"call":1,"x":2}`},
		{"the first of two rows", "value", "select x from generate_series(1, 2) x", "1"},
		{"the first row of two", "one", "select x from generate_series(1, 2) x", `{"x":1}`},
		{"a name twice", "one", "select 1 as x, 2 as x", `{"x":1,"x":2}`},
		{"no numbers", "one", "select 'NaN'::float8 as n, 'infinity'::date as d", `{"n":"NaN","d":"infinity"}`},
		{"deep", "value", "select (repeat('[', 4000) || repeat(']', 4000))::json", strings.Repeat("[", 4000) + strings.Repeat("]", 4000)},
	} {
		value, fault, err := h.call("-- tool: t()\n-- returns: "+c.head+"\n"+c.sql, "", nil)
		if err != nil || fault != nil || string(value) != c.want {
			t.Errorf("%s: %.100s, %v, %v; want %.100s", c.name, value, fault, err, c.want)
		}
	}
	for _, head := range []string{"value", "one", "many"} {
		value, fault, err := h.call("-- tool: t()\n-- returns: "+head+"\nselect (repeat('[', 10001) || repeat(']', 10001))::json", "", nil)
		if err != nil || fault == nil || fault.Name != "ResultTooLarge" || value != nil {
			t.Errorf("too deep for %s: %.100s, %v, %v; want ResultTooLarge", head, value, fault, err)
		}
	}
}

// TestAToolOfTooManyRows: they are counted and not kept, and what the statement has done is done.
func TestAToolOfTooManyRows(t *testing.T) {
	t.Parallel()
	k, h := toolKit(t)
	call := h.other("insert into app.notes (text) select 'n' || i from generate_series(1, 1000) i returning text")
	call.Returns, call.Name, call.Most = "many", "fill", 1000
	var fault *jobs.Fault
	k.must(k.store.RunTool(k.ctx, call, func(v json.RawMessage, f *jobs.Fault) (jobs.Commit, jobs.Ended, error) {
		if fault = f; v != nil {
			t.Errorf("%d bytes are kept", len(v))
		}
		return h.commit(jobs.CallSettled{Call: 1, Name: "t", Error: f}), func(bool, error) {}, nil
	}))
	// {"text":"n1"} and a comma are 14 bytes, of which the number is one.
	if size := "15894 bytes and the limit is 1000"; fault == nil || fault.Name != "ResultTooLarge" || !strings.Contains(fault.Message, size) || !strings.HasPrefix(fault.Message, "fill was done") {
		t.Errorf("fault %v, want %s", fault, size)
	}
	if n := k.notes(); n != 1000 {
		t.Errorf("%d notes, want all", n)
	}
}

// TestADeferredConstraintIsTheStatements: what is refused at COMMIT is a result, whatever code it has, and the record of it is kept.
func TestADeferredConstraintIsTheStatements(t *testing.T) {
	t.Parallel()
	k, h := toolKit(t)
	k.exec(`create function app.later() returns trigger language plpgsql as $$ begin
			if new.n < 0 then raise exception 'negative' using errcode = new.text; end if;
			return null;
		end $$;
		create constraint trigger later after insert on app.notes deferrable initially deferred for each row execute function app.later()`)
	for _, code := range []string{"P0001", "23514", "22000"} {
		_, fault, err := h.call("-- tool: t()\n-- returns: none\ninsert into app.notes (n, text) values (-1, '"+code+"')", "", nil)
		if err != nil || fault == nil || fault.Code != code || fault.Message != "negative" {
			t.Errorf("%s: fault %v, error %v", code, fault, err)
		}
	}
	if n := k.notes(); n != 0 {
		t.Errorf("%d notes, want none", n)
	}
}

// TestAToolLeavesTheSession: a role and a lock that a function has taken for longer than its transaction are not kept, or every later
// statement on that connection would fail, and every later lock would wait for ever.
func TestAToolLeavesTheSession(t *testing.T) {
	t.Parallel()
	k, h := toolKit(t)
	k.exec(`create function app.stay(_fail boolean) returns text language plpgsql as $$ begin
			perform set_config('role', 'statek_tool', false), pg_advisory_lock(4711);
			if _fail then raise exception 'no'; end if;
			return 'stayed';
		end $$`)
	for _, fail := range []string{"false", "true"} {
		if _, fault, err := h.call("-- tool: t(x boolean)\n-- returns: value\nselect app.stay(:x)", "", map[string]string{"x": fail}); err != nil || (fault != nil) != (fail == "true") {
			t.Fatalf("fails %s: fault %v, error %v", fail, fault, err)
		}
		if n := k.count("select count(*) from pg_locks where locktype = 'advisory' and objid = 4711"); n != 0 {
			t.Errorf("fails %s: %d locks are left", fail, n)
		}
		for range k.pool.Stat().TotalConns() + 1 {
			if role := k.text("select current_user"); role == "statek_tool" {
				t.Errorf("fails %s: a connection has the role of tools", fail)
			}
		}
	}
}
