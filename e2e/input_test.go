package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"statek/internal/httpapi"
	"statek/internal/providers/providertest"
)

// TestRESTBadInput: every refusal is a problem that says which field is wrong.
func TestRESTBadInput(t *testing.T) {
	t.Parallel()
	w := newWorld(t, files{
		"agents/clerk.md":        modelAgent,
		"agents/clerk.warmup.js": "print(ticket.subject)\n",
	})
	const jobs = "/v1/agents/clerk/jobs"
	for _, c := range []struct {
		name, method, path, body string
		status                   int
		field, says              string
	}{
		{"unknown agent", "POST", "/v1/agents/nobody/jobs", `{}`, 404, "", "nobody"},
		{"missing variable", "POST", jobs, `{}`, 422, "body.shared_vars.ticket", "ticket"},
		{"unknown field", "POST", jobs, `{"shared_vars": {"ticket": 1}, "prefx": "/"}`, 422, "body.prefx", "prefx"},
		{"wrong prefix", "POST", jobs, `{"shared_vars": {"ticket": 1}, "prefix": "acme"}`, 422, "body.prefix", "acme"},
		{"broken warmup", "POST", jobs, `{"shared_vars": {"ticket": 1}, "warmup": "const = 1"}`, 422, "body.warmup", "warmup"},
		{"malformed JSON", "POST", jobs, `{"shared_vars": {`, 400, "body", "JSON"},
		{"oversize body", "POST", jobs, `{"source": "` + strings.Repeat("x", 9<<20) + `"}`, 413, "body", "bytes"},
		{"wrong cursor", "GET", "/v1/jobs?cursor=tomorrow", "", 422, "query.cursor", "tomorrow"},
		{"wrong status", "GET", "/v1/jobs?status=LAZY", "", 422, "query.status", "LAZY"},
		{"wrong limit", "GET", "/v1/jobs?limit=0", "", 422, "query.limit", "limit"},
		{"unknown job", "GET", "/v1/jobs/00000000-0000-7000-8000-000000000000", "", 404, "", "00000000-0000-7000"},
		{"job id that is none", "GET", "/v1/jobs/4711", "", 422, "path.id", "4711"},
		{"unknown path", "GET", "/v1/nothing", "", 404, "", "/v1/nothing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			status, kind, body := send(t, c.method, w.base+c.path, c.body)
			if status != c.status || kind != "application/problem+json" {
				t.Fatalf("got %d %s: %.500s, want %d application/problem+json", status, kind, body, c.status)
			}
			var p httpapi.Problem
			if err := json.Unmarshal([]byte(body), &p); err != nil || p.Status != c.status || p.Detail == "" {
				t.Fatalf("got %s (%v), want a problem with status and detail", body, err)
			}
			if !strings.Contains(body, c.says) {
				t.Errorf("got %s, want it to say %q", body, c.says)
			}
			if c.field != "" && (len(p.Errors) == 0 || p.Errors[0].Location != c.field) {
				t.Errorf("got %s, want an error at %s", body, c.field)
			}
			if len(body) > 4000 {
				t.Errorf("the problem has %d bytes", len(body))
			}
		})
	}
	t.Cleanup(func() {
		if n := query[int](w, "select count(*) from statek.jobs"); n != 0 {
			t.Errorf("bad input made %d jobs", n)
		}
	})
}

func send(t *testing.T, method, url, body string) (status int, kind, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	// A connection of its own, but without "Connection: close": net/http would then cut off a request that it
	// refuses before it has read it, and the refusal could get lost.
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	res, err := (&http.Client{Transport: transport, Timeout: patience}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header.Get("Content-Type"), string(text)
}

// TestApplyBrokenDefinition: the error has the file and the line, and nothing is stored.
func TestApplyBrokenDefinition(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for _, c := range []struct{ name, file, text, where string }{
		{"agent", "agents/clerk.md", "# MODEL: local//m\n# TEMPERATURE: hot\n# System Prompt\nHello.\n", "agents/clerk.md:2"},
		{"warmup", "agents/clerk.warmup.js", "print('a')\nconst = 1\n", "agents/clerk.warmup.js:2"},
		{"SQL tool", "tools/pay.sql", "-- tool: pay(amount numeric)\nselect :amont\n", "tools/pay.sql:2"},
		{"HTTP tool", "tools/pay.http.yaml", "tool: pay\nmethod: SHOUT\nurl: http://x/\n", "tools/pay.http.yaml:2"},
		{"temporal", "temporals/next.sql", "-- temporal: next()\n-- condition\nselect exists (select from app.tasks)\n-- watch: \n", "temporals/next.sql:"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := *w
			w.t = t
			defs := files{"agents/good.md": modelAgent, c.file: c.text}
			if c.name == "warmup" {
				defs["agents/clerk.md"] = modelAgent
			}
			if out := w.statek(1, "apply", folder(t, defs)); !strings.Contains(out, filepath.FromSlash(c.where)) {
				t.Errorf("got %s, want it to name %s", out, c.where)
			}
		})
	}
	t.Cleanup(func() {
		if n := query[int](w, "select count(*) from statek.agents"); n != 0 {
			t.Errorf("broken folders left %d agents", n)
		}
	})
}

// TestInvalidModelReplyReachesTheModelAsText: it can mend its ways.
func TestInvalidModelReplyReachesTheModelAsText(t *testing.T) {
	t.Parallel()
	w := newWorld(t, files{"agents/clerk.md": modelAgent})
	w.model.Queue(
		providertest.Answer{Text: "I would rather talk."},
		providertest.Answer{Text: "```js\nconst = 1\n```"},
		providertest.Answer{Text: "```js\nmissing.thing\n```"},
		providertest.Answer{Text: "```js\nexit('mended')\n```"},
	)
	w.worker()
	w.ended(w.submit("clerk", nil), `"mended"`)
	asked := w.model.Requests()
	for i, want := range []string{"js", "SyntaxError", "ReferenceError"} {
		messages := asked[i+1].Messages
		if last := messages[len(messages)-1]; last.Role != "user" || !strings.Contains(last.Content, want) {
			t.Errorf("after reply %d the model was told by %s: %s\nwant it to hold %q", i+1, last.Role, last.Content, want)
		}
		if said := messages[len(messages)-2]; said.Role != "assistant" {
			t.Errorf("after reply %d the model was not shown its reply, but %s: %s", i+1, said.Role, said.Content)
		}
	}
}
