package sim

import (
	"fmt"
	"strings"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"statek/internal/jobs"
)

// heal ends all trouble: from now on every process lives and every reply arrives.
func (w *world) heal() {
	w.tell("everything heals")
	w.faults = faults{}
	for _, p := range w.processes {
		p.paused = false
	}
	w.submitRest()
}

// submitRest submits what no application has, or has without success.
func (w *world) submitRest() {
	for _, id := range w.ids {
		if plan := w.plans[id]; !plan.submitted && !plan.submitting {
			w.submit(id)
		}
	}
}

// calm lets everybody go on, and time pass when nobody can.
func (w *world) calm() {
	if w.replace() {
		return
	}
	w.submitRest()
	if len(w.parked) > 0 {
		w.release(w.parked[0])
		return
	}
	if bells := w.db.Doorbells(); len(bells) > 0 {
		for _, p := range w.slots {
			if !p.told {
				w.db.TakeDoorbell(0)
				w.tell("%s answers%s", p.name, w.job(bells[0].Job))
				p.answer(bells[0].Job)
				return
			}
		}
	}
	for _, p := range w.slots {
		if p.told && len(p.rings) == 0 && len(p.engine.Running()) == 0 {
			w.leave(p)
			return
		}
	}
	for _, id := range w.ids {
		if v := w.db.Look(id); v.Status == jobs.Paused && v.Owner == uuid.Nil {
			w.put(id, "resume")
			return
		}
	}
	w.tell("500ms pass")
	w.sleep(500 * time.Millisecond)
}

// finished reports that every job has ended and nothing is left to be done.
func (w *world) finished() bool {
	for _, id := range w.ids {
		if !w.plans[id].submitted {
			return false
		}
		if v := w.db.Look(id); v.Status != jobs.Done || v.Mail > 0 || v.Owner != uuid.Nil {
			return false
		}
	}
	return len(w.parked) == 0
}

func (w *world) describe() string {
	var list []string
	for _, id := range w.ids {
		if !w.plans[id].submitted {
			list = append(list, w.job(id)+" is not submitted")
			continue
		}
		v := w.db.Look(id)
		if v.Status != jobs.Done || v.Mail > 0 {
			list = append(list, fmt.Sprintf("%s is %s %q with %d rows of mail, owner %s", w.job(id), v.Status, v.Sleeping, v.Mail, v.Owner))
		}
	}
	return strings.Join(list, "; ")
}

// demolish ends all processes and waits until nothing of them is left.
func (w *world) demolish() {
	for _, p := range w.processes {
		w.crash(p)
	}
	for range 100 {
		synctest.Wait()
		w.mu.Lock()
		left := w.parked
		w.parked = nil
		w.mu.Unlock()
		for _, c := range left {
			c.reply <- errKilled
		}
		if len(left) == 0 {
			break
		}
	}
	w.group.Wait()
}
