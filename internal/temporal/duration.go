package temporal

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Longest is the longest sleep and timeout: ten years.
const Longest = 10 * 365 * 24 * time.Hour

const durationForms = `a number of milliseconds, a text such as "1.5s", "2m", "1h30m" or "2d", or an object such as {minutes: 2}`

// Duration reads a duration as cells write it: milliseconds, a text, or an object of units.
func Duration(raw json.RawMessage) (time.Duration, error) {
	ms, err := milliseconds(raw)
	if err != nil {
		return 0, err
	}
	if ms < 0 {
		return 0, fmt.Errorf("must not be negative, got %s", brief(raw))
	}
	if ms > float64(Longest/time.Millisecond) {
		return 0, fmt.Errorf("must be at most ten years, got %s", brief(raw))
	}
	return time.Duration(math.Round(ms * float64(time.Millisecond))), nil
}

func milliseconds(raw json.RawMessage) (float64, error) {
	var value any
	if err := json.Unmarshal(raw, &value); err != nil {
		return 0, fmt.Errorf("must be %s", durationForms)
	}
	switch v := value.(type) {
	case float64:
		return v, nil
	case string:
		return durationText(v)
	case map[string]any:
		return durationObject(v)
	default:
		return 0, fmt.Errorf("must be %s, got %s", durationForms, brief(raw))
	}
}

var (
	durationForm = regexp.MustCompile(`^-?(?:\d+(?:\.\d+)?(?:ms|s|m|h|d|w))+$`)
	durationPart = regexp.MustCompile(`(\d+(?:\.\d+)?)(ms|s|m|h|d|w)`)
)

func durationText(text string) (float64, error) {
	compact := strings.ReplaceAll(strings.TrimSpace(text), " ", "")
	if !durationForm.MatchString(compact) {
		return 0, fmt.Errorf("must be %s, got %q", durationForms, shorten(text))
	}
	total := 0.0
	for _, m := range durationPart.FindAllStringSubmatch(compact, -1) {
		n, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			return 0, fmt.Errorf("must be at most ten years, got %q", shorten(text))
		}
		total += n * unit(m[2])
	}
	if strings.HasPrefix(compact, "-") {
		total = -total
	}
	return total, nil
}

func durationObject(fields map[string]any) (float64, error) {
	if len(fields) == 0 {
		return 0, fmt.Errorf("must be %s, got {}", durationForms)
	}
	total := 0.0
	for name, value := range fields {
		size := unit(name)
		if size == 0 || len(name) < 4 {
			return 0, fmt.Errorf("has an unknown unit %q: use milliseconds, seconds, minutes, hours, days or weeks", shorten(name))
		}
		n, ok := value.(float64)
		if !ok {
			return 0, fmt.Errorf("needs a number of %s, got %v", name, value)
		}
		total += n * size
	}
	return total, nil
}

// unit is the length of a unit in milliseconds; 0: unknown.
func unit(name string) float64 {
	switch name {
	case "ms", "millisecond", "milliseconds":
		return 1
	case "s", "second", "seconds":
		return 1000
	case "m", "minute", "minutes":
		return 60 * 1000
	case "h", "hour", "hours":
		return 60 * 60 * 1000
	case "d", "day", "days":
		return 24 * 60 * 60 * 1000
	case "w", "week", "weeks":
		return 7 * 24 * 60 * 60 * 1000
	default:
		return 0
	}
}

// instant reads a point in time: an ISO 8601 text with a zone, or milliseconds since 1970.
func instant(raw json.RawMessage) (time.Time, error) {
	const forms = `must be a Date, an ISO text such as "2026-01-31T09:00:00Z", or milliseconds since 1970`
	var value any
	if err := json.Unmarshal(raw, &value); err != nil {
		return time.Time{}, fmt.Errorf("%s", forms)
	}
	switch v := value.(type) {
	case float64:
		if math.Abs(v) > 8.64e15 {
			return time.Time{}, fmt.Errorf("%s, got %s", forms, brief(raw))
		}
		return time.UnixMicro(int64(math.Round(v * 1000))).UTC(), nil
	case string:
		for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04Z07:00", time.DateOnly} {
			if t, err := time.Parse(layout, strings.TrimSpace(v)); err == nil {
				return t.UTC(), nil
			}
		}
		return time.Time{}, fmt.Errorf("%s (with a zone), got %q", forms, shorten(v))
	default:
		return time.Time{}, fmt.Errorf("%s, got %s", forms, brief(raw))
	}
}

// brief shows a JSON value in an error.
func brief(raw json.RawMessage) string { return shorten(string(raw)) }

func shorten(text string) string {
	if r := []rune(text); len(r) > 60 {
		return string(r[:59]) + "…"
	}
	return text
}
