package jobs

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Row is a row of history: one fact, or of the kind called, a call of a tool with its result when both were recorded at once, as those
// of transactional tools are: a row costs the database more than what is in it. Such a row has the result's number, and no row has the
// call's, which is the one before.
type Row struct {
	Seq     int64
	Kind    string
	Cell    int
	Call    int
	At      time.Time
	Payload []byte
}

// called is the kind of a row whose payload is a list: that of the call, that of its result, and the microseconds between them.
const called = "called"

// Rows makes rows of facts that are recorded at once, the first with the number first.
func Rows(first int64, list []Entry) ([]Row, error) {
	rows := make([]Row, 0, len(list))
	for i, e := range list {
		payload, err := Encode(e.Event)
		if err != nil {
			return nil, err
		}
		row := Row{Seq: first + int64(i), Kind: e.Event.Kind(), Cell: e.Cell, Call: e.Call, At: e.At, Payload: payload}
		if i > 0 && together(list[i-1], e) && len(payload)+len(rows[len(rows)-1].Payload) < smallEnough {
			took := strconv.FormatInt(e.At.UnixMicro()-list[i-1].At.UnixMicro(), 10)
			row.Kind, row.Payload = called, slices.Concat([]byte("["), rows[len(rows)-1].Payload, []byte(","), payload, []byte(","+took+"]"))
			rows = rows[:len(rows)-1]
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// smallEnough bounds what shares a row: a larger payload outweighs a row's own cost. It also keeps a list shallower than decoders allow,
// 10,000, however deep the values in it are.
const smallEnough = 8000

// together reports a tool's call and its result.
func together(call, result Entry) bool {
	issued, begun := call.Event.(CallIssued)
	settled, ended := result.Event.(CallSettled)
	return begun && ended && issued.Class == Tool && issued.Call == settled.Call && call.Cell == result.Cell && call.Call == result.Call
}

// Entries makes facts of rows.
func Entries(rows []Row) ([]Entry, error) {
	list := make([]Entry, 0, len(rows)+1)
	for _, r := range rows {
		facts, err := r.facts()
		if err != nil {
			return nil, fmt.Errorf("jobs: history row %d: %w", r.Seq, err)
		}
		list = append(list, facts...)
	}
	return list, nil
}

func (r Row) facts() ([]Entry, error) {
	one := func(seq int64, at time.Time, kind string, payload []byte) (Entry, error) {
		ev, err := Decode(kind, payload)
		return Entry{Seq: seq, Cell: r.Cell, Call: r.Call, At: at, Event: ev}, err
	}
	if r.Kind != called {
		e, err := one(r.Seq, r.At, r.Kind, r.Payload)
		return []Entry{e}, err
	}
	var parts []json.RawMessage
	if err := json.Unmarshal(r.Payload, &parts); err != nil {
		return nil, err
	}
	if len(parts) != 3 {
		return nil, fmt.Errorf("expected a call, its result and a number, got %d parts", len(parts))
	}
	took, err := strconv.ParseInt(string(parts[2]), 10, 64)
	call, wrong := one(r.Seq-1, r.At.Add(-time.Duration(took)*time.Microsecond), CallIssued{}.Kind(), parts[0])
	result, bad := one(r.Seq, r.At, CallSettled{}.Kind(), parts[1])
	return []Entry{call, result}, errors.Join(err, wrong, bad)
}
