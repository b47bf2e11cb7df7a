package httpapi

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/google/go-cmp/cmp"

	"statek/internal/app"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// exchange is one request and what must come back.
type exchange struct {
	name    string
	request string // "POST /path", header lines, an empty line, the body
	status  int
	fields  []string // locations of the problem's errors, in order
	says    string   // part of the answer's body
	header  map[string]string
}

func play(t *testing.T, handler http.Handler, x exchange) {
	t.Helper()
	res := send(handler, x.request)
	body := res.Body.String()
	if res.Code != x.status {
		t.Fatalf("got status %d, want %d: %s", res.Code, x.status, body)
	}
	if !strings.Contains(body, x.says) {
		t.Errorf("got body %s, want it to hold %q", body, x.says)
	}
	for name, want := range x.header {
		if got := res.Header().Get(name); got != want {
			t.Errorf("got header %s: %q, want %q", name, got, want)
		}
	}
	if x.status < 400 {
		return
	}
	if got := res.Header().Get("Content-Type"); got != problemType {
		t.Errorf("got content type %q, want %q", got, problemType)
	}
	var p Problem
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		t.Fatalf("problem is not JSON: %v: %s", err, body)
	}
	if p.Status != x.status || p.Title != http.StatusText(x.status) || p.Detail == "" {
		t.Errorf("got status %d, title %q, detail %q in the problem", p.Status, p.Title, p.Detail)
	}
	var got []string
	for _, e := range p.Errors {
		if e.Message == "" {
			t.Errorf("error at %s has no message", e.Location)
		}
		got = append(got, e.Location)
	}
	if diff := cmp.Diff(x.fields, got); diff != "" {
		t.Errorf("locations (-want +got):\n%s\nin %s", diff, body)
	}
}

func send(handler http.Handler, text string) *httptest.ResponseRecorder {
	head, body, _ := strings.Cut(text, "\n\n")
	lines := strings.Split(head, "\n")
	method, target, _ := strings.Cut(lines[0], " ")
	req := httptest.NewRequest(method, target, strings.NewReader(body))
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ":")
		req.Header.Set(name, strings.TrimSpace(value))
	}
	res := httptest.NewRecorder()
	handler.ServeHTTP(res, req)
	return res
}

func TestExchanges(t *testing.T) {
	t.Parallel()
	const job = "/v1/jobs/01993e80-6c5e-7cc4-b5d5-0d3c0a3f6a11"
	const approval = "/v1/approvals/01993e80-6c5e-7cc4-b5d5-0d3c0a3f6a11"
	const submit = "POST /v1/agents/triage_agent/jobs\n\n"
	for _, x := range []exchange{
		{"submit", submit + `{"shared_vars":{"event":{"type":"support_ticket"}},"prefix":"/acme"}`, 201, nil, `"links":{"self":"/v1/jobs/`, map[string]string{"Location": job}},
		{"submit null variable", submit + `{"shared_vars":{"event":null}}`, 201, nil, "", nil},
		{"submit without body", "POST /v1/agents/triage_agent/jobs", 422, []string{"body.shared_vars.event"}, "is read by the warmup", nil},
		{"unknown agent", "POST /v1/agents/nobody/jobs\n\n{}", 404, []string{"path.role"}, "there is no agent nobody", nil},
		{"role out of form", "POST /v1/agents/no%20body/jobs\n\n{}", 422, []string{"path.role"}, "letters, digits", nil},
		{"unknown field", submit + `{"shared_vars":{"event":1},"sharedvars":{}}`, 422, []string{"body.sharedvars"}, "is not a field", nil},
		{"wrong type", submit + `{"tags":"a"}`, 422, []string{"body.tags"}, "expected array", nil},
		{"wrong number", submit + `{"priority":9}`, 422, []string{"body.priority"}, "<= 4", nil},
		{"wrong choice", submit + `{"on_conflict":"replace"}`, 422, []string{"body.on_conflict"}, "reject", nil},
		{"wrong time", submit + `{"run_at":"tomorrow"}`, 422, []string{"body.run_at"}, "RFC 3339", nil},
		{"wrong limit", submit + `{"limits":{"turns":-1}}`, 422, []string{"body.limits.turns"}, ">= 1", nil},
		{"two prefixes", "POST /v1/agents/triage_agent/jobs?prefix=/a\n\n" + `{"prefix":"/b"}`, 422, []string{"query.prefix", "body.prefix"}, "twice", nil},
		{"body is a list", submit + `[]`, 422, []string{"body"}, "expected object", nil},
		{"malformed JSON", submit + "{\"prefix\":\n  oops}", 400, []string{"body"}, "at byte 14 (line 2, column 3)", nil},
		{"truncated JSON", submit + `{"prefix":"/a`, 400, []string{"body"}, "unexpected end", nil},
		{"two values", submit + `{} {}`, 400, []string{"body"}, "at byte 4", nil},
		{"not UTF-8", submit + "{\"source\":\"\xff\"}", 400, []string{"body"}, "not UTF-8 at byte 12", nil},
		{"form body", "POST /v1/agents/triage_agent/jobs\nContent-Type: application/x-www-form-urlencoded\n\n{}", 415, []string{"header.Content-Type"}, "application/json", nil},
		{"compressed body", "POST /v1/agents/triage_agent/jobs\nContent-Encoding: gzip\n\n{}", 415, []string{"header.Content-Encoding"}, "", nil},
		{"empty idempotency key", "POST /v1/agents/triage_agent/jobs\nIdempotency-Key:\n\n{}", 422, []string{"header.Idempotency-Key"}, "", nil},
		{"long idempotency key", "POST /v1/agents/triage_agent/jobs\nIdempotency-Key: " + strings.Repeat("k", 256) + "\n\n{}", 422, []string{"header.Idempotency-Key"}, "", nil},
		{"unprintable idempotency key", "POST /v1/agents/triage_agent/jobs\nIdempotency-Key: clé\n\n{}", 422, []string{"header.Idempotency-Key"}, "printable", nil},
		{"panic", "POST /v1/agents/panics/jobs\n\n{}", 500, nil, "urn:uuid:", nil},
		{"batch", "POST /v1/agents/triage_agent/jobs/batch\n\n" + `{"jobs":[{"shared_vars":{"event":1}},{"shared_vars":{"event":2}}]}`, 201, nil, `{"jobs":[{"id":`, nil},
		{"empty batch", "POST /v1/agents/triage_agent/jobs/batch\n\n" + `{"jobs":[]}`, 422, []string{"body.jobs"}, "", nil},
		{"null batch", "POST /v1/agents/triage_agent/jobs/batch\n\n" + `{"jobs":null}`, 422, []string{"body.jobs"}, "", nil},
		{"batch without jobs", "POST /v1/agents/triage_agent/jobs/batch\n\n{}", 422, []string{"body.jobs"}, "is missing", nil},
		{"batch with a fault", "POST /v1/agents/triage_agent/jobs/batch\n\n" + `{"jobs":[{},{"tgas":[]}]}`, 422, []string{"body.jobs[1].tgas"}, "", nil},
		{"agent event", "POST /v1/agents/triage_agent/events\n\n" + `{"event":{"a":1},"prefix":"/acme"}`, 201, nil, "", nil},
		{"agent event without event", "POST /v1/agents/triage_agent/events\n\n{}", 422, []string{"body.event"}, "is missing", nil},
		{"approvals", "GET /v1/approvals?status=pending&assignee=ada&prefix=/acme&job_id=" + doneID.String(), 200, nil, `"approvals":[{"id"`, nil},
		{"approvals in a wrong state", "GET /v1/approvals?status=open", 422, []string{"query.status"}, "pending", nil},
		{"approvals of no job", "GET /v1/approvals?job_id=7", 422, []string{"query.job_id"}, "", nil},
		{"approvals from a wrong cursor", "GET /v1/approvals?cursor=wrong", 422, []string{"query.cursor"}, "not one of ours", nil},
		{"approval", "GET " + approval, 200, nil, `"title":"Pay?"`, nil},
		{"no such approval", "GET /v1/approvals/" + missingID.String(), 404, nil, "no such approval", nil},
		{"decide", "POST " + approval + "\n\n" + `{"option":"yes","by":"ada"}`, 200, nil, `"decided_by":"ada"`, nil},
		{"decide anonymously", "POST " + approval + "\n\n" + `{"option":"yes"}`, 422, []string{"body.by"}, "is missing", nil},
		{"decide nothing", "POST " + approval + "\n\n" + `{"by":"ada"}`, 422, []string{"body.option"}, "is missing", nil},
		{"decide too late", "POST " + approval + "\n\n" + `{"option":"late","by":"ada"}`, 410, nil, "expired", nil},
		{"decide again", "POST " + approval + "\n\n" + `{"option":"again","by":"ada"}`, 409, nil, "was decided by ada", nil},
		{"link", "POST " + approval + "/links", 200, nil, `"path":"/v1/approvals/by-link/t"`, nil},
		{"link for a while", "POST " + approval + "/links\n\n" + `{"ttl":"2h"}`, 200, nil, `"expires_at":"2025-09-12T12:00:00Z"`, nil},
		{"link for what", "POST " + approval + "/links\n\n" + `{"ttl":"soon"}`, 422, []string{"body.ttl"}, "48h", nil},
		{"by link", "GET /v1/approvals/by-link/good", 200, nil, `"title":"Pay?"`, nil},
		{"by a wrong link", "GET /v1/approvals/by-link/bad", 404, nil, "not valid", nil},
		{"decide by link", "POST /v1/approvals/by-link/good\n\n" + `{"option":"yes"}`, 200, nil, `"decided_by":"link"`, nil},
		{"sign by link", "POST /v1/approvals/by-link/good\n\n" + `{"option":"yes","by":"eve"}`, 422, []string{"body.by"}, "is not a field", nil},
		{"list", "GET /v1/jobs", 200, nil, `{"jobs":[]}`, nil},
		{"wrong cursor", "GET /v1/jobs?cursor=wrong", 422, []string{"query.cursor"}, "is not one of ours", nil},
		{"wrong status", "GET /v1/jobs?status=RUNNING", 422, []string{"query.status"}, "SUSPENDED", nil},
		{"wrong page size", "GET /v1/jobs?limit=501", 422, []string{"query.limit"}, "<= 500", nil},
		{"no page size", "GET /v1/jobs?limit=many", 422, []string{"query.limit"}, "integer", nil},
		{"wrong creation", "GET /v1/jobs?created_after=today", 422, []string{"query.created_after"}, "", nil},
		{"unknown filter", "GET /v1/jobs?state=DONE", 422, []string{"query.state"}, "unknown query parameter", nil},
		{"control character", "GET /v1/jobs?source=a%00b", 400, []string{"query.source"}, "", nil},
		{"broken query", "GET /v1/jobs?source=%zz", 400, nil, "", nil},
		{"job", "GET " + job, 200, nil, `"status":"SUSPENDED"`, nil},
		{"no such job", "GET /v1/jobs/" + missingID.String(), 404, nil, "there is no such job", nil},
		{"short id", "GET /v1/jobs/01993e80", 422, []string{"path.id"}, "", nil},
		{"id with braces", "GET /v1/jobs/%7B01993e80-6c5e-7cc4-b5d5-0d3c0a3f6a11%7D", 422, []string{"path.id"}, "", nil},
		{"wait no duration", "GET " + job + "?wait=30", 422, []string{"query.wait"}, "such as 30s", nil},
		{"wait too long", "GET " + job + "?wait=61s", 422, []string{"query.wait"}, "1m0s", nil},
		{"wait for done", "GET /v1/jobs/" + doneID.String() + "?wait=1m", 200, nil, `"outcome":"succeeded"`, nil},
		{"variables", "GET " + job + "/variables", 200, nil, `"name":"now"`, nil},
		{"variables of a cell", "GET " + job + "/variables?cell=0", 200, nil, `"name":"then"`, nil},
		{"explain", "GET " + job + "/explain", 200, nil, `"waits":[]`, nil},
		{"history", "GET /v1/jobs/" + doneID.String() + "/history?after=1&limit=1", 200, nil, `"next":2`, nil},
		{"history of no job", "GET /v1/jobs/" + missingID.String() + "/history", 404, nil, "", nil},
		{"stream of no job", "GET /v1/jobs/" + missingID.String() + "/history\nAccept: text/event-stream", 404, nil, "", nil},
		{"stream from a wrong id", "GET " + job + "/history\nAccept: text/event-stream\nLast-Event-ID: x", 422, []string{"header.Last-Event-ID"}, "", nil},
		{"message", "POST " + job + "/messages\n\n" + `{"payload":"hello"}`, 202, nil, `"id"`, nil},
		{"null message", "POST " + job + "/messages\n\n" + `{"payload":null}`, 202, nil, `"id"`, nil},
		{"message without payload", "POST " + job + "/messages\n\n{}", 422, []string{"body.payload"}, "is missing", nil},
		{"message in a wrong mode", "POST " + job + "/messages\n\n" + `{"payload":1,"mode":"now"}`, 422, []string{"body.mode"}, "interrupt", nil},
		{"message without body", "POST " + job + "/messages", 400, nil, "required", nil},
		{"cancel", "POST " + job + "/cancel", 202, nil, `"id"`, nil},
		{"cancel with reason", "POST " + job + "/cancel\n\n" + `{"reason":"enough"}`, 202, nil, `"id"`, nil},
		{"emit", "POST /v1/events/invoice.paid\n\n" + `{"prefix":"/acme","payload":{"n":1}}`, 201, nil, `"fact_id":7`, nil},
		{"emit again", "POST /v1/events/invoice.paid\n\n" + `{"key":"4711"}`, 200, nil, `"created":false`, nil},
		{"agents", "GET /v1/agents?prefix=/acme", 200, nil, `{"agents":[]}`, nil},
		{"agent", "GET /v1/agents/triage_agent", 200, nil, `"prefix":"/"`, nil},
		{"put agent", "PUT /v1/agents/triage_agent\n\n" + `{"prompt":"# System Prompt"}`, 201, nil, `"changed":true`, nil},
		{"put agent without prompt", "PUT /v1/agents/triage_agent\n\n{}", 422, []string{"body.prompt"}, "is missing", nil},
		{"live", "GET /healthz", 200, nil, "ok", nil},
		{"ready", "GET /readyz", 200, nil, `"ready":true`, nil},
		{"documents", "GET /docs", 200, nil, "/v1/agents/{role}/jobs", nil},
		{"front door", "GET /", 302, nil, "", map[string]string{"Location": "/docs"}},
		{"unknown route", "GET /v2/jobs", 404, nil, "/v2/jobs", nil},
		{"unknown verb of a job", "POST " + job + "/explode\n\n{}", 404, nil, "", nil},
		{"method", "DELETE /v1/agents/triage_agent", 405, nil, "GET, PUT", map[string]string{"Allow": "GET, PUT"}},
		{"huge path", "GET /v1/jobs/" + strings.Repeat("a", 9000), 414, nil, "8192", nil},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			play(t, New(newFakeApp(t), Options{Logger: quiet()}), x)
		})
	}
}

func TestOversizeBody(t *testing.T) {
	t.Parallel()
	handler := New(newFakeApp(t), Options{Logger: quiet(), MaxBody: 100})
	body := func(n int) string {
		const frame = `{"shared_vars":{"event":""}}`
		return frame[:len(frame)-3] + strings.Repeat("x", n-len(frame)) + frame[len(frame)-3:]
	}
	play(t, handler, exchange{request: "POST /v1/agents/triage_agent/jobs\n\n" + body(100), status: 201})
	play(t, handler, exchange{request: "POST /v1/agents/triage_agent/jobs\n\n" + body(101), status: 413, fields: []string{"body"}, says: "100 bytes"})
	play(t, handler, exchange{request: "POST /v1/agents/triage_agent/jobs/batch\n\n{\"jobs\":[" + body(101) + "]}", status: 201})

	// A body of unknown length is found out while it is read.
	req := httptest.NewRequest(http.MethodPost, "/v1/agents/triage_agent/jobs", io.MultiReader(strings.NewReader(body(101))))
	req.ContentLength = -1
	res := httptest.NewRecorder()
	handler.ServeHTTP(res, req)
	if res.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("got status %d for a long body of unknown length, want 413", res.Code)
	}
}

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	fake := newFakeApp(t)
	handler := New(fake, Options{Logger: quiet()})
	const head = "POST /v1/agents/triage_agent/jobs\nIdempotency-Key: order 4711\n\n"
	first := send(handler, head+`{"shared_vars":{"event":1.0},"prefix":"/acme"}`)
	again := send(handler, head+` { "prefix" : "/acme", "shared_vars" : {"event" : 1.0} } `)
	if first.Code != 201 || again.Code != 200 {
		t.Fatalf("got status %d, then %d; want 201, then 200", first.Code, again.Code)
	}
	if diff := cmp.Diff(first.Body.String(), again.Body.String()); diff != "" {
		t.Errorf("answers differ (-first +again):\n%s", diff)
	}
	play(t, handler, exchange{request: head + `{"shared_vars":{"event":2},"prefix":"/acme"}`, status: 409, fields: []string{"header.Idempotency-Key"}})
}

func TestVariablesKeepTheirBytes(t *testing.T) {
	t.Parallel()
	fake := newFakeApp(t)
	send(New(fake, Options{Logger: quiet()}), "POST /v1/agents/triage_agent/jobs\n\n"+`{"shared_vars":{"event":{"b":1,"a":-0, "n":12345678901234567890.10}}}`)
	got := string(fake.last.SharedVars["event"])
	if want := `{"b":1,"a":-0, "n":12345678901234567890.10}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestFiltersArrive(t *testing.T) {
	t.Parallel()
	fake := newFakeApp(t)
	send(New(fake, Options{Logger: quiet()}),
		"GET /v1/jobs?status=DONE&agent=a&prefix=/p&tag=t&source=s&blocked_on=sleep&created_after=2025-09-12T10:00:00Z&cursor=c&limit=7")
	at := createdAt
	want := app.ListFilter{
		Status: "DONE", Agent: "a", Prefix: "/p", Tag: "t", Source: "s", BlockedOn: "sleep", CreatedAfter: &at, Cursor: "c", Limit: 7,
	}
	if diff := cmp.Diff(want, fake.filter); diff != "" {
		t.Errorf("filter (-want +got):\n%s", diff)
	}
}

func TestFailuresOfTheUseCases(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		err    error
		status int
		says   string
		retry  string
	}{
		{"database away", &app.Error{Kind: app.KindUnavailable, Message: "the database is away", Err: errors.New("dial postgres://u:pw@h")}, 503, "the database is away", "1"},
		{"unexpected", errors.New("pq: relation secret_table does not exist"), 500, "urn:uuid:", ""},
		{"unknown kind", &app.Error{Kind: "odd", Message: "secret"}, 500, "urn:uuid:", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			fake := newFakeApp(t)
			fake.broken = c.err
			handler := New(fake, Options{Logger: quiet()})
			x := exchange{request: "GET /v1/jobs", status: c.status, says: c.says, header: map[string]string{"Retry-After": c.retry}}
			play(t, handler, x)
			if body := send(handler, x.request).Body.String(); strings.Contains(body, "secret") || strings.Contains(body, "pw") {
				t.Errorf("got %s, which shows internals", body)
			}
			if res := send(handler, "GET /readyz"); res.Code != 503 {
				t.Errorf("got /readyz %d, want 503", res.Code)
			}
		})
	}
}

func TestDocumentListsExactlyTheRoutes(t *testing.T) {
	t.Parallel()
	_, router := newServer(newFakeApp(t), Options{Logger: quiet()})
	var want []string
	err := chi.Walk(router, func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		if route != "/" && route != "/docs" && route != "/openapi.json" {
			want = append(want, method+" "+route)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			OperationID string
			Summary     string
			Responses   map[string]any
		}
	}
	res := send(router, "GET /openapi.json")
	if err := json.Unmarshal(res.Body.Bytes(), &document); err != nil {
		t.Fatal(err)
	}
	var got []string
	for path, item := range document.Paths {
		for method, op := range item {
			got = append(got, strings.ToUpper(method)+" "+path)
			if op.OperationID == "" || op.Summary == "" || len(op.Responses) == 0 {
				t.Errorf("%s %s lacks an id, a summary or responses", method, path)
			}
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("operations (-routes +document):\n%s", diff)
	}
	if document.OpenAPI != "3.1.0" {
		t.Errorf("got OpenAPI %q, want 3.1.0", document.OpenAPI)
	}
}
