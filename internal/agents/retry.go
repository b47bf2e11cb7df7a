package agents

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Retry says how often something is attempted, and how long the pauses between are. Zero fields leave it to the
// default of what is attempted.
type Retry struct {
	// Attempts in all; 1 switches repetition off.
	Attempts int `json:"attempts,omitempty" yaml:"attempts"`
	// Backoff is the first pause, a Go duration text; the pauses double up to Max.
	Backoff string `json:"backoff,omitempty" yaml:"backoff"`
	Max     string `json:"max,omitempty" yaml:"max"`
}

// What becomes of a call whose last attempt has failed.
const (
	// ExhaustedFail hands the error to the code.
	ExhaustedFail = "fail"
	// ExhaustedPause pauses the job with the error; resume grants fresh attempts.
	ExhaustedPause = "pause"
)

// Policy is a Retry with everything decided.
type Policy struct {
	Attempts     int
	Backoff, Max time.Duration
}

// ModelPolicy is how model requests are repeated unless the agent says otherwise; their number is a limit of the job.
func ModelPolicy() Policy {
	return Policy{Attempts: 5, Backoff: time.Second, Max: time.Minute}
}

// SQLPolicy is how a transaction that lost to a concurrent one is repeated: it has had no effect.
func SQLPolicy() Policy {
	return Policy{Attempts: 5, Backoff: 10 * time.Millisecond, Max: time.Second}
}

// outsidePolicy is for calls that leave the process: one that failed may have had its effect, so it is repeated only a
// little unless its author says more.
func outsidePolicy() Policy {
	return Policy{Attempts: 3, Backoff: time.Second, Max: time.Minute}
}

const (
	mostAttempts = 100
	mostPause    = 24 * time.Hour
)

// ParseRetry reads "attempts=5 backoff=1s max=1m", any of them.
func ParseRetry(text string) (Retry, error) {
	var r Retry
	seen := map[string]bool{}
	for _, field := range strings.Fields(text) {
		key, value, found := strings.Cut(field, "=")
		if !found || seen[key] {
			return Retry{}, fmt.Errorf("must look like attempts=5 backoff=1s max=1m, got %q", text)
		}
		seen[key] = true
		switch key {
		case "attempts":
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 {
				return Retry{}, fmt.Errorf("attempts must be 1 to %d, got %q", mostAttempts, value)
			}
			r.Attempts = n
		case "backoff":
			r.Backoff = value
		case "max":
			r.Max = value
		default:
			return Retry{}, fmt.Errorf("knows attempts, backoff and max, got %q", key)
		}
	}
	if len(seen) == 0 {
		return Retry{}, fmt.Errorf("must look like attempts=5 backoff=1s max=1m, got %q", text)
	}
	return r, r.validate()
}

func (r Retry) validate() error {
	if r.Attempts < 0 || r.Attempts > mostAttempts {
		return fmt.Errorf("attempts must be 1 to %d, got %d", mostAttempts, r.Attempts)
	}
	for name, text := range map[string]string{"backoff": r.Backoff, "max": r.Max} {
		if d, err := time.ParseDuration(text); text != "" && (err != nil || d <= 0 || d > mostPause) {
			return fmt.Errorf("%s must be a duration up to 24h, such as 1s, got %q", name, text)
		}
	}
	if r.Backoff != "" && r.Max != "" && duration(r.Max) < duration(r.Backoff) {
		return fmt.Errorf("max (%s) must not be shorter than backoff (%s)", r.Max, r.Backoff)
	}
	return nil
}

// Policy fills in what r leaves open.
func (r Retry) Policy(def Policy) Policy {
	if r.Attempts > 0 {
		def.Attempts = r.Attempts
	}
	if d := duration(r.Backoff); d > 0 {
		def.Backoff = d
		def.Max = max(def.Max, d)
	}
	if d := duration(r.Max); d > 0 {
		def.Max = d
		def.Backoff = min(def.Backoff, d)
	}
	return def
}

// Delay is the pause after a failed attempt, counted from 1: it doubles from Backoff to Max, with up to half of it as
// jitter, so that those who failed together do not come again together.
func (p Policy) Delay(attempt int, random uint64) time.Duration {
	d := p.Backoff
	for i := 1; i < attempt && d < p.Max; i++ {
		d *= 2
	}
	d = min(d, p.Max)
	return d - time.Duration(random%uint64(d/2+1))
}

// Policy is how the tool's calls are repeated.
func (t Tool) Policy() Policy {
	def := outsidePolicy()
	if t.Kind == SQLTool {
		def = SQLPolicy()
	}
	if t.Retry == nil {
		return def
	}
	return t.Retry.Policy(def)
}

// Pauses reports whether the job pauses when the tool's last attempt has failed.
func (t Tool) Pauses() bool { return t.OnExhausted == ExhaustedPause }

func (t Tool) validateRetry() error {
	if t.Retry != nil {
		if err := t.Retry.validate(); err != nil {
			return &fieldError{"retry", err.Error()}
		}
	}
	return checkExhausted(t.OnExhausted)
}

func checkExhausted(word string) error {
	switch word {
	case "", ExhaustedFail, ExhaustedPause:
		return nil
	default:
		return &fieldError{"on_exhausted", fmt.Sprintf("must be fail or pause, got %q", word)}
	}
}

// Retry returns RETRY: how the agent's model requests are repeated.
func (d Definition) Retry() Retry {
	r, err := ParseRetry(d.Meta[KeyRetry])
	if err != nil {
		return Retry{}
	}
	return r
}

func (d Definition) checkRetry() error {
	text, ok := d.Meta[KeyRetry]
	if !ok {
		return nil
	}
	if _, err := ParseRetry(text); err != nil {
		return &KeyError{Key: KeyRetry, Msg: err.Error()}
	}
	return nil
}

// duration reads a duration that was checked; empty is 0.
func duration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0
	}
	return d
}
