package store_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"statek/internal/agents"
	"statek/internal/jobs"
	"statek/internal/store"
)

const toolSchema = `
create schema app;
create table app.notes (id bigint generated always as identity primary key, text text unique, n numeric);
create sequence app.tries;
grant usage on schema app to statek_tool;
grant select, insert on app.notes to statek_tool;
grant usage on all sequences in schema app to statek_tool;
create function app.stumble(_times bigint) returns bigint language plpgsql as $$
declare n bigint := nextval('app.tries');
begin
  if n <= _times then raise exception 'try again' using errcode = '40001'; end if;
  return n;
end $$;
create function app.refuse(_code text) returns void language plpgsql as $$
begin
  raise exception 'refused' using errcode = _code;
end $$;`

// toolKit is a job whose cell has called an SQL tool.
func toolKit(t *testing.T) (*jobsKit, *holder) {
	t.Helper()
	k := newJobsKit(t)
	k.exec(toolSchema)
	h := k.claimed(k.job(), k.worker())
	_, err := k.store.Commit(k.ctx, h.commit(start(1), jobs.CallIssued{Call: 1, Name: "t", Class: jobs.Tool, Args: json.RawMessage("[]")}))
	k.must(err)
	return k, h
}

// call runs a tool's text and returns what was recorded.
func (h *holder) call(text, timeout string, args map[string]string) (json.RawMessage, *jobs.Fault, error) {
	h.k.Helper()
	tool, err := agents.ParseTool("tools/t.sql", text)
	h.k.must(err)
	limit := tool.Limit()
	if timeout != "" {
		limit, err = time.ParseDuration(timeout)
		h.k.must(err)
	}
	values := map[string]json.RawMessage{}
	for name, v := range args {
		values[name] = json.RawMessage(v)
	}
	var value json.RawMessage
	var fault *jobs.Fault
	before := h.state
	err = h.k.store.RunTool(h.k.ctx, agents.SQLRun{
		SQLCall: *tool.SQL, Values: values, Timeout: limit, Builtins: map[string]string{"job_id": h.rec.Job.String(), "prefix": "/acme"},
	}, func(v json.RawMessage, f *jobs.Fault) (jobs.Commit, jobs.Ended, error) {
		value, fault = v, f
		settled := jobs.CallSettled{Call: 1, Name: "t", Value: v, Error: f}
		next := jobs.CallIssued{Call: h.state.Cell.Issued + 1, Name: "t", Class: jobs.Tool, Args: json.RawMessage("[]")}
		settled.Call = h.state.Cell.Issued
		return h.commit(settled, next), func(_ bool, err error) {
			if err != nil {
				h.state = before
			}
		}, nil
	})
	return value, fault, err
}

func TestToolShapesItsRows(t *testing.T) {
	t.Parallel()
	_, h := toolKit(t)
	cases := []struct {
		name, head, sql, want string
		args                  map[string]string
	}{
		{"many", "t()\n-- returns: many", "select i, -i as j from generate_series(1, 2) i", `[{"i":1,"j":-1},{"i":2,"j":-2}]`, nil},
		{"many of none", "t()\n-- returns: many", "select 1 as x where false", `[]`, nil},
		{"one", "t()\n-- returns: one", "select 'a' as x, null as y", `{"x":"a","y":null}`, nil},
		{"one of none", "t()\n-- returns: one", "select 1 as x where false", `null`, nil},
		{"value", "t()\n-- returns: value", "select 'a\"b' as x, 2 as y", `"a\"b"`, nil},
		{"value of none", "t()\n-- returns: value", "select 1 where false", `null`, nil},
		{"none", "t()\n-- returns: none", "insert into app.notes (text) values ('x'), ('y')", `2`, nil},
		{"exact numbers", "t(n numeric)\n-- returns: value", "select :n + 1", `12345678901234567890123.5`, map[string]string{"n": "12345678901234567890122.5"}},
		{"big int in a string", "t(n numeric)\n-- returns: value", "select :n", `9007199254740993`, map[string]string{"n": `"9007199254740993"`}},
		{"json keeps its bytes", "t(j json)\n-- returns: value", "select :j", `{"z":1,"a":-0,"s":"\u0000 \ud800"}`, map[string]string{"j": `{"z":1,"a":-0,"s":"\u0000 \ud800"}`}},
		{"array", "t(l text[])\n-- returns: value", "select to_json(:l)", `["a,b","c\"d",null,"NULL"]`, map[string]string{"l": `["a,b","c\"d",null,"NULL"]`}},
		{"numbers in an array", "t(l bigint[])\n-- returns: value", "select cardinality(:l)", `3`, map[string]string{"l": `[1,2,3]`}},
		{"null", "t(x text)\n-- returns: value", "select :x is null", `true`, map[string]string{"x": "null"}},
		{"own job", "t()\n-- returns: value", "select :prefix || length(:job_id::text)", `"/acme36"`, nil},
		{"nul in text is shown", "t(x text)\n-- returns: value", "select length(:x)", `3`, map[string]string{"x": `"a\u0000b"`}},
	}
	for _, c := range cases {
		value, fault, err := h.call("-- tool: "+c.head+"\n"+c.sql, "", c.args)
		if err != nil || fault != nil {
			t.Errorf("%s: fault %v, error %v", c.name, fault, err)
		} else if string(value) != c.want {
			t.Errorf("%s: got %s, want %s", c.name, value, c.want)
		}
	}
}

// TestToolFailuresAreResults: the statement's failure is recorded in the same transaction, and what it did is
// taken back.
func TestToolFailuresAreResults(t *testing.T) {
	t.Parallel()
	k, h := toolKit(t)
	k.exec("insert into app.notes (text) values ('taken')")
	cases := []struct{ name, sql, timeout, code, message string }{
		{"constraint", "insert into app.notes (text) values ('fresh'), ('taken')", "", "23505", "duplicate key"},
		{"division", "select 1/0", "", "22012", "division by zero"},
		{"no such table", "select * from app.nothing", "", "42P01", "app.nothing"},
		{"no right", "delete from app.notes", "", "42501", "permission denied"},
		{"statek is closed", "select * from statek.jobs", "", "42501", "permission denied for schema statek"},
		{"river is closed", "select * from river.river_job", "", "42501", "permission denied for schema river"},
		{"timeout", "select pg_sleep(10)", "50ms", "57014", "timeout"},
		{"the code of a lost job", "select app.refuse('ST001')", "", "ST001", "refused"},
	}
	for i, c := range cases {
		_, fault, err := h.call("-- tool: t()\n-- returns: none\n"+c.sql, c.timeout, nil)
		if err != nil {
			t.Fatalf("%s: the record was lost: %v", c.name, err)
		}
		if fault == nil || fault.Code != c.code || !strings.Contains(fault.Message, c.message) {
			t.Errorf("%s: got %v, want %s %s", c.name, fault, c.code, c.message)
		}
		if got := k.count("select count(*) from statek.history_entries where kind = 'call_settled' and payload ->> 'error' is not null"); got != i+1 {
			t.Errorf("%s: %d failures are recorded, want %d", c.name, got, i+1)
		}
	}
	if got := k.text("select string_agg(text, ',') from app.notes"); got != "taken" {
		t.Errorf("notes = %s, want what a failed tool did taken back", got)
	}
}

// TestToolOfALostJobLeavesNothing: the fence comes last and takes the tool's effect with it.
func TestToolOfALostJobLeavesNothing(t *testing.T) {
	t.Parallel()
	k, h := toolKit(t)
	k.bury(h.rec.Owner)
	k.claimed(h.rec.Job, k.worker())
	_, _, err := h.call("-- tool: t()\n-- returns: none\ninsert into app.notes (text) values ('ghost')", "", nil)
	if err == nil || !strings.Contains(err.Error(), jobs.ErrFenced.Error()) {
		t.Errorf("error = %v, want ErrFenced", err)
	}
	if n := k.count("select count(*) from app.notes"); n != 0 {
		t.Errorf("%d notes are left, want none", n)
	}
}

// TestToolThatLostARaceMayBeTriedAgain: a serialization failure is no result.
func TestToolThatLostARaceMayBeTriedAgain(t *testing.T) {
	t.Parallel()
	_, h := toolKit(t)
	const sql = "-- tool: t()\n-- returns: value\nselect app.stumble(2)"
	for try := 1; try <= 3; try++ {
		value, fault, err := h.call(sql, "", nil)
		if try < 3 && (!store.Concurrent(err) || fault != nil) {
			t.Fatalf("try %d: %s, %v, %v; want an error that may be tried again", try, value, fault, err)
		}
		if try == 3 && (err != nil || string(value) != "3") {
			t.Errorf("try 3: %s, %v", value, err)
		}
	}
}

// TestAnythingThatIsPrintedIsStored: NUL, lone surrogates and broken UTF-8 in any text or JSON of a commit.
func TestAnythingThatIsPrintedIsStored(t *testing.T) {
	t.Parallel()
	k := newJobsKit(t)
	job := k.job()
	h := k.claimed(job, k.worker())
	const value = `{"zebra":1,"a":-0,"bb":[1e400,"\u0000","\ud800","</script>"]}`
	nasty := "nul \x00, half \xed\xa0\x80, broken \xff\xfe"
	c := h.commit(
		start(1), jobs.Console{Lines: []string{nasty}},
		jobs.CallIssued{Call: 1, Name: "t", Class: jobs.Tool, Args: json.RawMessage("[" + value + "]")},
		jobs.CallSettled{Call: 1, Name: "t", Value: json.RawMessage(value)},
		jobs.CellEnded{State: "done", Echo: nasty, Exit: &jobs.Exit{Result: json.RawMessage(value)}, Notes: []string{nasty}},
		jobs.Finished{Outcome: jobs.Succeeded, Result: json.RawMessage(value), Error: nasty},
	)
	c.BlockedOn, c.BlockedWhy = nasty, nasty
	c.Variables = []jobs.Workspace{{Cell: 1, Set: []jobs.Variable{
		{Name: "v", Value: []byte(value), Type: nasty}, {Name: "refused", Type: "x", Refused: nasty},
		{Name: "odd \x00 name \xff", Value: []byte("1"), Type: "number"},
	}}}
	c.Usage = []jobs.Usage{{Seq: 2, At: time.Now(), Provider: "P", Model: nasty}}
	if _, err := k.store.Commit(k.ctx, c); err != nil {
		t.Fatal(err)
	}
	entries, err := k.store.CellHistory(k.ctx, job, 1, 0)
	k.must(err)
	issued, _ := entries[2].Event.(jobs.CallIssued)
	settled, _ := entries[3].Event.(jobs.CallSettled)
	vars, err := k.store.Variables(k.ctx, job, nil)
	k.must(err)
	byName := map[string]string{}
	for _, v := range vars {
		byName[v.Name] = string(v.Value)
	}
	got := []string{string(issued.Args), string(settled.Value), byName["v"], k.text("select result::text from statek.job_state where job_id = $1", job)}
	if diff := cmp.Diff([]string{"[" + value + "]", value, value, value}, got); diff != "" {
		t.Errorf("bytes (-want +got):\n%s", diff)
	}
	rows, err := k.store.History(k.ctx, job, 0, 100)
	if err != nil || len(rows) != 7 {
		t.Errorf("people see %d rows (%v), want 7", len(rows), err)
	}
	for _, view := range []string{"statek.job_overview", "statek.job_timeline", fmt.Sprintf("statek.explain('%s')", job)} {
		k.count("select count(v::text) from " + view + " v")
	}
	k.mail(job, `"\u0000\ud800"`)
	if diff := cmp.Diff([]string{`"\u0000\ud800"`}, k.payloads(job)); diff != "" {
		t.Errorf("mail (-want +got):\n%s", diff)
	}
}
