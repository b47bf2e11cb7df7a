package store_test

import (
	"strings"
	"testing"
	"time"
)

// TestBlockedTemporalHoldsNobodyUp: SQL that waits for somebody's lock is given up soon, says so, is tried again, and
// ends well when the lock is gone; meanwhile others are served.
func TestBlockedTemporalHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	k := newWaitsKit(t)
	k.waits.Timeout = time.Second
	def, id := k.define(pickTask)
	patient := strings.Replace(strings.Replace(pickTask, "pickTask(", "patient(", 1), " skip locked", "", 1)
	patientDef, patientID := k.define(patient)
	blocked, free := k.job("/"), k.job("/")
	k.register(k.pool, blocked, k.plan(1, "patient", patientDef, patientID, `["held"]`))
	k.register(k.pool, free, k.plan(1, "pickTask", def, id, `["free"]`))
	k.quiesce()
	k.exec("insert into app.tasks (queue) values ('held')")
	holder := k.session()
	_, err := holder.Exec(k.ctx, "begin; select from app.tasks where queue = 'held' for update")
	k.must(err)
	k.exec("insert into app.tasks (queue) values ('free')")
	k.quiesceStill()
	if len(k.mail(free)) != 1 || len(k.mail(blocked)) != 0 {
		t.Errorf("mail: free %v, blocked %v; want only the free one served", k.mail(free), k.mail(blocked))
	}
	var state string
	k.scan("select concat_ws(' ', last_result, last_error, retry_at is not null) from statek.wait_groups where name = 'patient'", &state)
	if !strings.HasPrefix(state, "contended 55P03") || !strings.HasSuffix(state, " t") {
		t.Errorf("the blocked group is %q, want it contended, with the error and a time to look again", state)
	}
	_, err = holder.Exec(k.ctx, "rollback")
	k.must(err)
	k.quiesce()
	if len(k.mail(blocked)) != 1 {
		t.Error("the job did not wake when the lock was gone")
	}
}
