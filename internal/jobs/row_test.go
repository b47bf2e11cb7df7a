package jobs_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"statek/internal/jobs"
)

func issue(call int, name string, class jobs.Class) jobs.CallIssued {
	return jobs.CallIssued{Call: call, Name: name, Class: class, Args: json.RawMessage(`[ {"b":1, "a":-0} ]`), Hash: "h", After: call - 1}
}

// TestRows: a call of a tool that is recorded with its result has one row with it, and nothing of it is lost.
func TestRows(t *testing.T) {
	t.Parallel()
	result := func(call int, name string) jobs.CallSettled {
		return jobs.CallSettled{Call: call, Name: name, Value: json.RawMessage(`{"z":1,"a":"<&>"}`), Now: 5}
	}
	failure := jobs.CallSettled{Call: 1, Name: "a", Error: &jobs.Fault{Name: "SQLError", Message: "no"}, Now: 5}
	cases := map[string]struct {
		events []jobs.Event
		want   []int64 // the rows' numbers
	}{
		"nothing":                         {nil, nil},
		"a tool with its result":          {[]jobs.Event{issue(1, "a", jobs.Tool), result(1, "a")}, []int64{8}},
		"a tool with its failure":         {[]jobs.Event{issue(1, "a", jobs.Tool), failure}, []int64{8}},
		"two, one after the other":        {[]jobs.Event{jobs.Console{Lines: []string{"x"}}, issue(1, "a", jobs.Tool), result(1, "a"), issue(2, "b", jobs.Tool), result(2, "b"), jobs.CellEnded{State: "done"}}, []int64{7, 9, 11, 12}},
		"two at once":                     {[]jobs.Event{issue(1, "a", jobs.Tool), issue(2, "b", jobs.Tool), result(1, "a"), result(2, "b")}, []int64{7, 8, 9, 10}},
		"two at once, the last one first": {[]jobs.Event{issue(1, "a", jobs.Tool), issue(2, "b", jobs.Tool), result(2, "b"), result(1, "a")}, []int64{7, 9, 10}},
		"a result alone":                  {[]jobs.Event{result(1, "a"), issue(2, "b", jobs.Tool)}, []int64{7, 8}},
		"something between":               {[]jobs.Event{issue(1, "a", jobs.Tool), jobs.TakenOver{Worker: "w"}, result(1, "a")}, []int64{7, 8, 9}},
		"a wait":                          {[]jobs.Event{issue(1, "a", jobs.Wait), result(1, "a")}, []int64{7, 8}},
		"another call's result":           {[]jobs.Event{issue(2, "a", jobs.Tool), result(1, "a")}, []int64{7, 8}},
		"no arguments":                    {[]jobs.Event{jobs.CallIssued{Call: 1, Name: "a", Class: jobs.Tool, Args: json.RawMessage("null")}, result(1, "a")}, []int64{8}},
		"another cell's":                  {[]jobs.Event{issue(1, "a", jobs.Tool), jobs.CellStarted{Cell: 4}, result(1, "a")}, []int64{7, 8, 9}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			list := make([]jobs.Entry, len(c.events))
			for i, ev := range c.events {
				cell, call := jobs.Place(ev, 3)
				list[i] = jobs.Entry{Seq: int64(7 + i), Cell: cell, Call: call, At: start.Add(time.Duration(i) * 1234 * time.Microsecond), Event: ev}
			}
			rows, err := jobs.Rows(7, list)
			if err != nil {
				t.Fatal(err)
			}
			var seqs []int64
			for _, r := range rows {
				seqs = append(seqs, r.Seq)
			}
			if diff := cmp.Diff(c.want, seqs); diff != "" {
				t.Errorf("numbers (-want +got):\n%s", diff)
			}
			got, err := jobs.Entries(rows)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(canonical(list), canonical(got)); diff != "" {
				t.Errorf("entries (-want +got):\n%s", diff)
			}
		})
	}
}

// TestRowsOfAClockThatGoesBack: both times are kept.
func TestRowsOfAClockThatGoesBack(t *testing.T) {
	t.Parallel()
	list := []jobs.Entry{
		{Seq: 7, Cell: 1, Call: 1, At: start, Event: issue(1, "a", jobs.Tool)},
		{Seq: 8, Cell: 1, Call: 1, At: start.Add(-time.Second), Event: jobs.CallSettled{Call: 1, Name: "a", Value: json.RawMessage("1")}},
	}
	rows, err := jobs.Rows(7, list)
	if err != nil {
		t.Fatal(err)
	}
	got, err := jobs.Entries(rows)
	if diff := cmp.Diff(canonical(list), canonical(got)); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// TestRowsOfBadText: an argument that is no JSON is an error of the call's kind, and so is a payload that is none.
func TestRowsOfBadText(t *testing.T) {
	t.Parallel()
	bad := issue(1, "a", jobs.Tool)
	bad.Args = json.RawMessage(`{`)
	if _, err := jobs.Rows(1, []jobs.Entry{{Event: bad}, {Event: jobs.CallSettled{Call: 1, Name: "a"}}}); err == nil {
		t.Error("no error")
	}
	for payload, kind := range map[string]string{
		`{`: "call_settled", ` {`: "call_issued", `[`: "called", `{}`: "called", `[]`: "called", `[{},{},"x"]`: "called", `[{},{},1,1]`: "called",
		`[{},{},1e400]`: "called", `[{"call":"x"},{},1]`: "called", `[{},{"call":"x"},1]`: "called", `[{}]`: "levitated",
	} {
		_, err := jobs.Entries([]jobs.Row{{Seq: 4711, Kind: kind, Payload: []byte(payload)}})
		if err == nil || !strings.Contains(err.Error(), "4711") {
			t.Errorf("%s %s: got %v, want an error that names the row", kind, payload, err)
		}
	}
}

// canonical gives events as a replay would see them: raw values without white space.
func canonical(list []jobs.Entry) []jobs.Entry {
	list = slices.Clone(list)
	for i, e := range list {
		text, err := jobs.Encode(e.Event)
		if err != nil {
			continue
		}
		if list[i].Event, err = jobs.Decode(e.Event.Kind(), text); err != nil {
			list[i].Event = e.Event
		}
	}
	return list
}

// TestRowsOfLargeValues have a row each, and can be read however deep they are: decoders stop at 10,000.
func TestRowsOfLargeValues(t *testing.T) {
	t.Parallel()
	for _, n := range []int{100, 7000, 9990} {
		deep := json.RawMessage(strings.Repeat("[", n) + strings.Repeat("]", n))
		for name, list := range map[string][]jobs.Entry{
			"result": {{Seq: 1, Call: 1, Event: issue(1, "a", jobs.Tool)}, {Seq: 2, Call: 1, Event: jobs.CallSettled{Call: 1, Name: "a", Value: deep}}},
			"arguments": {
				{Seq: 1, Call: 1, Event: jobs.CallIssued{Call: 1, Name: "a", Class: jobs.Tool, Args: deep}},
				{Seq: 2, Call: 1, Event: jobs.CallSettled{Call: 1, Name: "a", Value: json.RawMessage("1")}},
			},
		} {
			rows, err := jobs.Rows(1, list)
			if err != nil {
				t.Fatal(err)
			}
			if together := len(rows) == 1; together != (n == 100) {
				t.Errorf("%s, %d deep: %d rows", name, n, len(rows))
			}
			if _, err := jobs.Entries(rows); err != nil {
				t.Errorf("%s, %d deep: %v", name, n, err)
			}
		}
	}
}
