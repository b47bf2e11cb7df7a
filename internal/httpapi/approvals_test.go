package httpapi_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"

	"statek/internal/app"
	"statek/internal/httpapi"
	"statek/internal/pgtest"
)

// TestApprovalIsAnsweredByLink goes the way of a link, from the list of questions to the job's mailbox.
func TestApprovalIsAnsweredByLink(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	a, err := app.Open(t.Context(), app.Config{DatabaseURL: url, Logger: logger, MaxConns: 4, LinkKey: []byte(strings.Repeat("k", app.MinLinkKey))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	if _, err := a.Apply(t.Context(), fstest.MapFS{"agents/clerk.md": {Data: []byte("# MODEL: m\n# System Prompt\nYou ask.\n")}}, "/"); err != nil {
		t.Fatal(err)
	}
	job, err := a.Submit(t.Context(), app.SubmitRequest{Role: "clerk", Prefix: "/acme"})
	if err != nil {
		t.Fatal(err)
	}
	pool := pgtest.Pool(t, url)
	// What a worker would have registered for approval({title: 'Pay?', assignee: 'ada'}).
	for _, sql := range []string{
		"insert into statek.waits (job_id, cell, call, kind, name) values ($1, 1, 1, 'approval', 'approval')",
		`insert into statek.approvals (job_id, cell, call, prefix, title, options, assignee) values ($1, 1, 1, '/acme', 'Pay?', '[{"value":"yes"}]', 'ada')`,
	} {
		if _, err := pool.Exec(t.Context(), sql, job.ID); err != nil {
			t.Fatal(err)
		}
	}
	api := httpapi.New(a, httpapi.Options{Logger: logger})
	do := func(want int, method, target, body string) string {
		t.Helper()
		res := ask(api, method, target, "", body)
		if res.Code != want {
			t.Errorf("%s %s: got %d, want %d: %s", method, target, res.Code, want, res.Body)
		}
		return res.Body.String()
	}
	var page app.ApprovalPage
	if err := json.Unmarshal([]byte(do(http.StatusOK, "GET", "/v1/approvals?status=pending&assignee=ada&prefix=/acme&job_id="+job.ID.String(), "")), &page); err != nil || len(page.Approvals) != 1 {
		t.Fatalf("got %+v (%v), want one question", page, err)
	}
	var link app.Link
	if err := json.Unmarshal([]byte(do(http.StatusOK, "POST", "/v1/approvals/"+page.Approvals[0].ID.String()+"/links", `{"ttl":"1h"}`)), &link); err != nil {
		t.Fatal(err)
	}
	if text := do(http.StatusOK, "GET", link.Path, ""); !strings.Contains(text, `"title":"Pay?"`) {
		t.Errorf("the link shows %s", text)
	}
	do(http.StatusUnprocessableEntity, "POST", link.Path, `{"option":"no"}`)
	if text := do(http.StatusOK, "POST", link.Path, `{"option":"yes"}`); !strings.Contains(text, `"decided_by":"ada (link)"`) {
		t.Errorf("got %s", text)
	}
	do(http.StatusGone, "POST", link.Path, `{"option":"yes"}`)
	do(http.StatusGone, "GET", link.Path, "")
	do(http.StatusConflict, "POST", "/v1/approvals/"+page.Approvals[0].ID.String(), `{"option":"yes","by":"eve"}`)
	do(http.StatusNotFound, "GET", "/v1/approvals/by-link/AAAA", "")
	if strings.Contains(log.String(), link.Token) || !strings.Contains(log.String(), "/v1/approvals/by-link/…") {
		t.Errorf("the log holds the token, or not the request:\n%s", log.String())
	}
	var mail string
	if err := pool.QueryRow(t.Context(), "select kind || ' ' || payload::text from statek.mailbox where job_id = $1", job.ID).Scan(&mail); err != nil || !strings.HasPrefix(mail, `resolved {"option":"yes","by":"ada (link)"`) {
		t.Errorf("the job's mail is %q (%v)", mail, err)
	}
}
