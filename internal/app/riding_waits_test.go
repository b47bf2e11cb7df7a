package app_test

import "testing"

// TestAnEndLeavesNoWaitBehind: a job whose last call could take its end along has waited before, for a message or in company, and of that
// something outlives the wait.
func TestAnEndLeavesNoWaitBehind(t *testing.T) {
	t.Parallel()
	for name, code := range map[string]string{
		"in company": "try { await first(event('never', {timeout: 5}), event('neither', {timeout: 5})) } catch (e) {} await add(); exit(await add())",
		"a message":  "await knock(); const m = await message(); await add(); exit(m)",
		"a race":     "await Promise.race([sleep(5), event('never')]); await add(); exit(await add())",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := riding(t, files{"agents/a.warmup.js": code})
			for range 20 {
				if job := k.ended(k.submit("a", nil).ID); job.Status != "DONE" || job.Outcome != "succeeded" {
					k.dump(job.ID)
					t.Fatalf("the job is %s %s", job.Status, job.Outcome)
				}
			}
			if left := k.single(`select count(*)::text from (select job_id from statek.waits union all select job_id from statek.wait_sets
				union all select job_id from statek.mailbox) as rest`); left != "0" {
				t.Errorf("%s waits, sets and letters are left", left)
			}
		})
	}
}
