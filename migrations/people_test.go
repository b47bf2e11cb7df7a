package migrations_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"statek/internal/pgtest"
)

// TestTimeline tells hand-made rows of every kind.
func TestTimeline(t *testing.T) {
	t.Parallel()
	rows := []struct {
		kind       string
		cell, call int
		payload    string
		want       string
	}{
		{"submitted", 0, 0, `{"source":"quickstart","locale":"EN-US","blocks":1,"vars":["event","queue"],"limits":{}}`, "submitted by quickstart with event, queue"},
		{"submitted", 0, 0, `{"blocks":1,"limits":{},"run_at":1893456000000}`, "submitted, to start at 2030-01-01 00:00:00 UTC"},
		{"cell_started", 1, 0, `{"cell":1,"origin":"warmup","index":0,"source":"x","seed":18446744073709551615,"now":1,"engine":1}`, "warmup block 1 started"},
		{"cell_started", 2, 0, `{"cell":2,"origin":"warmup","index":1,"source":"x","hidden":true,"seed":1,"now":1,"engine":1}`, "warmup block 2 started (hidden from the model)"},
		{"cell_started", 3, 0, `{"cell":3,"origin":"reply","index":2,"source":"x","seed":1,"now":1,"engine":1}`, "the code of reply 2 started"},
		{"call_issued", 3, 1, `{"call":1,"name":"pickNextTask","class":"wait","args":["q",{"timeout":5}]}`, `waits for pickNextTask("q", {"timeout": 5})`},
		{"call_issued", 3, 2, `{"call":2,"name":"getCustomer","class":"tool","args":[7]}`, "called getCustomer(7)"},
		{"call_issued", 3, 3, `{"call":3,"name":"tools","class":"tool","args":[]}`, "called tools()"},
		{"call_settled", 3, 2, `{"call":2,"name":"getCustomer","value":{"name":"Ann"},"now":1}`, `getCustomer returned {"name": "Ann"}`},
		{"call_settled", 3, 3, `{"call":3,"name":"tools","error":{"name":"LimitError","message":"1,000 calls"},"now":1}`, "tools failed: LimitError: 1,000 calls"},
		{"console", 3, 0, `{"lines":["one","two"]}`, "printed: one ⏎ two"},
		{"suspended", 3, 0, `{"on":["pickNextTask"],"why":"waits for pickNextTask(\"q\")"}`, `asleep: waits for pickNextTask("q")`},
		{"suspended", 3, 0, `{"on":["a","b"],"why":""}`, "asleep: waits for a, b"},
		{"taken_over", 0, 0, `{"worker":"0195d3a0-1111-7000-8000-000000000000","epoch":2}`, "taken over: worker 0195d3a0 had stopped in the middle of something"},
		{"call_settled", 3, 1, `{"call":1,"name":"pickNextTask","value":{"id":1},"now":1}`, `woke: pickNextTask gave {"id": 1}`},
		{"call_issued", 3, 4, `{"call":4,"name":"sleep","class":"wait","args":[10]}`, "waits for sleep(10)"},
		{"call_settled", 3, 4, `{"call":4,"name":"sleep","error":{"name":"TimeoutError","message":"sleep timed out"},"now":1}`, "woke: sleep failed: TimeoutError: sleep timed out"},
		{"cell_ended", 3, 0, `{"state":"done"}`, "cell 3 ended"},
		{"cell_ended", 3, 0, `{"state":"done","echo":"42","notes":["x was not kept"]}`, "cell 3 ended with 42; x was not kept"},
		{"cell_ended", 3, 0, `{"state":"done","exit":{"result":{"ok":true}}}`, `cell 3 ended with exit({"ok": true})`},
		{"cell_ended", 3, 0, `{"state":"done","exit":{}}`, "cell 3 ended with exit()"},
		{"cell_ended", 3, 0, `{"state":"failed","error":{"name":"TypeError","message":"x is not a function","stack":"…"}}`, "cell 3 failed: TypeError: x is not a function"},
		{"cell_ended", 3, 0, `{"state":"aborted","error":{"message":"5 s of CPU"}}`, "cell 3 was aborted: 5 s of CPU"},
		{"model_requested", 0, 0, `{"turn":1,"attempt":1,"provider":"openai","model":"gpt"}`, "asked model gpt for reply 1"},
		{"model_requested", 0, 0, `{"turn":1,"attempt":3,"provider":"openai","model":"gpt"}`, "asked model gpt for reply 1, attempt 3"},
		{"model_replied", 0, 0, `{"turn":1,"text":"…","code":"a()\nb()\n","provider":"openai","model":"gpt"}`, "model gpt replied: 2 lines of code"},
		{"model_replied", 0, 0, `{"turn":1,"text":"…","code":"a()","provider":"scripted","model":"gpt","note":"played from a file"}`, "model gpt replied: 1 line of code (played from a file)"},
		{"model_replied", 0, 0, `{"turn":1,"text":"…","bad":"two code blocks","provider":"openai","model":"gpt"}`, "model gpt replied, but not usably: two code blocks"},
		{"model_replied", 0, 0, `{"turn":1,"text":"All\ndone.","final":true,"provider":"openai","model":"gpt"}`, "model gpt replied: All done."},
		{"model_failed", 0, 0, `{"turn":1,"attempt":2,"error":"503","retryable":true,"retry_at":1893456000000}`, "the model request failed (attempt 2): 503; the next attempt is due at 2030-01-01 00:00:00 UTC"},
		{"model_failed", 0, 0, `{"turn":1,"attempt":1,"error":"401 bad key","retryable":false}`, "the model request failed (attempt 1): 401 bad key"},
		{"model_requested", 0, 0, `{"turn":1,"attempt":2,"provider":"openai","model":"gpt","repeat":true}`, "asked model gpt for reply 1, attempt 2; an interruption lost the answer to the one before"},
		{"model_delayed", 0, 0, `{"turn":2,"attempt":1,"until":1893456000000,"why":"provider OPENAI takes 60 requests a minute"}`, "reply 2 waits for its turn: provider OPENAI takes 60 requests a minute; it is due at 2030-01-01 00:00:00 UTC"},
		{"call_failed", 3, 2, `{"call":2,"name":"notify","attempt":1,"error":{"name":"HTTPError","message":"notify answered 503"},"retry_at":1893456000000}`, "notify failed (attempt 1): HTTPError: notify answered 503; the next attempt is due at 2030-01-01 00:00:00 UTC"},
		{"call_failed", 3, 2, `{"call":2,"name":"notify","attempt":5,"error":{"message":"no"},"pause":true}`, "notify failed (attempt 5): no; there is no attempt left, and it pauses the job"},
		{"call_retried", 3, 2, `{"call":2,"name":"notify","attempt":2}`, "called notify again, attempt 2"},
		{"message_received", 0, 0, `{"mail":7,"payload":"hello"}`, "message received: hello"},
		{"message_received", 0, 0, `{"mail":7,"payload":{"a":"\u0000\ud800 \\u0000"}}`, `message received: {"a": "` + "\ufffd\ufffd" + ` \\u0000"}`},
		{"message_received", 0, 0, `{"mail":7,"payload":1e999999}`, `message_received {"unreadable": "JSON of 29 bytes"}`},
		{"waits_joined", 3, 0, `{"mode":"first","calls":[1,2]}`, "calls 1, 2 compete: the first to end withdraws the others"},
		{"waits_joined", 3, 0, `{"mode":"any","calls":[1,2],"won":2}`, "calls 1, 2 compete: the first to give a value withdraws the others; call 2 had ended before"},
		{"value_discarded", 3, 1, `{"cell":3,"call":1,"name":"pick","value":7,"release":"done"}`, "the value of pick came after its cell had ended and was set aside: 7; it was released"},
		{"value_discarded", 3, 1, `{"cell":3,"call":1,"name":"pick","value":7,"release":"22012: no"}`, "the value of pick came after its cell had ended and was set aside: 7; releasing it failed: 22012: no"},
		{"value_discarded", 3, 1, `{"cell":3,"call":1,"value":{"id":1}}`, `the value of call 1 of cell 3 came after its cell had ended and was set aside: {"id": 1}`},
		{"value_discarded", 3, 1, `{"call":1,"name":"pickNextTask","value":{"id":1}}`, `the value of pickNextTask came after its cell had ended and was set aside: {"id": 1}`},
		{"paused", 0, 0, `{"reason":"the budget is spent"}`, "paused: the budget is spent"},
		{"resumed", 0, 0, `{"by":"ann"}`, "resumed by ann"},
		{"resumed", 0, 0, `{}`, "resumed"},
		{"reactivated", 0, 0, `{}`, "reopened by a message"},
		{"finished", 0, 0, `{"outcome":"succeeded","result":{"ok":true}}`, `succeeded with {"ok": true}`},
		{"finished", 0, 0, `{"outcome":"succeeded"}`, "succeeded"},
		{"finished", 0, 0, `{"outcome":"failed","error":"warmup: no"}`, "failed: warmup: no"},
		{"finished", 0, 0, `{"outcome":"cancelled","error":"cancelled"}`, "cancelled: cancelled"},
		{"invented", 0, 0, `{"a":1}`, `invented {"a": 1}`},
		{"console", 3, 0, `{"lines":["` + strings.Repeat("x", 500) + `"]}`, "printed: " + strings.Repeat("x", 159) + "…"},
	}
	tx := pgtest.Tx(t)
	job := newJob(t, tx, "STARTED")
	var want []string
	for i, row := range rows {
		do(t, tx, "insert into statek.history (job_id, seq, kind, cell, call, at, payload) values ($1, $2, $3, $4, $5, now(), $6)",
			job, i+1, row.kind, row.cell, row.call, row.payload)
		want = append(want, row.want)
	}
	if diff := cmp.Diff(want, timeline(t, tx, job)); diff != "" {
		t.Errorf("timeline (-want +got):\n%s", diff)
	}
	if got := timeline(t, tx, newJob(t, tx, "STARTED")); len(got) != 0 {
		t.Errorf("a job without history has a timeline: %v", got)
	}
}

func timeline(t *testing.T, tx pgx.Tx, job uuid.UUID) []string {
	t.Helper()
	rows, err := tx.Query(t.Context(), "select what from statek.job_timeline where job_id = $1 order by seq", job)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestTimelineReadsOneJob: the filter on job_id must reach the table, through the window function.
func TestTimelineReadsOneJob(t *testing.T) {
	t.Parallel()
	tx := pgtest.Tx(t)
	job := newJob(t, tx, "STARTED")
	rows, err := tx.Query(t.Context(), "explain select * from statek.job_timeline where job_id = '"+job.String()+"' and seq > 5")
	if err != nil {
		t.Fatal(err)
	}
	plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(plan, "\n")
	if !strings.Contains(text, "Cond: (job_id = ") || strings.Contains(text, "_default") {
		t.Errorf("the view reads more than one job:\n%s", text)
	}
}

func TestReadableKeepsWhatItCan(t *testing.T) {
	t.Parallel()
	tx := pgtest.Tx(t)
	for in, want := range map[string]string{
		`{"b":1,"a":"é"}`:              `{"a": "é", "b": 1}`,
		`"\ud83d\ude00"`:               `"😀"`,
		`"\u0000\u0000"`:               `"` + "\ufffd\ufffd" + `"`,
		`"\\u0000 \\\u0000 \uDC00\n"`:  `"\\u0000 \\` + "\ufffd \ufffd" + `\n"`,
		`{"x":"\u0000","n":1,"n2":-0}`: `{"n": 1, "x": "` + "\ufffd" + `", "n2": 0}`,
	} {
		if got := one[string](t, tx, "select statek.readable($1::text::json)::text", in); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

func TestOverview(t *testing.T) {
	t.Parallel()
	tx := pgtest.Tx(t)
	job, worker := newJob(t, tx, "SUSPENDED"), newWorker(t, tx)
	do(t, tx, `update statek.job_state set core = '{"seq":0,"cells":3,"turns":2,"result":"\u0000"}', owner = $1, blocked_on = 'sleep',
		blocked_why = 'sleeps' where job_id = $2`, worker, job)
	do(t, tx, "select statek.push_message($1, '\"hi\"')", job)
	got := one[string](t, tx, `select concat_ws(' ', prefix, agent, status, outcome, blocked_on, blocked_why, cells, turns, mail, tags, source, worker_host)
		from statek.job_overview where id = $1`, job)
	if want := "/acme/dev triage SUSPENDED sleep sleeps 3 2 1 {urgent} test h:1"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := one[int64](t, tx, "select count(*) from statek.blocked_jobs where id = $1", job); got != 0 {
		t.Error("a job that a worker runs is shown as blocked")
	}
	do(t, tx, "update statek.job_state set owner = null where job_id = $1", job)
	got = one[string](t, tx, "select concat_ws(' ', status, blocked_on, blocked_why, waits) from statek.blocked_jobs where id = $1", job)
	if want := "SUSPENDED sleep sleeps 0"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	tx := pgtest.Tx(t)
	job := newJob(t, tx, "SUSPENDED")
	group := func(name, hash string, deps ...string) int64 {
		id := one[int64](t, tx, `insert into statek.wait_groups (prefix, kind, name, args, hash, last_result, last_error, recheck)
			values ('/acme/dev', 'sql', $1, '[]', $2, 'error', 'no such column', interval '5 s') returning id`, name, []byte(hash))
		for _, dep := range deps {
			do(t, tx, "insert into statek.wait_deps (dep, group_id) values ($1, $2)", dep, id)
		}
		return id
	}
	wait := "insert into statek.waits (job_id, cell, call, kind, name, group_id, due_at) values ($1, 1, $2, $3, $4, $5, $6)"
	due := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	do(t, tx, "set local timezone = 'UTC'")
	do(t, tx, "update statek.job_state set blocked_why = 'waits for several things' where job_id = $1", job)
	do(t, tx, wait, job, 1, "sql", "pickNextTask", group("pickNextTask", "a", "app.tasks:billing:eu", "app.queues:*"), nil)
	do(t, tx, wait, job, 2, "event", "event", group("event", "b", "fact:/acme/dev:approved"), due)
	do(t, tx, wait, job, 3, "sleep", "sleep", nil, due)
	do(t, tx, wait, job, 4, "message", "message", nil, nil)
	rows, err := tx.Query(t.Context(), "select concat_ws('|', call, name, kind, why, last_error) from statek.explain($1)", job)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"triage|SUSPENDED|waits for several things",
		"1|pickNextTask|sql|a committed change of app.tasks where the key is 'billing:eu' or any committed change of app.queues; " +
			"its condition is looked at again every 00:00:05|no such column",
		"2|event|event|the event 'approved' at /acme/dev; its condition is looked at again every 00:00:05; it times out at 2030-01-01 00:00:00+00|no such column",
		"3|sleep|sleep|the clock",
		"4|message|message|a message: select statek.push_message('" + job.String() + "', '\"text\"')",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("explain (-want +got):\n%s", diff)
	}
	got[0] = one[string](t, tx, "select last_error from statek.blocked_jobs where id = $1", job)
	if want := "event: no such column; pickNextTask: no such column"; got[0] != want {
		t.Errorf("blocked_jobs: got error %q, want %q", got[0], want)
	}
	if code := refused(t, tx, "select * from statek.explain($1)", uuid.New()); code != "ST404" {
		t.Errorf("unknown job: got SQLSTATE %s, want ST404", code)
	}
	paused := newJob(t, tx, "PAUSED")
	why := one[string](t, tx, "select why from statek.explain($1)", paused)
	if !strings.Contains(why, "select statek.resume_job('"+paused.String()+"')") {
		t.Errorf("a paused job is not told how to go on: %s", why)
	}
}

func TestPushMessage(t *testing.T) {
	t.Parallel()
	tx := pgtest.Tx(t)
	job := newJob(t, tx, "SUSPENDED")
	first := one[int64](t, tx, "select statek.push_message($1, $2)", job, `{"b":1, "a":"\u0000"}`)
	if second := one[int64](t, tx, "select statek.push_message($1, null)", job); second <= first {
		t.Errorf("mail %d comes after %d", second, first)
	}
	got := one[string](t, tx, "select string_agg(kind || payload, ' ' order by id) from statek.mailbox where job_id = $1", job)
	if want := `message{"b":1, "a":"\u0000"} messagenull`; got != want {
		t.Errorf("got mailbox %s, want %s", got, want)
	}
	if got := doorbells(t, tx, job); got != 2 {
		t.Errorf("got %d doorbells, want 2", got)
	}
	done := newJob(t, tx, "DONE")
	one[int64](t, tx, "select statek.push_message($1, '1')", done)
	for _, outcome := range []string{"failed", "cancelled"} {
		do(t, tx, "update statek.job_state set outcome = $1 where job_id = $2", outcome, done)
		if code := refused(t, tx, "select statek.push_message($1, '1')", done); code != "ST409" {
			t.Errorf("%s job: got SQLSTATE %s, want ST409", outcome, code)
		}
	}
	if code := refused(t, tx, "select statek.push_message($1, '1')", uuid.New()); code != "ST404" {
		t.Errorf("unknown job: got SQLSTATE %s, want ST404", code)
	}
	if code := refused(t, tx, "select statek.push_message($1, to_json(repeat('x', 300000)))", job); code != "ST413" {
		t.Errorf("large message: got SQLSTATE %s, want ST413", code)
	}
	if code := refused(t, tx, "select statek.emit('/', 'x', to_json(repeat('x', 300000)))"); code != "ST413" {
		t.Errorf("large event: got SQLSTATE %s, want ST413", code)
	}
	_, err := tx.Exec(t.Context(), "select statek.push_message($1, '1')", done)
	if e := (&pgconn.PgError{}); !errors.As(err, &e) || !strings.Contains(e.Hint, "statek.resume_job('"+done.String()+"')") {
		t.Errorf("the error has no remedy: %v", err)
	}
}

func TestControls(t *testing.T) {
	t.Parallel()
	tests := []struct {
		call, status, outcome string
		want                  bool
		mail                  string
	}{
		{"cancel_job($1)", "SUSPENDED", "", true, "cancel null"},
		{"cancel_job($1, 'not needed')", "PAUSED", "", true, `cancel "not needed"`},
		{"cancel_job($1)", "DONE", "succeeded", false, ""},
		{"pause_job($1, 'lunch')", "STARTED", "", true, `pause "lunch"`},
		{"pause_job($1)", "PAUSED", "", false, ""},
		{"pause_job($1)", "DONE", "failed", false, ""},
		{"resume_job($1, 'ann')", "PAUSED", "", true, `resume "ann"`},
		{"resume_job($1, 'ann')", "DONE", "failed", true, `resume "ann"`},
		{"resume_job($1, 'ann')", "DONE", "cancelled", true, `resume "ann"`},
		{"resume_job($1)", "DONE", "succeeded", false, ""},
		{"resume_job($1)", "STARTED", "", false, ""},
	}
	tx := pgtest.Tx(t)
	for _, test := range tests {
		job := newJob(t, tx, "READY")
		do(t, tx, "update statek.job_state set status = $1, outcome = nullif($2, '') where job_id = $3", test.status, test.outcome, job)
		if got := one[bool](t, tx, "select statek."+test.call, job); got != test.want {
			t.Errorf("%s of a %s job: got %v, want %v", test.call, test.status, got, test.want)
		}
		mail := one[string](t, tx, "select coalesce(string_agg(kind || ' ' || payload, ' '), '') from statek.mailbox where job_id = $1", job)
		if mail != test.mail {
			t.Errorf("%s of a %s job: got mail %q, want %q", test.call, test.status, mail, test.mail)
		}
		if got := doorbells(t, tx, job); (got == 1) != test.want {
			t.Errorf("%s of a %s job: got %d doorbells", test.call, test.status, got)
		}
	}
	for _, name := range []string{"cancel_job", "pause_job", "resume_job"} {
		if code := refused(t, tx, "select statek."+name+"($1)", uuid.New()); code != "ST404" {
			t.Errorf("%s of an unknown job: got SQLSTATE %s, want ST404", name, code)
		}
	}
}

// TestApplicationRole is the recipe of docs/sql.md.
func TestApplicationRole(t *testing.T) {
	t.Parallel()
	tx := pgtest.Tx(t)
	job := newJob(t, tx, "SUSPENDED")
	do(t, tx, `create role test_app;
		grant test_app to current_user;
		grant usage on schema statek to test_app;
		grant select on statek.job_overview, statek.job_timeline, statek.blocked_jobs to test_app;
		grant execute on function statek.push_message, statek.explain to test_app;
		set local role test_app`)
	one[int64](t, tx, "select count(*) from statek.job_overview")
	one[int64](t, tx, "select count(*) from statek.job_timeline")
	one[int64](t, tx, "select count(*) from statek.blocked_jobs")
	one[string](t, tx, "select why from statek.explain($1)", job)
	one[int64](t, tx, "select statek.push_message($1, '1')", job)
	for _, sql := range []string{
		"select * from statek.jobs", "select statek.cancel_job('" + job.String() + "')",
		"select statek.claim_jobs(array['" + job.String() + "'::uuid], '{f}', gen_random_uuid())", "select statek.ring('{}')",
	} {
		if got := refused(t, tx, sql); got != "42501" {
			t.Errorf("%s: got SQLSTATE %q, want 42501", sql, got)
		}
	}
}

// TestPublicThingsAreDescribed: \d+ in psql must say what things are.
func TestPublicThingsAreDescribed(t *testing.T) {
	t.Parallel()
	tx := pgtest.Tx(t)
	for _, name := range []string{"job_overview", "job_timeline", "blocked_jobs"} {
		if one[*string](t, tx, "select obj_description(('statek.' || $1)::regclass)", name) == nil {
			t.Errorf("view %s has no comment", name)
		}
	}
	for _, name := range []string{"explain", "push_message", "cancel_job", "pause_job", "resume_job", "ring"} {
		if one[*string](t, tx, "select obj_description(('statek.' || $1)::regproc)", name) == nil {
			t.Errorf("function %s has no comment", name)
		}
	}
}

func doorbells(t *testing.T, tx pgx.Tx, job uuid.UUID) int64 {
	t.Helper()
	return one[int64](t, tx, "select count(*) from river.river_job where args ->> 'job_id' = $1", job.String())
}
