package engine

import (
	"context"
	"encoding/json"
	"fmt"

	"statek/internal/agents"
	"statek/internal/jobs"
	"statek/internal/temporal"
)

// discard is a value that a wait has given and no code will see: it came when its cell had ended, or when another
// wait of its set had won. It is recorded, shown to the model, and given back if its temporal knows how.
type discard struct {
	temporal.Discard
	mail int64 // the row that holds it; 0: history does
}

// released is the outcome of a release that worked.
const released = "done"

func (r *run) isDiscarded(mail int64) bool {
	for _, d := range r.discards {
		if d.mail == mail {
			return true
		}
	}
	return false
}

// leaveBehind finds, when a cell has ended, what its waits had given that its code had not been given. Without a
// VM the last commit tells: what happened after a delivery and was not committed has not happened.
func (r *run) leaveBehind(cell int) {
	given := given(r.log)
	if r.live {
		given = r.delivered
	}
	gone := map[int]bool{} // discarded already
	for _, e := range r.log {
		if ev, ok := e.Event.(jobs.ValueDiscarded); ok {
			gone[ev.Call] = true
		}
	}
	for _, d := range r.discards {
		gone[d.Call] = gone[d.Call] || d.Cell == cell
	}
	issued := map[int]jobs.CallIssued{}
	for _, e := range r.log {
		switch ev := e.Event.(type) {
		case jobs.CallIssued:
			issued[ev.Call] = ev
		case jobs.CallSettled:
			given--
			call := issued[ev.Call]
			if given >= 0 || ev.Value == nil || call.Class != jobs.Wait || gone[ev.Call] || worthless(call.Name) {
				continue
			}
			r.discards = append(r.discards, discard{Discard: temporal.Discard{Cell: cell, Call: ev.Call, Value: ev.Value}})
		}
	}
}

// worthless are waits whose values say nothing.
func worthless(name string) bool {
	return name == string(temporal.Sleep) || name == string(temporal.Until)
}

// giveBack records the discarded values, each together with its release.
func (r *run) giveBack(ctx context.Context) error {
	r.mu.Lock()
	list := r.discards
	r.mu.Unlock()
	if len(list) == 0 {
		return nil
	}
	values := make([]temporal.Discard, len(list))
	needed := false
	for i := range list {
		if err := r.identify(ctx, &list[i].Discard); err != nil {
			return err
		}
		values[i] = list[i].Discard
		needed = needed || values[i].Temporal != ""
	}
	if !needed {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.recordDiscards(list, make([]string, len(list)))
	}
	var err error
	for range agents.SQLPolicy().Attempts {
		err = r.SQL.GiveBack(ctx, r.rec.Job, r.rec.Spec.Prefix, values, func(outcomes []string) (jobs.Commit, jobs.Ended, error) {
			return r.commitDiscards(list, outcomes)
		})
		if !r.concurrent(err) {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	outcomes := make([]string, len(list))
	for i, v := range values {
		if v.Temporal != "" {
			outcomes[i] = fmt.Sprintf("it lost to concurrent transactions %d times: %v", agents.SQLPolicy().Attempts, err)
		}
	}
	return r.recordDiscards(list, outcomes)
}

// identify finds the call that a value belongs to.
func (r *run) identify(ctx context.Context, d *temporal.Discard) error {
	r.mu.Lock()
	log := r.log
	c := r.job.Cell
	whole := c != nil && c.Number == d.Cell && r.logged() // else it holds no more than what this run has applied
	r.mu.Unlock()
	if !whole {
		var err error
		if log, err = r.Jobs.CellHistory(ctx, r.rec.Job, d.Cell, 0); err != nil {
			return err
		}
	}
	// A cell that ended in this run may not be in the database yet; its calls are among the buffered entries.
	r.mu.Lock()
	log = append(log[:len(log):len(log)], r.buffer.Entries...)
	r.mu.Unlock()
	for _, e := range log {
		if ev, ok := e.Event.(jobs.CallIssued); ok && e.Cell == d.Cell && ev.Call == d.Call {
			d.Name, d.Temporal = ev.Name, ev.Temporal
			if err := json.Unmarshal(ev.Args, &d.Args); err != nil {
				return fmt.Errorf("engine: read the arguments of call %d of cell %d: %w", d.Call, d.Cell, err)
			}
			return nil
		}
	}
	return nil
}

// recordDiscards applies the events and consumes the rows that held the values.
func (r *run) recordDiscards(list []discard, outcomes []string) error {
	for i, d := range list {
		ev := jobs.ValueDiscarded{Cell: d.Cell, Call: d.Call, Name: d.Name, Value: d.Value, Release: outcomes[i]}
		if _, err := r.applyLocked(ev); err != nil {
			return err
		}
		if d.mail != 0 {
			r.pocket[d.mail] = true
			r.buffer.Mail = append(r.buffer.Mail, d.mail)
		}
	}
	r.discards = r.discards[len(list):]
	return nil
}

// commitDiscards hands out the buffer with the records as a commit.
func (r *run) commitDiscards(list []discard, outcomes []string) (jobs.Commit, jobs.Ended, error) {
	return r.handOut(func() (jobs.Commit, jobs.Ended, error) {
		job, buffer, log, discards := r.job, r.buffer, len(r.log), r.discards
		undo := func() {
			for _, d := range list {
				delete(r.pocket, d.mail)
			}
			r.job, r.buffer, r.log, r.discards = job, buffer, r.log[:log], discards
		}
		if err := r.recordDiscards(list, outcomes); err != nil {
			undo()
			return jobs.Commit{}, nil, err
		}
		return r.takeLocked(), func(_ bool, err error) {
			if r.committed(err) != nil {
				undo()
			}
		}, nil
	})
}
