package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"statek/internal/agents"
	"statek/internal/jobs"
	"statek/internal/store"
)

// crowd is many jobs of one worker.
func crowd(k *jobsKit, n int) []*holder {
	k.Helper()
	worker := k.worker()
	list := make([]*holder, n)
	for i := range list {
		list[i] = k.claimed(k.job(), worker)
	}
	return list
}

// atOnce runs f for all, and returns their errors.
func atOnce(list []*holder, f func(i int, h *holder) error) []error {
	errs := make([]error, len(list))
	begin := make(chan struct{})
	var group sync.WaitGroup
	for i, h := range list {
		group.Go(func() {
			<-begin
			errs[i] = f(i, h)
		})
	}
	close(begin)
	group.Wait()
	return errs
}

// TestCommitsShareTransactions: jobs that commit together share a transaction, and one that has lost its job loses
// alone.
func TestCommitsShareTransactions(t *testing.T) {
	t.Parallel()
	k := newJobsKit(t)
	list := crowd(k, 40)
	commits := make([]jobs.Commit, len(list))
	released := make([]bool, len(list))
	commit := func(i int, _ *holder) (err error) {
		released[i], err = k.store.Commit(k.ctx, commits[i])
		return err
	}
	for i, h := range list {
		commits[i] = h.commit(start(1), jobs.Console{Lines: []string{fmt.Sprint(i)}})
		commits[i].Variables = []jobs.Workspace{{Cell: 1, Set: []jobs.Variable{{Name: "v", Value: fmt.Append(nil, i), Type: "number"}}}}
	}
	for i, err := range atOnce(list, commit) {
		want := fmt.Sprintf(`2 {"lines":["%d"]} %d`, i, i)
		got := k.text(`select concat_ws(' ', h.seq - 1, h.payload, v.value) from statek.history h join statek.variables v using (job_id)
			where h.job_id = $1 and h.kind = 'console'`, list[i].rec.Job)
		if err != nil || released[i] || got != want {
			t.Errorf("commit %d: released %v, error %v, wrote %q, want %q", i, released[i], err, got, want)
		}
	}
	if n := k.count("select count(distinct xmin::text) from statek.history where kind = 'console'"); n >= len(list) {
		t.Errorf("%d commits needed %d transactions", len(list), n)
	}

	const lost = 17
	k.exec("update statek.job_state set epoch = epoch + 1 where job_id = $1", list[lost].rec.Job)
	before := k.everything(list[lost].rec.Job)
	for i, h := range list {
		commits[i] = h.commit(jobs.Console{Lines: []string{"more"}})
		commits[i].Release = i%2 == 0
	}
	for i, err := range atOnce(list, commit) {
		switch {
		case i == lost && !errors.Is(err, jobs.ErrFenced):
			t.Errorf("the lost job: %v, want fenced", err)
		case i != lost && (err != nil || released[i] != (i%2 == 0)):
			t.Errorf("commit %d: released %v, error %v", i, released[i], err)
		}
	}
	if diff := cmp.Diff(before, k.everything(list[lost].rec.Job)); diff != "" {
		t.Errorf("a fenced commit has written (-want +got):\n%s", diff)
	}
	if n := k.count("select count(*) from statek.history where payload::text like '%more%'"); n != len(list)-1 {
		t.Errorf("%d commits were written, want %d", n, len(list)-1)
	}
}

// TestClaimsShareARoundTrip: each gets the job, mail and variables that are its own.
func TestClaimsShareARoundTrip(t *testing.T) {
	t.Parallel()
	k := newJobsKit(t)
	worker, other := k.worker(), k.worker()
	list := make([]jobs.ID, 40)
	for i := range list {
		d := k.draft()
		d.Variables = []jobs.Variable{{Name: "v", Value: fmt.Append(nil, i), Type: "number"}}
		_, _, err := k.store.InsertJobs(k.ctx, []store.NewJob{d}, false, store.Idempotency{})
		k.must(err)
		list[i] = d.ID
		k.mail(d.ID, fmt.Sprint(i))
	}
	const held = 5
	k.claimed(list[held], other)
	var group sync.WaitGroup
	for i, id := range list {
		group.Go(func() {
			rec, ok, err := k.store.Claim(k.ctx, id, worker, false)
			switch {
			case err != nil || ok != (i != held):
				t.Errorf("claim %d: %v, %v", i, ok, err)
			case ok && (len(rec.Mail) != 1 || string(rec.Mail[0].Payload) != fmt.Sprint(i) || len(rec.Variables) != 1 || string(rec.Variables[0].Value) != fmt.Sprint(i)):
				t.Errorf("claim %d got %v and %v", i, rec.Mail, rec.Variables)
			case ok && (rec.Owner != worker || rec.Epoch != 1 || rec.State.Status != jobs.Ready):
				t.Errorf("claim %d got %+v", i, rec.Hold)
			}
		})
	}
	group.Wait()
	if !strings.HasPrefix(k.text("select rung::text from statek.job_state where job_id = $1", list[held]), "t") {
		t.Error("the owner of the held job was not told")
	}
}

// TestToolsShareTransactions: calls of different jobs whose tool allows it share a transaction; one that fails, one
// whose run is over and one that waits for a lock are done alone, and take nobody with them.
func TestToolsShareTransactions(t *testing.T) {
	t.Parallel()
	k := newJobsKit(t)
	k.exec(toolSchema)
	k.exec("insert into app.notes (text) values ('taken')")
	const tool = "-- tool: t(n int)\n-- returns: value\n-- batch: yes\n" +
		"insert into app.notes (n, text) values (12 / :n, nullif(:n, 7)::text) returning n"
	list := crowd(k, 30)
	for _, h := range list {
		_, err := k.store.Commit(k.ctx, h.commit(start(1), jobs.CallIssued{Call: 1, Name: "t", Class: jobs.Tool, Args: json.RawMessage("[]")}))
		k.must(err)
	}
	over := errors.New("the run is over")
	faults := make([]*jobs.Fault, len(list))
	parsed, err := agents.ParseTool("tools/t.sql", tool)
	k.must(err)
	errs := atOnce(list, func(i int, h *holder) error {
		before := h.state
		return k.store.RunTool(k.ctx, agents.SQLRun{
			SQLCall: *parsed.SQL, Values: map[string]json.RawMessage{"n": fmt.Append(nil, i)}, Timeout: parsed.Limit(),
			Builtins: map[string]string{"job_id": h.rec.Job.String(), "prefix": "/acme"},
		}, func(v json.RawMessage, f *jobs.Fault) (jobs.Commit, jobs.Ended, error) {
			if i == 3 {
				return jobs.Commit{}, nil, over
			}
			faults[i] = f
			return h.commit(jobs.CallSettled{Call: 1, Name: "t", Value: v, Error: f}), func(_ bool, err error) {
				if err != nil {
					h.state = before
				}
			}, nil
		})
	})
	for i, h := range list {
		switch {
		case i == 3:
			if !errors.Is(errs[i], over) {
				t.Errorf("call %d: %v", i, errs[i])
			}
			continue
		case errs[i] != nil:
			t.Errorf("call %d: %v", i, errs[i])
		case (i == 0) != (faults[i] != nil):
			t.Errorf("call %d: fault %v", i, faults[i])
		}
		if n := k.count("select count(*) from statek.history_entries where job_id = $1 and kind = 'call_settled'", h.rec.Job); n != 1 {
			t.Errorf("call %d is recorded %d times", i, n)
		}
	}
	if n := k.count("select count(*) from app.notes where text is distinct from 'taken'"); n != len(list)-2 {
		t.Errorf("%d effects, want %d", n, len(list)-2)
	}
	if n := k.count("select count(*) from app.notes where n is not null and text = '3'"); n != 0 {
		t.Error("the call of the run that was over has left its effect")
	}
}
