package agents_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"statek/internal/agents"
)

func TestRetryOfToolFiles(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file, text string
		want       agents.Policy
		pauses     bool
	}{
		"SQL, by default":  {"a.sql", "-- tool: a()\nselect 1", agents.Policy{Attempts: 5, Backoff: 10 * time.Millisecond, Max: time.Second}, false},
		"SQL":              {"a.sql", "-- tool: a()\n-- retry: attempts=8 max=2s\n-- on_exhausted: pause\nselect 1", agents.Policy{Attempts: 8, Backoff: 10 * time.Millisecond, Max: 2 * time.Second}, true},
		"HTTP, by default": {"a.http.yaml", "url: https://h/\n", agents.Policy{Attempts: 3, Backoff: time.Second, Max: time.Minute}, false},
		"HTTP":             {"a.http.yaml", "url: https://h/\nretry: {attempts: 9, backoff: 2m}\non_exhausted: fail\n", agents.Policy{Attempts: 9, Backoff: 2 * time.Minute, Max: 2 * time.Minute}, false},
		"HTTP, off":        {"a.http.yaml", "url: https://h/\nretry: {attempts: 1}\non_exhausted: pause\n", agents.Policy{Attempts: 1, Backoff: time.Second, Max: time.Minute}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tool, err := agents.ParseTool(c.file, c.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, tool.Policy()); diff != "" {
				t.Errorf("policy (-want +got):\n%s", diff)
			}
			if tool.Pauses() != c.pauses {
				t.Errorf("pauses: %t", tool.Pauses())
			}
		})
	}
}

func TestRetryMistakesNameLineAndRemedy(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file, text string
		line       int
		want       string
	}{
		"no number":        {"a.sql", "-- tool: a()\n-- retry: attempts=many\nselect 1", 2, `retry attempts must be 1 to 100, got "many"`},
		"too many":         {"a.sql", "-- tool: a()\n-- retry: attempts=101\nselect 1", 2, "attempts must be 1 to 100, got 101"},
		"none":             {"a.sql", "-- tool: a()\n-- retry: attempts=0\nselect 1", 2, `attempts must be 1 to 100, got "0"`},
		"empty":            {"a.sql", "-- tool: a()\n-- retry:\nselect 1", 2, "must look like attempts=5 backoff=1s max=1m"},
		"unknown":          {"a.sql", "-- tool: a()\n-- retry: tries=5\nselect 1", 2, `knows attempts, backoff and max, got "tries"`},
		"twice":            {"a.sql", "-- tool: a()\n-- retry: max=1s max=2s\nselect 1", 2, "must look like"},
		"no duration":      {"a.http.yaml", "url: https://h/\nretry: {backoff: 5}\n", 2, `backoff must be a duration up to 24h, such as 1s, got "5"`},
		"max below":        {"a.http.yaml", "url: https://h/\nretry: {backoff: 5s, max: 1s}\n", 2, "max (1s) must not be shorter than backoff (5s)"},
		"unknown end":      {"a.http.yaml", "url: https://h/\non_exhausted: stop\n", 2, `on_exhausted must be fail or pause, got "stop"`},
		"unknown end, SQL": {"a.sql", "-- tool: a()\n-- on_exhausted: stop\nselect 1", 2, `on_exhausted must be fail or pause, got "stop"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := agents.ParseTool(c.file, c.text)
			var fe *agents.FileError
			if !errors.As(err, &fe) || fe.Line != c.line || !strings.Contains(fe.Msg, c.want) {
				t.Errorf("got %v, want line %d: … %s", err, c.line, c.want)
			}
		})
	}
}

func TestRetryOfAgents(t *testing.T) {
	t.Parallel()
	def := agents.Definition{Role: "r", Meta: map[string]string{"MODEL": "m", "RETRY": "attempts=9 backoff=3s"}, Prompt: "You help."}
	if err := def.Validate(); err != nil {
		t.Fatal(err)
	}
	want := agents.Policy{Attempts: 9, Backoff: 3 * time.Second, Max: time.Minute}
	if diff := cmp.Diff(want, def.Retry().Policy(agents.ModelPolicy())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	def.Meta["RETRY"] = "often"
	var ke *agents.KeyError
	if err := def.Validate(); !errors.As(err, &ke) || ke.Key != "RETRY" {
		t.Errorf("got %v, want a complaint about RETRY", err)
	}
}

// TestDelaysGrowAndStayBounded: whatever the policy, a pause is between half of its step and the longest, and no step
// is shorter than the one before.
func TestDelaysGrowAndStayBounded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		backoff := time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "backoff"))
		p := agents.Policy{Backoff: backoff, Max: backoff + time.Duration(rapid.Int64Range(0, int64(24*time.Hour)).Draw(t, "more"))}
		step := time.Duration(0)
		for attempt := 1; attempt <= 100; attempt++ {
			longest := p.Delay(attempt, 0)
			if longest < step || longest > p.Max || attempt == 1 && longest != backoff {
				t.Fatalf("attempt %d: %s after %s, at most %s", attempt, longest, step, p.Max)
			}
			if got := p.Delay(attempt, rapid.Uint64().Draw(t, "random")); got < longest/2 || got > longest {
				t.Fatalf("attempt %d: %s is not between half of %s and all of it", attempt, got, longest)
			}
			step = longest
		}
		if step != p.Max {
			t.Fatalf("the last pause is %s, want %s", step, p.Max)
		}
	})
}
