package httpapi_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"statek/internal/app"
	"statek/internal/httpapi"
)

// TestObjectExchanges plays one object's life over REST, step by step.
func TestObjectExchanges(t *testing.T) {
	t.Parallel()
	api := newRealAPI(t)
	const doc = "/v1/objects/docs/a?prefix=/acme"
	large := `"` + strings.Repeat("x", 1<<20) + `"`
	for _, c := range []struct {
		name, method, target, header, body string
		status                             int
		etag, says                         string
	}{
		{"read nothing", "GET", doc, "", "", 404, "", "there is no object docs/a at prefix /acme"},
		{"delete nothing", "DELETE", doc, "", "", 404, "", "there is no object"},
		{"replace nothing", "PUT", doc, `If-Match: "3"`, "1", 412, "", "object docs/a is not there, expected version 3"},
		{"replace any", "PUT", doc, `If-Match: *`, "1", 412, "", "object docs/a is not there"},
		{"make", "PUT", doc, "If-None-Match: *", ` {"z": 1.0, "a":"<&>"} `, 201, `"1"`, `"created":true`},
		{"make again", "PUT", doc, "If-None-Match: *", "1", 412, "", "object docs/a is at version 1, expected none"},
		{"read", "GET", doc, "", "", 200, `"1"`, `{"z": 1.0, "a":"<&>"}`},
		{"read what one has", "GET", doc, `If-None-Match: W/"9", "1"`, "", 304, `"1"`, ""},
		{"read what has changed", "GET", doc, `If-None-Match: "0"`, "", 200, `"1"`, `{"z": 1.0`},
		{"replace", "PUT", doc, `If-Match: "1"`, "null", 200, `"2"`, `"created":false`},
		{"replace with an old version", "PUT", doc, `If-Match: "1"`, "3", 412, "", "object docs/a is at version 2, expected version 1: read it again"},
		{"replace whatever", "PUT", doc, "", "[3]", 200, `"3"`, `"version":3`},
		{"replace any, now that there is one", "PUT", doc, "If-Match: *", "4", 200, `"4"`, `"updated_by":"api"`},
		{"an earlier version", "GET", doc + "&version=3", "", "", 200, `"3"`, "[3]"},
		{"a version that never was", "GET", doc + "&version=9", "", "", 404, "", "version 9 of object docs/a"},
		{"list", "GET", "/v1/objects/docs?prefix=/acme&begins=a", "", "", 200, "", `"key":"a","version":4,"value":4`},
		{"list after the last", "GET", "/v1/objects/docs?prefix=/acme&after=a", "", "", 200, "", `{"objects":[]}`},
		{"another prefix", "GET", "/v1/objects/docs/a?prefix=/acme/dev", "", "", 404, "", "at prefix /acme/dev"},
		{"the root", "GET", "/v1/objects/docs/a", "", "", 404, "", "at prefix /"},
		{"delete an old version", "DELETE", doc, `If-Match: "3"`, "", 412, "", "is at version 4"},
		{"delete", "DELETE", doc, `If-Match: "4"`, "", 204, `"5"`, ""},
		{"read what is deleted", "GET", doc, "", "", 404, "", "there is no object"},
		{"make it anew", "PUT", doc, "", "6", 201, `"6"`, `"version":6`},
		{"a key with a slash", "PUT", "/v1/objects/docs/a%2Fb%20%C3%A4?prefix=/acme", "", "1", 201, `"1"`, `"key":"a/b ä"`},
		{"read it", "GET", "/v1/objects/docs/a%2Fb%20%C3%A4?prefix=/acme", "", "", 200, `"1"`, "1"},
		{"wrong collection", "PUT", "/v1/objects/my%20docs/a", "", "1", 422, "", `"location":"path.collection"`},
		{"long key", "GET", "/v1/objects/docs/" + strings.Repeat("k", 513), "", "", 422, "", `"location":"path.key"`},
		{"wrong prefix", "GET", "/v1/objects/docs/a?prefix=acme", "", "", 422, "", `"location":"query.prefix"`},
		{"large value", "PUT", doc, "", large, 422, "", "has 1048578 bytes, the limit is 1048576"},
		{"no JSON", "PUT", doc, "", "{oops", 400, "", "at byte 2"},
		{"no body", "PUT", doc, "", "", 400, "", "body"},
		{"a version that is no ETag", "PUT", doc, "If-Match: 6", "1", 422, "", "header.If-Match"},
		{"a weak ETag", "PUT", doc, `If-Match: W/"6"`, "1", 422, "", "must be one ETag"},
		{"two ETags", "DELETE", doc, `If-Match: "6", "7"`, "", 422, "", "must be one ETag"},
		{"an ETag that must not match", "PUT", doc, `If-None-Match: "6"`, "1", 422, "", "must be * on a write"},
		{"page too large", "GET", "/v1/objects/docs?limit=201", "", "", 422, "", "query.limit"},
	} {
		req := httptest.NewRequest(c.method, c.target, strings.NewReader(c.body))
		if name, value, ok := strings.Cut(c.header, ":"); ok {
			req.Header.Set(name, strings.TrimSpace(value))
		}
		res := httptest.NewRecorder()
		api.ServeHTTP(res, req)
		if res.Code != c.status || res.Header().Get("ETag") != c.etag || !strings.Contains(res.Body.String(), c.says) {
			t.Errorf("%s: got status %d, ETag %s and %.300s; want %d, %s and %q", c.name, res.Code, res.Header().Get("ETag"), res.Body, c.status, c.etag, c.says)
		}
		if kind := res.Header().Get("Content-Type"); c.status >= 400 && kind != "application/problem+json" || c.method == "GET" && c.status == 200 && kind != "application/json" {
			t.Errorf("%s: status %d is of type %q", c.name, res.Code, kind)
		}
		if c.status == 304 && res.Body.Len() > 0 {
			t.Errorf("%s: a body came with 304: %s", c.name, res.Body)
		}
	}
}

// TestObjectClient: what is written is read, byte for byte, with its version and who wrote it.
func TestObjectClient(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(newRealAPI(t))
	t.Cleanup(server.Close)
	client, err := httpapi.NewClient(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	name := app.ObjectName{Prefix: "/acme", Collection: "docs", Key: "eu/4711"}
	const exact = `{"z":1.0, "a":"<&>\u0000 \ud800"}`
	absent := app.ObjectAbsent
	written, err := client.PutObject(t.Context(), name, json.RawMessage(exact), &absent)
	if err != nil || written.Version != 1 || !written.Created {
		t.Fatalf("got %+v (%v)", written, err)
	}
	read, err := client.Object(t.Context(), name, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got := []any{read.Version, string(read.Value), read.UpdatedBy, read.UpdatedAt.IsZero()}; !cmp.Equal(got, []any{int64(1), exact, "api", false}) {
		t.Errorf("got %v", got)
	}
	_, err = client.PutObject(t.Context(), name, json.RawMessage("2"), &absent)
	if problem := (*httpapi.ProblemError)(nil); !errors.As(err, &problem) || problem.Problem.Status != http.StatusPreconditionFailed {
		t.Errorf("got %v, want 412", err)
	}
	page, err := client.Objects(t.Context(), name, "eu/", "", 10)
	if err != nil || len(page.Objects) != 1 || page.Objects[0].Key != "eu/4711" {
		t.Errorf("got %+v (%v)", page, err)
	}
	if err := client.DeleteObject(t.Context(), name, &read.Version); err != nil {
		t.Error(err)
	}
	if _, err := client.Object(t.Context(), name, 1); err != nil {
		t.Errorf("version 1 is gone: %v", err)
	}
}
