package jobs_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"statek/internal/jobs"
)

// TestEveryKindDecodes: what Step accepts can be written to history and read back as the same event.
func TestEveryKindDecodes(t *testing.T) {
	t.Parallel()
	for _, ev := range moves(jobs.Job{}) {
		if _, asked := ev.(jobs.Claimed); asked {
			continue // not history
		}
		payload, err := jobs.Encode(ev)
		if err != nil {
			t.Fatal(err)
		}
		got, err := jobs.Decode(ev.Kind(), payload)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(ev, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", ev.Kind(), diff)
		}
	}
}

// TestDecodeNewerKind: a row written by a newer version is an error that says so, not a guess.
func TestDecodeNewerKind(t *testing.T) {
	t.Parallel()
	_, err := jobs.Decode("levitated", []byte("{}"))
	if err == nil || !strings.Contains(err.Error(), `"levitated"`) || !strings.Contains(err.Error(), "newer") {
		t.Errorf("expected an error that names the kind, got %v", err)
	}
}

// TestEncodeKeepsRawValues: recorded values are replayed from their exact text.
func TestEncodeKeepsRawValues(t *testing.T) {
	t.Parallel()
	for _, value := range []string{
		`{"b":1,"a":2,"b":3}`, `-0`, `1e400`, `"\u0000"`, `"\ud800"`, `"<&>"`, `12345678901234567890`, "\"\u2028\"", `null`,
	} {
		payload, err := jobs.Encode(jobs.CallSettled{Call: 1, Name: "x", Value: json.RawMessage(value)})
		if err != nil {
			t.Fatalf("%s: %v", value, err)
		}
		ev, err := jobs.Decode("call_settled", payload)
		if err != nil {
			t.Fatalf("%s: %v", value, err)
		}
		settled, _ := ev.(jobs.CallSettled)
		if string(settled.Value) != value {
			t.Errorf("expected %s, got %s", value, settled.Value)
		}
	}
}

// FuzzDecode: a payload is refused, or encodes to text that decodes to the same event and encodes to itself.
func FuzzDecode(f *testing.F) {
	for _, ev := range moves(jobs.Job{}) {
		payload, err := jobs.Encode(ev)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(ev.Kind(), payload)
	}
	f.Add("call_settled", []byte(`{"call":1,"name":"x","value": {"a" : [1, 2]},"now":-1}`))
	f.Add("cell_ended", []byte(`{"state":"done","exit":{"result":null}}`))
	f.Fuzz(func(t *testing.T, kind string, payload []byte) {
		ev, err := jobs.Decode(kind, payload)
		if err != nil {
			return
		}
		first, err := jobs.Encode(ev)
		if err != nil {
			t.Fatalf("%s decodes and does not encode: %v", payload, err)
		}
		again, err := jobs.Decode(kind, first)
		if err != nil {
			t.Fatalf("%s encodes to %s, which does not decode: %v", payload, first, err)
		}
		second, err := jobs.Encode(again)
		if err != nil || !bytes.Equal(first, second) {
			t.Fatalf("encodes to %s, then to %s: %v", first, second, err)
		}
		_, _, _ = jobs.Step(jobs.Job{Status: jobs.Started, Cells: 1, Cell: &jobs.Cell{Number: 1}}, ev, start)
	})
}
