package app_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"statek/internal/app"
)

// fields lists "field: message" of a refusal, or its kind and message.
func fields(err error) string {
	var refused *app.Error
	if !errors.As(err, &refused) {
		return fmt.Sprint("no refusal: ", err)
	}
	if len(refused.Fields) == 0 {
		return string(refused.Kind) + ": " + refused.Message
	}
	var list []string
	for _, f := range refused.Fields {
		list = append(list, f.Field+": "+f.Message)
	}
	return string(refused.Kind) + ": " + strings.Join(list, "; ")
}

func submitKit(t *testing.T) *kit {
	t.Helper()
	return newKit(t, files{
		"agents/reader.md":        simpleAgent,
		"agents/reader.warmup.js": "print(subject, customer)\nlet own = 1; print(own, add)",
		"agents/one.md":           simpleAgent,
		"agents/one.warmup.js":    "exit(ticket)",
		"agents/none.md":          simpleAgent,
		"agents/none.warmup.js":   "exit(1)",
		"tools/add.sql":           "-- tool: add(n numeric)\n-- returns: value\nselect :n + 1\n",
	})
}

func TestSubmissionsAreRefusedByField(t *testing.T) {
	t.Parallel()
	k := submitKit(t)
	vars := func(names ...string) map[string]json.RawMessage {
		m := map[string]json.RawMessage{}
		for _, n := range names {
			m[n] = json.RawMessage("1")
		}
		return m
	}
	cases := map[string]struct {
		req  app.SubmitRequest
		want string
	}{
		"missing variable":  {app.SubmitRequest{Role: "reader", SharedVars: vars("subject")}, "invalid: shared_vars.customer: is read by the warmup of reader and missing"},
		"both missing":      {app.SubmitRequest{Role: "reader"}, "shared_vars.subject: is read by the warmup of reader and missing: add it to shared_vars; shared_vars.customer"},
		"unknown agent":     {app.SubmitRequest{Role: "nobody"}, `"nobody" is not defined at / or above`},
		"agent with NUL":    {app.SubmitRequest{Role: "no\x00body"}, "invalid: agent no"},
		"named like a tool": {app.SubmitRequest{Role: "none", SharedVars: vars("add")}, "shared_vars.add: is the name of a tool"},
		"no name":           {app.SubmitRequest{Role: "none", SharedVars: vars("a b")}, "shared_vars.a b: is no variable name"},
		"no JSON":           {app.SubmitRequest{Role: "none", SharedVars: map[string]json.RawMessage{"x": json.RawMessage("{")}}, "shared_vars.x: is not JSON"},
		"prefix":            {app.SubmitRequest{Role: "none", Prefix: "acme"}, "prefix: must be / or a path"},
		"priority":          {app.SubmitRequest{Role: "none", Priority: 9}, "priority: must be 1 (first) to 4"},
		"locale":            {app.SubmitRequest{Role: "none", Locale: "english please"}, "locale: "},
		"warmup":            {app.SubmitRequest{Role: "none", Warmup: "let x = ;"}, "warmup: block 1: "},
		"tags":              {app.SubmitRequest{Role: "none", Tags: []string{"ok", ""}}, "tags[1]: must have 1 to 64 characters"},
		"tag with NUL":      {app.SubmitRequest{Role: "none", Tags: []string{"a\x00b"}}, "tags[0]: "},
		"key with NUL":      {app.SubmitRequest{Role: "none", Key: "a\x00b"}, "key: "},
		"on_conflict":       {app.SubmitRequest{Role: "none", OnConflict: "maybe"}, "on_conflict: must be"},
		"limits":            {app.SubmitRequest{Role: "none", Limits: app.Limits{Turns: -1}}, "limits.turns: "},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := k.Submit(t.Context(), c.req)
			if got := fields(err); !strings.Contains(got, c.want) {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestBatchIsAtomicAndNamesTheJob(t *testing.T) {
	t.Parallel()
	k := submitKit(t)
	good := app.SubmitRequest{SharedVars: map[string]json.RawMessage{"ticket": json.RawMessage("7")}}
	_, err := k.SubmitBatch(t.Context(), "one", []app.SubmitRequest{good, {}, {Prefix: "x"}})
	if got := fields(err); !strings.Contains(got, "jobs[1].shared_vars.ticket: ") || !strings.Contains(got, "jobs[2].prefix: ") {
		t.Errorf("got %s, want both jobs named", got)
	}
	if _, err := k.SubmitBatch(t.Context(), "one", nil); !strings.Contains(fields(err), "jobs: must hold 1 to") {
		t.Errorf("an empty batch: %v", err)
	}
	page, err := k.ListJobs(t.Context(), app.ListFilter{})
	if err != nil || len(page.Jobs) != 0 {
		t.Errorf("%d jobs are left of a refused batch (%v)", len(page.Jobs), err)
	}
	made, err := k.SubmitBatch(t.Context(), "one", []app.SubmitRequest{good, good, good})
	if err != nil || len(made) != 3 {
		t.Fatalf("%d jobs, %v", len(made), err)
	}
	k.work()
	for _, j := range made {
		if got := k.ended(j.ID); string(got.Result) != "7" {
			t.Errorf("result = %s", got.Result)
		}
	}
}

func TestAgentEventBecomesTheOneFreeVariable(t *testing.T) {
	t.Parallel()
	k := submitKit(t)
	for role, want := range map[string]string{
		"none":   "event: needs exactly one free variable in the warmup of none; it reads none",
		"reader": "it reads subject, customer",
	} {
		if _, err := k.AgentEvent(t.Context(), role, "/", json.RawMessage("1"), app.SubmitRequest{}); !strings.Contains(fields(err), want) {
			t.Errorf("%s: got %s, want %s", role, fields(err), want)
		}
	}
	k.work()
	job, err := k.AgentEvent(t.Context(), "one", "/acme", json.RawMessage(`{"z":1,"a":2}`), app.SubmitRequest{})
	k.must(err)
	if got := k.ended(job.ID); string(got.Result) != `{"z":1,"a":2}` || got.Prefix != "/acme" {
		t.Errorf("result = %s at %s", got.Result, got.Prefix)
	}
}

func TestJobStartsAtItsTime(t *testing.T) {
	t.Parallel()
	k := submitKit(t)
	k.work()
	at := time.Now().Add(600 * time.Millisecond)
	later, err := k.Submit(t.Context(), app.SubmitRequest{Role: "none", RunAt: &at})
	k.must(err)
	never := time.Now().Add(time.Hour)
	waiting, err := k.Submit(t.Context(), app.SubmitRequest{Role: "none", RunAt: &never})
	k.must(err)
	k.exec("select statek.ring(array[$1, $2]::uuid[], true)", later.ID, waiting.ID) // too early: harmless
	got := k.ended(later.ID)
	rows, err := k.History(t.Context(), got.ID, 1, 1)
	if err != nil || rows[0].At.Before(at.Truncate(time.Millisecond)) {
		t.Errorf("started at %s, want not before %s", rows[0].At, at)
	}
	if got, err := k.GetJob(t.Context(), waiting.ID); err != nil || got.Status != "READY" || got.BlockedOn != "run_at" {
		t.Errorf("%s, blocked on %s (%v)", got.Status, got.BlockedOn, err)
	}
	k.must(k.Cancel(t.Context(), waiting.ID, ""))
	if got := k.ended(waiting.ID); got.Outcome != "cancelled" {
		t.Errorf("outcome = %s", got.Outcome)
	}
}

func TestBrokenDefinitionsNameFileAndLine(t *testing.T) {
	t.Parallel()
	k := newKit(t, nil)
	for name, c := range map[string]struct {
		defs files
		want string
	}{
		"warmup":   {files{"agents/a.md": simpleAgent, "agents/a.warmup.js": "let x = 1\n\nlet y = ;\n"}, "agents/a.warmup.js:3"},
		"orphan":   {files{"agents/a.warmup.js": "1"}, "agents/a.warmup.js:1"},
		"tool":     {files{"tools/t.sql": "-- tool: t(\nselect 1"}, "tools/t.sql:1"},
		"http":     {files{"tools/h.http.yaml": "url: [\n"}, "tools/h.http.yaml:"},
		"temporal": {files{"temporals/w.sql": "-- temporal: w()\n-- condition\nselect 1\n"}, "temporals/w.sql:"},
		"watch": {files{"temporals/w.sql": "-- temporal: w(q text)\n-- watch: app.nothing key q\n-- condition\nselect exists (select from app.nothing where q = :q)\n-- complement\nselect 1 as one\n"},
			`temporals/w.sql:2: there is no table app.nothing: create it first`},
		"empty": {files{"README": "x"}, "holds no definitions"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := k.Apply(t.Context(), c.defs.folder(), "/")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want it to name %s", err, c.want)
			}
		})
	}
}

func TestListFiltersAndCursors(t *testing.T) {
	t.Parallel()
	k := submitKit(t)
	var ids []uuid.UUID
	for i := range 7 {
		job, err := k.Submit(t.Context(), app.SubmitRequest{Role: "none", Prefix: []string{"/acme", "/acme/x", "/other"}[i%3],
			Tags: []string{fmt.Sprint("t", i%2)}, Source: fmt.Sprint("s", i%2)})
		k.must(err)
		ids = append(ids, job.ID)
	}
	var seen []uuid.UUID
	cursor := ""
	for {
		page, err := k.ListJobs(t.Context(), app.ListFilter{Limit: 3, Cursor: cursor})
		k.must(err)
		for _, j := range page.Jobs {
			seen = append([]uuid.UUID{j.ID}, seen...)
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if diff := cmp.Diff(ids, seen); diff != "" {
		t.Errorf("pages (-want +got):\n%s", diff)
	}
	past, future := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	for name, c := range map[string]struct {
		filter app.ListFilter
		want   int
	}{
		"prefix":       {app.ListFilter{Prefix: "/acme"}, 5},
		"deep prefix":  {app.ListFilter{Prefix: "/acme/x"}, 2},
		"no such one":  {app.ListFilter{Prefix: "/ac"}, 0},
		"tag":          {app.ListFilter{Tag: "t1"}, 3},
		"source":       {app.ListFilter{Source: "s0"}, 4},
		"agent":        {app.ListFilter{Agent: "one"}, 0},
		"status":       {app.ListFilter{Status: "ready"}, 7},
		"another":      {app.ListFilter{Status: "DONE"}, 0},
		"blocked on":   {app.ListFilter{BlockedOn: "worker"}, 7},
		"all at once":  {app.ListFilter{Tag: "t0", Source: "s0", Prefix: "/", Agent: "none"}, 4},
		"created":      {app.ListFilter{CreatedAfter: &past, CreatedBefore: &future}, 7},
		"too late":     {app.ListFilter{CreatedAfter: &future}, 0},
		"tag with NUL": {app.ListFilter{Tag: "a\x00"}, -1},
		"status wrong": {app.ListFilter{Status: "RUNNING"}, -1},
		"cursor wrong": {app.ListFilter{Cursor: "!!"}, -1},
		"limit wrong":  {app.ListFilter{Limit: 501}, -1},
	} {
		page, err := k.ListJobs(t.Context(), c.filter)
		if c.want < 0 {
			if got := fields(err); !strings.HasPrefix(got, "invalid: ") {
				t.Errorf("%s: %s, want it refused", name, got)
			}
			continue
		}
		if err != nil || len(page.Jobs) != c.want {
			t.Errorf("%s: %d jobs (%v), want %d", name, len(page.Jobs), err, c.want)
		}
	}
}
