package temporal_test

import (
	"encoding/json"
	"testing"
	"time"

	"statek/internal/temporal"
)

func TestEvidence(t *testing.T) {
	t.Parallel()
	def := temporal.Definition{Watches: []temporal.Watch{
		{Relation: "app.tasks", Column: "queue", Param: "q"}, {Relation: "app.tasks", Column: "id", Param: "n"}, {Relation: "app.settings"},
	}}
	args := json.RawMessage(`{"q": "support", "n": 7}`)
	at := time.UnixMilli(1000)
	for _, c := range []struct {
		name string
		look temporal.Look
		want string
	}{
		{"a mark", temporal.Look{Marks: 2, Dep: "app.tasks:support", At: at, Checks: 3}, `{"by":"change","dep":"app.tasks:support","what":"app.tasks[queue=support]","at":1000,"marks":2}`},
		{"another key of the table", temporal.Look{Marks: 1, Dep: "app.tasks:7", At: at}, `{"by":"change","dep":"app.tasks:7","what":"app.tasks[id=7]","at":1000,"marks":1}`},
		{"a whole table", temporal.Look{Marks: 1, Dep: "app.settings:*", At: at}, `{"by":"change","dep":"app.settings:*","what":"app.settings","at":1000,"marks":1}`},
		{"a mark of an older declaration", temporal.Look{Marks: 1, Dep: "app.gone:x", At: at}, `{"by":"change","dep":"app.gone:x","what":"app.gone:x","at":1000,"marks":1}`},
		{"a registration", temporal.Look{Checks: 1, Sweeping: true}, `{"by":"first look"}`},
		{"right after registering", temporal.Look{}, `{"by":"first look"}`},
		{"a lost wake-up", temporal.Look{Sweeping: true, Due: true}, `{"by":"sweep"}`},
		{"a sweep that came first", temporal.Look{Sweeping: true, Told: true}, `{"by":"first look"}`},
		{"after a lock", temporal.Look{Due: true, Last: temporal.Contended}, `{"by":"retry"}`},
		{"after a failure", temporal.Look{Due: true, Last: temporal.Failed}, `{"by":"retry"}`},
		{"a recheck", temporal.Look{Due: true, Last: temporal.Idle}, `{"by":"recheck"}`},
	} {
		if got := string(def.Evidence(c.look, args)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}
