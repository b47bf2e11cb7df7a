package app_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"statek/internal/app"
)

// TestDoctor makes each thing wrong and asks; then what can be mended is.
func TestDoctor(t *testing.T) {
	t.Parallel()
	k := newKit(t, nil)
	k.exec(reviewSchema)
	k.apply(files{"temporals/t.sql": temporalFile()})
	k.exec("insert into statek.workers (id, host, pid, version) values ($1, 'h', 1, 'x')", uuid.New())
	if got := k.doctor(false); len(got.Complaints) != 0 || got.Sick() || len(got.Tables) < 10 || got.Workers != 1 {
		t.Errorf("healthy: %+v", got)
	}
	for _, c := range []struct {
		name, breakIt, want, mendIt string
		serious                     bool
	}{
		{"watch", "alter table app.tasks disable trigger all", "watch of app.tasks by queue: app.tasks lacks a working trigger for DELETE: it is disabled", "", true},
		{"right", "revoke update on app.tasks from statek_tool", "temporal /t: permission denied for table tasks; run: grant update on app.tasks to statek_tool", "grant update on app.tasks to statek_tool", true},
		{"column", "alter table app.tasks rename state to st", `temporal /t: column "state" of relation "tasks" does not exist`, "alter table app.tasks rename st to state", true},
		{"worker", "update statek.workers set beat_at = 'epoch'", "no worker is running", "update statek.workers set beat_at = now() + interval '1 hour'", true},
		{"polling", "update statek.workers set started_at = 'epoch'", "does not listen", "update statek.workers set started_at = now() + interval '1 hour'", false},
		{"river state", "insert into river.river_job (kind, args, queue, priority, max_attempts, state, scheduled_at) values ('doorbell', '{}', 'q', 1, 1, 'scheduled', now())", "1 doorbells are in River's state scheduled", "delete from river.river_job", true},
		{"backlog", "insert into river.river_job (kind, args, queue, priority, max_attempts, state, created_at) values ('doorbell', '{}', 'q', 1, 1, 'available', now() - interval '1 hour')", "1 doorbells wait, the oldest for 1h", "delete from river.river_job", true},
		{"failed mark", "select nextval('statek.watch_failures')", "1 writes could not be marked", "", false},
		{"sweep, explained by a failed mark", "insert into statek.counters (name, n, note) values ('sweep_caught', 2, 't{} at /')", "the safety sweep served 2 waits that nothing had told of", "delete from statek.counters", false},
		{"parked", "insert into statek.wait_groups (prefix, kind, name, args, hash, last_result, last_error) values ('/', 'sql', 't', '{}', 'x', 'failed', 'boom')", "1 groups of waits for t at / fail: boom", "delete from statek.wait_groups", true},
	} {
		known := k.doctor(false)
		k.exec(c.breakIt)
		got := k.doctor(false)
		if len(got.Complaints) <= len(known.Complaints) || got.Sick() != c.serious {
			t.Errorf("%s: %+v, want a complaint more; serious: %v", c.name, got.Complaints, c.serious)
		}
		if !complains(got, c.want) {
			t.Errorf("%s: %+v, want %q with a reason and a remedy", c.name, got.Complaints, c.want)
		}
		if c.mendIt != "" {
			k.exec(c.mendIt)
		} else if fixed := k.doctor(true); c.serious && (fixed.Sick() || !complains(fixed, c.want)) {
			t.Errorf("%s: after mending: %+v", c.name, fixed.Complaints)
		}
	}
}

func (k *kit) doctor(fix bool) app.Checkup {
	k.t.Helper()
	c, err := k.Doctor(k.t.Context(), fix)
	if err != nil {
		k.t.Fatal(err)
	}
	return c
}

func complains(c app.Checkup, want string) bool {
	for _, one := range c.Complaints {
		if strings.Contains(one.What, want) && one.Why != "" && one.Remedy != "" && one.Check != "" {
			return true
		}
	}
	return false
}
