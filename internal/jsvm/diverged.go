package jsvm

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// divergedText bounds each part of a divergence that is shown.
const divergedText = 300

// Error implements error: some lines, each short enough for a log and for a model.
func (e *DivergedError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "replay diverged at call %d, after %d results", e.Call, e.Delivered)
	want, got := window(e.Want, e.Got)
	fmt.Fprintf(&b, "\n  recorded: %s\n  now:      %s", want, got)
	if e.Where != "" {
		fmt.Fprintf(&b, "\n  differs:  %s", clip(e.Where))
	}
	if e.Console != "" {
		fmt.Fprintf(&b, "\n  console:  %s", e.Console)
	}
	return b.String()
}

// window cuts two texts alike, so that their first difference is in sight.
func window(a, b string) (string, string) {
	if len(a) <= divergedText && len(b) <= divergedText {
		return a, b
	}
	same := 0
	for same < len(a) && same < len(b) && a[same] == b[same] {
		same++
	}
	from := max(0, same-divergedText/3)
	cut := func(s string) string {
		s = s[min(from, len(s)):]
		if from > 0 {
			s = "… " + s
		}
		return clip(s)
	}
	return cut(a), cut(b)
}

// clip bounds a text, and keeps it valid Unicode.
func clip(s string) string {
	if len(s) > divergedText {
		s = s[:divergedText] + " …"
	}
	return strings.ToValidUTF8(s, "�")
}

// divergedCall compares a call with its record.
func divergedCall(want, got Call) *DivergedError {
	e := &DivergedError{Call: got.ID, Want: want.Name + string(want.Args), Got: got.Name + string(got.Args)}
	if want.Name != got.Name {
		e.Where = fmt.Sprintf("the name: %s, now %s", want.Name, got.Name)
		return e
	}
	var a, b any
	if json.Unmarshal(want.Args, &a) == nil && json.Unmarshal(got.Args, &b) == nil {
		if e.Where = firstDifference("arguments", a, b); e.Where == "" {
			e.Where = "the order of keys, or how a value is written"
		}
	}
	return e
}

// firstDifference is the path to where two values differ, and how.
func firstDifference(path string, a, b any) string {
	switch x := a.(type) {
	case []any:
		y, ok := b.([]any)
		if !ok {
			break
		}
		for i := range min(len(x), len(y)) {
			if at := firstDifference(fmt.Sprintf("%s[%d]", path, i), x[i], y[i]); at != "" {
				return at
			}
		}
		if len(x) != len(y) {
			return fmt.Sprintf("%s: %d items, now %d", path, len(x), len(y))
		}
		return ""
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok {
			break
		}
		all := maps.Clone(x)
		maps.Copy(all, y)
		for _, key := range slices.Sorted(maps.Keys(all)) {
			before, had := x[key]
			now, has := y[key]
			at := path + "." + key
			switch {
			case !had:
				return fmt.Sprintf("%s: was not there, now %s", at, brief(now))
			case !has:
				return fmt.Sprintf("%s: %s, now not there", at, brief(before))
			}
			if diff := firstDifference(at, before, now); diff != "" {
				return diff
			}
		}
		return ""
	default:
		if _, list := b.([]any); list {
			break
		}
		if _, object := b.(map[string]any); !object && a == b {
			return ""
		}
	}
	return fmt.Sprintf("%s: %s, now %s", path, brief(a), brief(b))
}

func brief(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return "?"
	}
	if len(text) > divergedText/4 {
		text = append(text[:divergedText/4:divergedText/4], "…"...)
	}
	return string(text)
}

// divergence adds where the cell is to what was found.
func (c *openCell) divergence(e *DivergedError) *DivergedError {
	e.Delivered = c.delivered
	e.Console = c.console.differs
	return e
}
