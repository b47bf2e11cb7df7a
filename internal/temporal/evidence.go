package temporal

import (
	"encoding/json"
	"strings"
	"time"
)

// Causes of a wake-up. Events and timers are written down where they are served.
const (
	byChange    = "change"
	byFirstLook = "first look"
	byRecheck   = "recheck"
	byRetry     = "retry"
	bySweep     = "sweep"
)

// Look is what is known about why a group is looked at.
type Look struct {
	// Marks are how many marks of writers led here; Dep and At are those of the last.
	Marks int
	Dep   string
	At    time.Time
	// Checks are how many looks were owed, those of registrations included.
	Checks int
	// Sweeping and not Told: nothing led here.
	Sweeping, Told bool
	// Due says that the group's retry time has come; Last is what the look before ended in.
	Due  bool
	Last State
}

// evidence is what history keeps of it; statek.woken_by turns it into words.
type evidence struct {
	By    string `json:"by"`
	Dep   string `json:"dep,omitempty"`
	What  string `json:"what,omitempty"`
	At    int64  `json:"at,omitempty"` // milliseconds: when the writer left its mark
	Marks int    `json:"marks,omitempty"`
}

// Evidence says why a waiter of the definition is served in a look. The strongest reason wins: a mark names the
// write, and everything else is only an occasion.
func (d Definition) Evidence(l Look, args json.RawMessage) json.RawMessage {
	switch {
	case l.Marks > 0:
		return marshal(evidence{By: byChange, Dep: l.Dep, What: d.describe(l.Dep, args), At: l.At.UnixMilli(), Marks: l.Marks})
	case l.Checks > 0:
		return marshal(evidence{By: byFirstLook})
	case l.Sweeping && !l.Told:
		return marshal(evidence{By: bySweep})
	case l.Due && (l.Last == Contended || l.Last == Failed):
		return marshal(evidence{By: byRetry})
	case l.Due:
		return marshal(evidence{By: byRecheck})
	default:
		return marshal(evidence{By: byFirstLook})
	}
}

// describe writes a dep the way its watch was declared: "app.tasks[queue=support]".
func (d Definition) describe(dep string, args json.RawMessage) string {
	var values map[string]json.RawMessage
	_ = json.Unmarshal(args, &values) // written by Plan
	for _, w := range d.Watches {
		value := scalarText(values[w.Param])
		switch {
		case w.Column == "" && dep == w.Relation+":*":
			return w.Relation
		case w.Column != "" && value != nil && dep == w.Relation+":"+DepKey(*value):
			return w.Relation + "[" + w.Column + "=" + *value + "]"
		}
	}
	if id, ok := strings.CutPrefix(dep, "job:"); ok {
		return "job " + id
	}
	if rest, ok := strings.CutPrefix(dep, "object:"); ok {
		prefix, rest, _ := strings.Cut(rest, ":")
		collection, key, one := strings.Cut(rest, ":")
		if one {
			return "object " + collection + "/" + key + " at " + prefix
		}
		return "objects " + collection + " at " + prefix
	}
	return strings.TrimSuffix(dep, ":*")
}
