package temporal_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"statek/internal/temporal"
)

func TestDuration(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]time.Duration{
		`0`: 0, `1500`: 1500 * time.Millisecond, `0.5`: 500 * time.Microsecond, `"250ms"`: 250 * time.Millisecond,
		`"1.5s"`: 1500 * time.Millisecond, `"2m"`: 2 * time.Minute, `"1h30m"`: 90 * time.Minute, `"1h 30m"`: 90 * time.Minute,
		`"2d"`: 48 * time.Hour, `"1w"`: 7 * 24 * time.Hour, `{"seconds": 3}`: 3 * time.Second,
		`{"minutes": 1, "seconds": 1}`: 61 * time.Second, `{"days": 3650}`: temporal.Longest,
	} {
		got, err := temporal.Duration(json.RawMessage(raw))
		if err != nil || got != want {
			t.Errorf("Duration(%s) = %v, %v; want %v", raw, got, err, want)
		}
	}
	for raw, want := range map[string]string{
		`-1`: "must not be negative, got -1", `"-2s"`: "must not be negative", `{"years": 1}`: `unknown unit "years"`,
		`{"s": 1}`: "unknown unit", `"soon"`: `got "soon"`, `""`: "must be a number", `true`: "got true", `null`: "got null",
		`[]`: "got []", `{}`: "got {}", `{"days": 3651}`: "at most ten years", `1e300`: "at most ten years",
		`"` + strings.Repeat("9", 400) + `s"`: "ten years", `{"seconds": "1"}`: "needs a number of seconds", `"5 parsecs"`: `got "5 parsecs"`,
	} {
		_, err := temporal.Duration(json.RawMessage(raw))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Duration(%.40s) = %v, want an error with %q", raw, err, want)
		}
	}
}

func FuzzDuration(f *testing.F) {
	f.Add(`"1h30m"`)
	f.Add(`{"days": 1}`)
	f.Fuzz(func(t *testing.T, raw string) {
		d, err := temporal.Duration(json.RawMessage(raw))
		if err == nil && (d < 0 || d > temporal.Longest) {
			t.Errorf("Duration(%q) = %v, out of bounds", raw, d)
		}
	})
}
