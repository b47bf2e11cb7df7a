package store_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"statek/internal/jobs"
)

// TestMailIsLeftForJobsThatCannotBeRead: an event of a newer version is for its workers. Mail is there, and whoever left it is not told that
// it is not: they would leave it again.
func TestMailIsLeftForJobsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, held := range map[string]bool{"somebody has it": true, "nobody has it": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newJobsKit(t)
			h, w := k.claimed(k.job(), k.worker()), k.worker()
			slept := h.commit(start(1), jobs.CallIssued{Call: 1, Name: "message", Class: jobs.Wait, Args: json.RawMessage(`[]`)}, jobs.Slept{On: []string{"message"}})
			slept.Release = !held
			_, err := k.store.Commit(k.ctx, slept)
			k.must(err)
			k.exec("update statek.history set payload = '[]' where job_id = $1 and kind = 'call_issued'", h.rec.Job)
			k.silence()
			_, given, err := k.store.Put(k.ctx, h.rec.Job, "message", json.RawMessage(`"hi"`), w)
			if given || err != nil {
				t.Errorf("given %v, error %v; want neither", given, err)
			}
			if diff := cmp.Diff([]string{`"hi"`}, k.payloads(h.rec.Job)); diff != "" {
				t.Errorf("mail (-want +got):\n%s", diff)
			}
			if rung := len(k.doorbells()) == 1; rung != held {
				t.Errorf("rung: %v, want %v", rung, held)
			}
		})
	}
}

// TestMailIsNotLeftWhenReadingIsRefused: what the server refuses takes all back, and is said.
func TestMailIsNotLeftWhenReadingIsRefused(t *testing.T) {
	t.Parallel()
	for table, sql := range map[string]string{
		"jobs": "alter table statek.catalog rename to catalogue", "mailbox": "alter table statek.mailbox rename column evidence to proof",
		"variables": "alter table statek.variables rename to variables_once", "history": "alter table statek.history rename to history_once",
	} {
		t.Run(table, func(t *testing.T) {
			t.Parallel()
			k := newJobsKit(t)
			job, w := k.job(), k.worker()
			for range 2 { // when it is prepared, and when it is executed
				if _, given, err := k.store.Put(k.ctx, k.job(), "message", json.RawMessage(`"hi"`), w); !given || err != nil {
					t.Fatalf("before: given %v, error %v", given, err)
				}
			}
			k.exec(sql)
			if _, given, err := k.store.Put(k.ctx, job, "message", json.RawMessage(`"hi"`), w); given || err == nil {
				t.Errorf("given %v, error %v; want an error", given, err)
			}
			if n := k.count("select count(*) from statek.mailbox where job_id = $1", job); n != 0 {
				t.Errorf("%d letters are there", n)
			}
			if owner := k.text("select coalesce(owner::text, '') from statek.job_state where job_id = $1", job); owner != "" {
				t.Errorf("the job is %s's", owner)
			}
		})
	}
}
