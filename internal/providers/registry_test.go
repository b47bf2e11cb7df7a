package providers_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"statek/internal/providers"
)

type named string

func (n named) Name() string { return string(n) }

func (n named) Complete(context.Context, providers.Request) (providers.Reply, error) {
	return providers.Reply{}, nil
}

func TestLookupIsCaseInsensitiveAndFallsBack(t *testing.T) {
	t.Parallel()
	r, err := providers.NewRegistry(map[string]providers.Provider{"a": named("A"), "B": named("B")}, "b")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"A": "A", "a ": "A", "": "B", "b": "B"} {
		if p, err := r.Lookup(name); err != nil || p.Name() != want {
			t.Errorf("Lookup(%q) = %v, %v; want %s", name, p, err, want)
		}
	}
}

func TestLookupSaysWhatIsConfiguredAndWhatToSet(t *testing.T) {
	t.Parallel()
	some, err := providers.NewRegistry(map[string]providers.Provider{"b": named("B"), "a": named("A")}, "")
	if err != nil {
		t.Fatal(err)
	}
	none, err := providers.NewRegistry(nil, "openrouter")
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		registry   *providers.Registry
		name, want string
	}{
		{some, "groq", "provider GROQ: not configured (configured: A, B); set GROQ_API_URL and GROQ_API_KEY"},
		{some, "", "provider (none): the agent names no provider and there is no default; configured: A, B"},
		{none, "", "provider OPENROUTER: not configured (none is configured); set OPENROUTER_API_KEY"},
	}
	for _, c := range cases {
		_, err := c.registry.Lookup(c.name)
		if err == nil || err.Error() != c.want {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
		if _, retryable := providers.Retryable(err); retryable {
			t.Error("a missing provider does not come by asking again")
		}
	}
}

func TestRegistryRefusesDoubtfulProviders(t *testing.T) {
	t.Parallel()
	for want, byName := range map[string]map[string]providers.Provider{
		`provider "x" is nil`:         {"x": nil},
		`provider "X" is given twice`: {"x": named("x"), "X": named("X")},
	} {
		if _, err := providers.NewRegistry(byName, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want …%s…", err, want)
		}
	}
}

func TestEnvironmentDeclaresProviders(t *testing.T) {
	t.Parallel()
	got, err := providers.FromEnv([]string{
		"OPENROUTER_API_KEY=or-key", "OpenAI_api_key=oa-key", "groq_api_url=https://api.groq.com/openai/v1/chat/completions/",
		"GROQ_API_KEY=g=k", "LOCAL_API_URL=http://127.0.0.1:8000/v1/", "STRIPE_API_KEY=x", "EMPTY_API_URL=", "PATH=/bin",
		"STATEK_API_URL=http://localhost", "X=1", "_API_URL=http://h", "BAD_API_URL=unix:///run/x", "DSN_API_URL=https://u:hunter2@h/",
	})
	want := []providers.Endpoint{
		{Name: "GROQ", URL: "https://api.groq.com/openai/v1", Key: "g=k"},
		{Name: "LOCAL", URL: "http://127.0.0.1:8000/v1"},
		{Name: "OPENAI", URL: "https://api.openai.com/v1", Key: "oa-key"},
		{Name: "OPENROUTER", URL: "https://openrouter.ai/api/v1", Key: "or-key"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	const wantErr = "BAD_API_URL: must be an http or https URL, such as https://host/v1\n" +
		"DSN_API_URL: must hold no user, password or query; the key belongs into the _API_KEY variable"
	if err == nil || err.Error() != wantErr {
		t.Errorf("got error  %v\nwant error %s", err, wantErr)
	}
}

func TestGivenURLsBeatKnownOnesInAnyOrder(t *testing.T) {
	t.Parallel()
	for _, environ := range [][]string{
		{"OPENAI_API_URL=http://h/v1", "OPENAI_API_KEY=k"}, {"OPENAI_API_KEY=k", "OPENAI_API_URL=http://h/v1"},
	} {
		got, err := providers.FromEnv(environ)
		if diff := cmp.Diff([]providers.Endpoint{{Name: "OPENAI", URL: "http://h/v1", Key: "k"}}, got); diff != "" || err != nil {
			t.Errorf("%v: %v (-want +got):\n%s", environ, err, diff)
		}
	}
}

func TestSecretsDoNotShow(t *testing.T) {
	t.Parallel()
	e := providers.Endpoint{Name: "X", URL: "http://h", Key: "hunter2"}
	encoded, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "endpoint", e, "key", e.Key)
	for _, shown := range []string{fmt.Sprintf("%v %+v %#v %s %q", e, e, e, e.Key, e.Key), string(encoded), log.String()} {
		if strings.Contains(shown, "hunter2") {
			t.Errorf("the key shows in %s", shown)
		}
	}
	if e.Key.Reveal() != "hunter2" {
		t.Error("Reveal does not return the key")
	}
}

func TestRetryAfterReadsSecondsMillisecondsAndDates(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	cases := []struct {
		name, value string
		want        time.Duration
	}{
		{"Retry-After", "2", 2 * time.Second},
		{"Retry-After", "0.5", 500 * time.Millisecond},
		{"Retry-After", "Fri, 02 Jan 2026 03:04:35 GMT", 30 * time.Second},
		{"Retry-After", "Fri, 02 Jan 2026 03:00:00 GMT", 0},
		{"Retry-After", "-1", 0},
		{"Retry-After", "NaN", 0},
		{"Retry-After", "1e300", 24 * time.Hour},
		{"Retry-After", "soon", 0},
		{"Retry-After-Ms", "1500", 1500 * time.Millisecond},
		{"X", "1", 0},
	}
	for _, c := range cases {
		if got := providers.RetryAfter(http.Header{c.name: {c.value}}, now); got != c.want {
			t.Errorf("%s: %s = %s, want %s", c.name, c.value, got, c.want)
		}
	}
}

func FuzzBaseURL(f *testing.F) {
	f.Add("https://h/v1/chat/completions/")
	f.Add("http://u:p@h?x#y")
	f.Fuzz(func(t *testing.T, text string) {
		base, err := providers.BaseURL(text)
		if err != nil {
			return
		}
		if again, err := providers.BaseURL(base); err != nil || strings.HasSuffix(again, "/") {
			t.Fatalf("BaseURL(%q) = %q, which reads as %q, %v", text, base, again, err)
		}
	})
}
