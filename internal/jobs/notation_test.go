package jobs_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"statek/internal/jobs"
)

// parseEvent reads "kind key=value …". Keys are those of the history payload; a value is JSON or a bare word.
func parseEvent(t *testing.T, kind, rest string) jobs.Event {
	t.Helper()
	if kind == "claimed" {
		return jobs.Claimed{}
	}
	fields := parseFields(t, rest)
	payload, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	ev, err := jobs.Decode(kind, payload)
	if err != nil {
		t.Fatalf("%s %s: %v", kind, rest, err)
	}
	known := map[string]json.RawMessage{}
	if encoded, err := jobs.Encode(ev); err != nil || json.Unmarshal(encoded, &known) != nil {
		t.Fatalf("%s: encode: %v", kind, err)
	}
	for key := range fields {
		if _, ok := known[key]; !ok {
			t.Fatalf("%s has no field %q, or the value says nothing", kind, key)
		}
	}
	return ev
}

// parseMail reads "kind id=… cell=… call=… payload=…".
func parseMail(t *testing.T, rest string) jobs.Mail {
	t.Helper()
	kind, rest, _ := strings.Cut(rest, " ")
	m := jobs.Mail{Kind: kind}
	for key, value := range parseFields(t, rest) {
		var err error
		switch key {
		case "id":
			err = json.Unmarshal(value, &m.ID)
		case "cell":
			err = json.Unmarshal(value, &m.Cell)
		case "call":
			err = json.Unmarshal(value, &m.Call)
		case "payload":
			m.Payload = value
		default:
			t.Fatalf("mail has no field %q", key)
		}
		if err != nil {
			t.Fatalf("mail: %s: %v", key, err)
		}
	}
	return m
}

func parseFields(t *testing.T, text string) map[string]json.RawMessage {
	t.Helper()
	fields := map[string]json.RawMessage{}
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		key, rest, ok := strings.Cut(text, "=")
		if !ok {
			t.Fatalf("expected key=value, got %q", text)
		}
		var value json.RawMessage
		if dec := json.NewDecoder(strings.NewReader(rest)); dec.Decode(&value) == nil {
			text = rest[dec.InputOffset():]
		} else {
			var word string
			word, text, _ = strings.Cut(rest, " ")
			value, _ = json.Marshal(word)
		}
		fields[key] = value
	}
	return fields
}

// showEvent writes an event that a mailbox row turned into.
func showEvent(t *testing.T, ev jobs.Event) string {
	t.Helper()
	payload, err := jobs.Encode(ev)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("+ %s %s", ev.Kind(), payload)
}

// showJob writes what is not zero, on one line.
func showJob(j jobs.Job) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", j.Status)
	if j.Outcome != "" {
		fmt.Fprintf(&b, " %s", j.Outcome)
	}
	fmt.Fprintf(&b, " seq=%d", j.Seq)
	if j.Blocks > 0 {
		fmt.Fprintf(&b, " warm=%d/%d", j.Warm, j.Blocks)
	}
	for _, n := range []struct {
		name  string
		value int
	}{{"turns", j.Turns}, {"unread", j.Unread}, {"exceptions", j.Exceptions}, {"streak", j.Streak},
		{"bad", j.BadReplies}, {"completions", j.Completions}} {
		if n.value > 0 {
			fmt.Fprintf(&b, " %s=%d", n.name, n.value)
		}
	}
	if j.Cell != nil {
		fmt.Fprintf(&b, " | cell %d (%s %d)", j.Cell.Number, j.Cell.Origin, j.Cell.Index)
		for _, p := range j.Cell.Open {
			fmt.Fprintf(&b, " %d:%s(%s)", p.Call, p.Name, p.Class)
			if p.Attempt > 0 {
				fmt.Fprintf(&b, "#%d", p.Attempt)
			}
			if p.Failed {
				b.WriteString("!")
			}
		}
		for _, s := range j.Cell.Sets {
			fmt.Fprintf(&b, " %s%v", s.Mode, s.Calls)
		}
	}
	if m := j.Model; m != nil {
		fmt.Fprintf(&b, " | turn %d attempt %d", m.Turn, m.Attempt)
		if m.Failed {
			b.WriteString(" failed")
		}
	}
	flags := []string{}
	for name, set := range map[string]bool{"code waits": j.Code, "exit": j.Exit} {
		if set {
			flags = append(flags, name)
		}
	}
	for _, f := range flags {
		fmt.Fprintf(&b, " | %s", f)
	}
	for _, s := range []string{string(j.Result), j.Error, j.MustHalt, j.MustFail} {
		if s != "" {
			fmt.Fprintf(&b, " | %s", s)
		}
	}
	return b.String()
}

func showEffect(e jobs.Effect) string {
	switch e := e.(type) {
	case jobs.StartCell:
		return fmt.Sprintf("start the cell of %s %d", e.Origin, e.Index)
	case jobs.Execute:
		return "execute the cell from its start"
	case jobs.Perform:
		return fmt.Sprintf("perform call %d %s (%s)", e.Call.Call, e.Call.Name, e.Call.Class)
	case jobs.Deliver:
		return fmt.Sprintf("deliver call %d", e.Call)
	case jobs.Withdraw:
		return fmt.Sprintf("withdraw calls %v", e.Calls)
	case jobs.AskModel:
		return fmt.Sprintf("ask the model: turn %d attempt %d", e.Turn, e.Attempt)
	case jobs.Send:
		return "send the request"
	case jobs.Halt:
		return "halt: " + e.Reason
	case jobs.End:
		return strings.TrimRight(fmt.Sprintf("end: %s %s%s", e.Outcome, e.Result, e.Error), " ")
	case jobs.Rest:
		if e.Until.IsZero() {
			return "rest"
		}
		return fmt.Sprintf("rest until +%s", e.Until.UTC().Sub(start).Round(time.Millisecond))
	default:
		return fmt.Sprintf("unknown effect %T", e)
	}
}
