package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"statek/internal/jobs"
	"statek/internal/store"
)

// TestRingWhileHeldRefusesTheRelease: the taker of a doorbell finds a live owner and leaves a mark; the owner's
// release is refused until it has acknowledged the mark and read its mail.
func TestRingWhileHeldRefusesTheRelease(t *testing.T) {
	t.Parallel()
	k := newJobsKit(t)
	w1, w2 := k.worker(), k.worker()
	job := k.job()
	h := k.claimed(job, w1)
	k.mail(job, `"m1"`)
	if _, ok := k.claim(job, w2, false); ok {
		t.Fatal("the job of a live worker was claimed")
	}
	if released, err := k.store.Release(k.ctx, h.rec.Hold); err != nil || released {
		t.Fatalf("release of a rung job = %v, %v; want refused", released, err)
	}
	// Mail that comes between the acknowledgement and the reading is read; its ring refuses the next release.
	k.must(k.store.ClearRung(k.ctx, h.rec.Hold))
	k.mail(job, `"m2"`)
	if diff := cmp.Diff([]string{`"m1"`, `"m2"`}, k.payloads(job)); diff != "" {
		t.Errorf("mail (-want +got):\n%s", diff)
	}
	if _, ok := k.claim(job, w2, false); ok {
		t.Fatal("the job of a live worker was claimed")
	}
	if released, err := k.store.Commit(k.ctx, jobs.Commit{Hold: h.rec.Hold, State: h.state, Release: true}); err != nil || released {
		t.Fatalf("commit with release of a rung job = %v, %v; want it committed and kept", released, err)
	}
	k.must(k.store.ClearRung(k.ctx, h.rec.Hold))
	if released, err := k.store.Release(k.ctx, h.rec.Hold); err != nil || !released {
		t.Fatalf("release = %v, %v; want released", released, err)
	}
	if next := k.claimed(job, w2); next.rec.Epoch != h.rec.Epoch+1 {
		t.Errorf("epoch = %d, want %d", next.rec.Epoch, h.rec.Epoch+1)
	}
}

// TestRingOfAnOpenTransactionComesAfterTheRelease: a ringer that commits late loses nothing (a ring that
// looked at the job's row would have).
func TestRingOfAnOpenTransactionComesAfterTheRelease(t *testing.T) {
	t.Parallel()
	k := newJobsKit(t)
	w1 := k.worker()
	job := k.job()
	h := k.claimed(job, w1)
	k.exec("update statek.job_state set rung = true where job_id = $1", job) // an earlier ring, not answered yet

	late := k.session()
	for _, sql := range []string{
		"insert into statek.mailbox (job_id, kind, payload) values ($1, 'message', '\"late\"')",
		"select statek.ring(array[$1]::uuid[])",
	} {
		if _, err := late.Exec(k.ctx, sql, job); err != nil {
			t.Fatal(err)
		}
	}
	k.must(k.store.ClearRung(k.ctx, h.rec.Hold))
	if mail := k.payloads(job); len(mail) != 0 {
		t.Fatalf("uncommitted mail was read: %v", mail)
	}
	// The open transaction holds nothing that the owner needs: commit and release go through.
	c := h.commit(start(1), jobs.Console{Lines: []string{"x"}})
	c.Release = true
	soon, cancel := context.WithTimeout(k.ctx, 5*time.Second)
	defer cancel()
	released, err := k.store.Commit(soon, c)
	if err != nil || !released {
		t.Fatalf("commit = %v, %v; want released", released, err)
	}
	k.must(late.Commit(k.ctx))
	if diff := cmp.Diff([]string{job.String()}, k.doorbells()); diff != "" {
		t.Errorf("doorbells (-want +got):\n%s", diff)
	}
	k.claimed(job, w1)
	if diff := cmp.Diff([]string{`"late"`}, k.payloads(job)); diff != "" {
		t.Errorf("mail (-want +got):\n%s", diff)
	}
}

// TestTakerThatWaitedForTheReleaseSeesTheMail: the taker's UPDATE waits for the owner's commit, and what it
// then loads is in a newer snapshot than the one it waited with.
func TestTakerThatWaitedForTheReleaseSeesTheMail(t *testing.T) {
	t.Parallel()
	k := newJobsKit(t)
	w1, w2 := k.worker(), k.worker()
	job := k.job()
	h := k.claimed(job, w1)

	owner := k.session()
	k.must(store.QueueCommit(k.ctx, owner, jobs.Commit{Hold: h.rec.Hold, State: jobs.Job{Status: jobs.WarmingUp, Seq: 1}}))
	type answer struct {
		rec jobs.Record
		ok  bool
		err error
	}
	done := make(chan answer, 1)
	go func() {
		rec, ok, err := k.store.Claim(k.ctx, job, w2, false)
		done <- answer{rec, ok, err}
	}()
	k.blocked(1)
	k.mail(job, `"meanwhile"`)
	if _, err := owner.Exec(k.ctx, "select statek.release($1, $2, $3)", job, h.rec.Epoch, w1); err != nil {
		t.Fatal(err)
	}
	k.must(owner.Commit(k.ctx))
	got := <-done
	if got.err != nil || !got.ok {
		t.Fatalf("claim = %v, %v; want the job", got.ok, got.err)
	}
	if got.rec.State.Status != jobs.WarmingUp || got.rec.Epoch != h.rec.Epoch+1 {
		t.Errorf("loaded %s at epoch %d, want the owner's last commit", got.rec.State.Status, got.rec.Epoch)
	}
	if diff := cmp.Diff([]string{`"meanwhile"`}, k.payloads(job)); diff != "" {
		t.Errorf("mail (-want +got):\n%s", diff)
	}
}

// TestTwoTakersGetOneJob: whoever is first, exactly one holds the job and the other has left a ring.
func TestTwoTakersGetOneJob(t *testing.T) {
	t.Parallel()
	k := newJobsKit(t)
	workers := []uuid.UUID{k.worker(), k.worker(), k.worker(), k.worker()}
	for range 5 {
		job := k.job()
		results := make(chan bool)
		for _, w := range workers {
			go func() {
				_, ok, err := k.store.Claim(k.ctx, job, w, false)
				results <- ok && err == nil
			}()
		}
		won := 0
		for range workers {
			if <-results {
				won++
			}
		}
		if got := k.text("select format('%s %s', epoch, rung) from statek.job_state where job_id = $1", job); won != 1 || got != "1 t" {
			t.Errorf("%d takers got the job, state %q; want one, at epoch 1, rung", won, got)
		}
	}
}

// TestDeadOwnerLosesItsJob: buried or gone, its job is the next taker's, who learns from whom it came.
func TestDeadOwnerLosesItsJob(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]string{
		"buried": "update statek.workers set dead_at = clock_timestamp() where id = $1",
		"gone":   "delete from statek.workers where id = $1",
	} {
		for _, swept := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, swept: %t", name, swept), func(t *testing.T) {
				t.Parallel()
				k := newJobsKit(t)
				w1, w2 := k.worker(), k.worker()
				job := k.job()
				old := k.claimed(job, w1)
				k.exec(end, w1)
				if swept {
					if n, err := k.store.TakeOver(k.ctx); err != nil || n != 1 {
						t.Fatalf("TakeOver = %d, %v; want 1", n, err)
					}
					if diff := cmp.Diff([]string{job.String()}, k.doorbells()); diff != "" {
						t.Errorf("doorbells (-want +got):\n%s", diff)
					}
				}
				h := k.claimed(job, w2)
				if h.rec.Previous != w1 || h.rec.Epoch <= old.rec.Epoch {
					t.Errorf("taken from %s at epoch %d, want from %s above %d", h.rec.Previous, h.rec.Epoch, w1, old.rec.Epoch)
				}
				if _, err := k.store.Commit(k.ctx, old.commit(start(1))); !errors.Is(err, jobs.ErrFenced) {
					t.Errorf("the dead worker's commit: %v, want ErrFenced", err)
				}
				if released, err := k.store.Release(k.ctx, old.rec.Hold); err != nil || released {
					t.Errorf("the dead worker released its successor's job: %v, %v", released, err)
				}
				k.must(k.store.ClearRung(k.ctx, old.rec.Hold))
				k.must(k.store.HandOver(k.ctx, old.rec.Hold)) // a spurious ring at most
				if got := k.text("select owner::text from statek.job_state where job_id = $1", job); got != w2.String() {
					t.Errorf("owner = %s, want %s", got, w2)
				}
			})
		}
	}
}

// TestOwnerThatDoesNotRunItsJobClaimsItAgain: the reply to its claim was lost.
func TestOwnerThatDoesNotRunItsJobClaimsItAgain(t *testing.T) {
	t.Parallel()
	k := newJobsKit(t)
	w := k.worker()
	job := k.job()
	lost := k.claimed(job, w)
	if _, ok := k.claim(job, w, true); ok {
		t.Fatal("a worker claimed the job that it runs")
	}
	h := k.claimed(job, w)
	if h.rec.Epoch != lost.rec.Epoch+1 || h.rec.Previous != w {
		t.Errorf("epoch %d from %s, want %d from itself", h.rec.Epoch, h.rec.Previous, lost.rec.Epoch+1)
	}
	if _, err := k.store.Commit(k.ctx, lost.commit(start(1))); !errors.Is(err, jobs.ErrFenced) {
		t.Errorf("commit at the lost epoch: %v, want ErrFenced", err)
	}
}

func TestClaimOfNoJob(t *testing.T) {
	t.Parallel()
	k := newJobsKit(t)
	if _, _, err := k.store.Claim(k.ctx, uuid.New(), k.worker(), false); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("claim of an unknown job: %v, want ErrNotFound", err)
	}
}

// TestHandOverRings: the next worker is told although nobody rang.
func TestHandOverRings(t *testing.T) {
	t.Parallel()
	k := newJobsKit(t)
	w := k.worker()
	for _, how := range []string{"statement", "commit"} {
		job := k.job()
		h := k.claimed(job, w)
		if how == "statement" {
			k.must(k.store.HandOver(k.ctx, h.rec.Hold))
		} else {
			c := h.commit(start(1))
			c.HandOver = true
			if released, err := k.store.Commit(k.ctx, c); err != nil || !released {
				t.Fatalf("commit = %v, %v; want released", released, err)
			}
		}
		if diff := cmp.Diff([]string{job.String()}, k.doorbells()); diff != "" {
			t.Errorf("%s: doorbells (-want +got):\n%s", how, diff)
		}
		if got := k.count("select count(owner) from statek.job_state where job_id = $1", job); got != 0 {
			t.Errorf("%s: the job has an owner", how)
		}
	}
	if k.bell.rings.Load() < 2 {
		t.Error("the bell was not told")
	}
}
