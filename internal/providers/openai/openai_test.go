package openai_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"statek/internal/providers"
	"statek/internal/providers/openai"
	"statek/internal/providers/providertest"
)

const key = "sk-hunter2"

func start(t *testing.T, change func(*openai.Config), answers ...providertest.Answer) (*openai.Provider, *providertest.Server) {
	t.Helper()
	server := providertest.NewServer(t)
	server.Queue(answers...)
	config := openai.Config{
		Name: "test", URL: server.URL(), Key: key, Client: server.Client(),
		Now: func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) },
	}
	if change != nil {
		change(&config)
	}
	p, err := openai.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return p, server
}

func request() providers.Request {
	temperature := 0.0
	return providers.Request{
		Model: "vendor/model:free", Key: "job/1/2", Temperature: &temperature,
		Messages: []providers.Message{
			{Role: providers.System, Content: "Be brief."}, {Role: providers.Assistant, Content: "a"},
			{Role: providers.User, Content: "b"},
		},
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	providertest.Conformance(t, func(t *testing.T, answers ...providertest.Answer) providers.Provider {
		p, _ := start(t, nil, answers...)
		return p
	})
}

func TestTheRequestIsWhatWasAsked(t *testing.T) {
	t.Parallel()
	p, server := start(t, nil, providertest.Answer{Text: "x"})
	if _, err := p.Complete(t.Context(), request()); err != nil {
		t.Fatal(err)
	}
	got := server.Requests()[0]
	want := request()
	if diff := cmp.Diff(want.Messages, got.Messages); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	if got.Model != want.Model || got.Key != want.Key || got.Authorization != "Bearer "+key ||
		got.Temperature == nil || *got.Temperature != 0 || got.Path != "/v1/chat/completions" {
		t.Errorf("got %+v", got)
	}
}

func TestWithoutKeyAndTemperatureNoneIsSent(t *testing.T) {
	t.Parallel()
	p, server := start(t, func(c *openai.Config) { c.Key = ""; c.URL += "/chat/completions/" }, providertest.Answer{Text: "x"})
	req := request()
	req.Temperature, req.Key = nil, ""
	if _, err := p.Complete(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	got := server.Requests()[0]
	if got.Authorization != "" || got.Temperature != nil || got.Key != "" {
		t.Errorf("got %+v", got)
	}
}

func TestUsageHoldsCachedTokensAndTheReportedCost(t *testing.T) {
	t.Parallel()
	want := providers.Reply{
		Text: "x", Model: "vendor/model:free", Note: "the service cut the reply at its output limit",
		Usage: providers.Usage{InputTokens: 100, CachedTokens: 90, OutputTokens: 7, Cost: "0.00012300000000000001"},
	}
	p, _ := start(t, nil, providertest.Answer{Text: "x", Usage: want.Usage, Finish: "length"})
	got, err := p.Complete(t.Context(), request())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestOddAnswersAreSorted(t *testing.T) {
	t.Parallel()
	const choice = `{"choices":[{"message":{"content":"x"}}]}`
	cases := []struct {
		name      string
		answer    providertest.Answer
		want      string
		status    int
		retryable bool
	}{
		{"no choices", providertest.Answer{Raw: `{"choices":[]}`}, "no choices", 200, true},
		{"empty object", providertest.Answer{Raw: `{}`}, "no choices", 200, true},
		{"null", providertest.Answer{Raw: `null`}, "no choices", 200, true},
		{"an array", providertest.Answer{Raw: `[]`}, "", 0, true},
		{"broken JSON", providertest.Answer{Raw: choice[:20]}, "not JSON", 200, true},
		{"HTML", providertest.Answer{Raw: "<html>\n<b>Bad gateway", ContentType: "text/html"}, "not JSON: <html> <b>Bad gateway", 200, true},
		{"a broken connection", providertest.Answer{Text: "x", Truncate: true}, "broke off", 0, true},
		{"too large", providertest.Answer{Text: strings.Repeat("x", 5000)}, "larger than 4096 bytes", 200, false},
		{"an error inside", providertest.Answer{Raw: `{"error":{"message":"Overloaded","code":502}}`}, "Overloaded", 502, true},
		{"a refusal inside", providertest.Answer{Raw: `{"error":{"message":"No credits","code":402}}`}, "No credits", 402, false},
		{"error text", providertest.Answer{Status: 404, Raw: `{"error":"model 'x' not found"}`}, "model 'x' not found", 404, false},
		{"an error page", providertest.Answer{Status: 502, Raw: "upstream\ngone"}, "upstream gone", 502, true},
		{"an empty error", providertest.Answer{Status: 503, Raw: " "}, "Service Unavailable", 503, true},
		{"a redirect", providertest.Answer{Status: 302, Raw: "elsewhere"}, "elsewhere", 302, false},
		{"a key repeated", providertest.Answer{Status: 401, Message: "bad key " + key + "!"}, "bad key [secret]!", 401, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p, server := start(t, func(c *openai.Config) { c.MaxResponse = 4096 }, c.answer, providertest.Answer{Text: "again"})
			_, err := p.Complete(t.Context(), request())
			var pe *providers.Error
			if !errors.As(err, &pe) {
				t.Fatalf("got %v, want a *providers.Error", err)
			}
			if pe.Status != c.status || pe.Retryable != c.retryable || !strings.Contains(pe.Message, c.want) {
				t.Errorf("got status %d, retryable %v: %s", pe.Status, pe.Retryable, pe.Message)
			}
			if n := len(server.Requests()); n != 1 {
				t.Errorf("%d requests were made", n)
			}
			if strings.Contains(err.Error(), key) {
				t.Error("the key shows in the error")
			}
		})
	}
}

func TestJSONLabelledAsTextIsRead(t *testing.T) {
	t.Parallel()
	p, _ := start(t, nil, providertest.Answer{Raw: `{"choices":[{"message":{"content":"x"}}]}`, ContentType: "text/plain"})
	if got, err := p.Complete(t.Context(), request()); err != nil || got.Text != "x" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestRefusalsAndEmptyTextsAreReplies(t *testing.T) {
	t.Parallel()
	p, _ := start(t, nil,
		providertest.Answer{Raw: `{"choices":[{"message":{"content":null,"refusal":"I will not."}}]}`},
		providertest.Answer{Raw: `{"choices":[{"message":{"content":null}}]}`})
	for _, want := range []string{"I will not.", ""} {
		if got, err := p.Complete(t.Context(), request()); err != nil || got.Text != want {
			t.Errorf("got %+v, %v; want text %q", got, err, want)
		}
	}
}

func TestRetryAfterMayBeADate(t *testing.T) {
	t.Parallel()
	p, _ := start(t, nil, providertest.Answer{Status: 429, RetryAfter: "Fri, 02 Jan 2026 03:04:35 GMT"})
	_, err := p.Complete(t.Context(), request())
	if after, ok := providers.Retryable(err); !ok || after != 30*time.Second {
		t.Errorf("got %v, retryable %v after %s", err, ok, after)
	}
}

func TestASlowServiceTimesOutAndMayBeRetried(t *testing.T) {
	t.Parallel()
	p, _ := start(t, func(c *openai.Config) { c.Timeout = 30 * time.Millisecond }, providertest.Answer{Hang: true})
	_, err := p.Complete(t.Context(), request())
	if _, ok := providers.Retryable(err); !ok || !strings.Contains(err.Error(), "no answer within 30ms") {
		t.Errorf("got %v", err)
	}
}

func TestAServiceThatIsGoneMayComeBack(t *testing.T) {
	t.Parallel()
	p, server := start(t, nil)
	server.Close()
	_, err := p.Complete(t.Context(), request())
	if _, ok := providers.Retryable(err); !ok || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("got %v", err)
	}
}

func TestKeysDoNotFollowRedirects(t *testing.T) {
	t.Parallel()
	target := providertest.NewServer(t)
	front := httptest.NewServer(http.RedirectHandler(target.URL()+"/chat/completions", http.StatusTemporaryRedirect))
	defer front.Close()
	client := openai.NewClient()
	defer client.CloseIdleConnections()
	p, err := openai.New(openai.Config{Name: "x", URL: front.URL, Key: key, Client: client})
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Complete(t.Context(), request())
	var pe *providers.Error
	if !errors.As(err, &pe) || pe.Status != http.StatusTemporaryRedirect || pe.Retryable {
		t.Errorf("got %v", err)
	}
	if n := len(target.Requests()); n != 0 {
		t.Errorf("%d requests went to another host", n)
	}
}

func TestConnectionsAreKept(t *testing.T) {
	t.Parallel()
	server := providertest.NewServer(t)
	server.Handle(func(providertest.Recorded) providertest.Answer { return providertest.Answer{Text: "x"} })
	client := openai.NewClient()
	defer client.CloseIdleConnections()
	p, err := openai.New(openai.Config{Name: "x", URL: server.URL(), Client: client})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := p.Complete(t.Context(), request()); err != nil {
			t.Fatal(err)
		}
	}
	addresses := map[string]bool{}
	for _, r := range server.Requests() {
		addresses[r.RemoteAddr] = true
	}
	if len(addresses) != 1 {
		t.Errorf("3 requests used %d connections", len(addresses))
	}
}

func TestNewRefusesBadConfigurations(t *testing.T) {
	t.Parallel()
	for want, config := range map[string]openai.Config{
		"Name":              {URL: "http://h"},
		"http or https URL": {Name: "x", URL: "h/v1"},
		"no user":           {Name: "x", URL: "http://u:hunter2@h"},
		"to be positive":    {Name: "x", URL: "http://h", Timeout: -1},
	} {
		_, err := openai.New(config)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v, want …%s…", err, want)
		}
	}
}
