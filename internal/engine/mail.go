package engine

import (
	"context"

	"statek/internal/jobs"
	"statek/internal/temporal"
)

// clearRungAndRead takes the doorbell down and reads the mail. In between nothing may give the job up: nobody would come for the mail.
func (r *run) clearRungAndRead(ctx context.Context) error {
	if !r.beginReading() {
		return nil
	}
	defer r.endReading()
	if err := r.Jobs.ClearRung(ctx, r.rec.Hold); err != nil {
		return err
	}
	return r.readMail(ctx)
}

// beginReading keeps the end of the job from riding; false when it has, and the doorbell is the next owner's.
func (r *run) beginReading() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reads = r.rides == onFoot
	return r.reads
}

func (r *run) endReading() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reads = false
}

// readMail applies what is in the mailbox. Rows are consumed by the commit that records them.
func (r *run) readMail(ctx context.Context) error {
	// Under the lock: a tool's commit that consumed a row between the reading and the look into the pocket would
	// make it be applied twice.
	r.mu.Lock()
	defer r.mu.Unlock()
	mail, err := r.Jobs.Mail(ctx, r.rec.Job)
	if err != nil {
		return err
	}
	return r.openLocked(ctx, mail)
}

// openAll applies what the claim has found in the mailbox.
func (r *run) openAll(ctx context.Context, mail []jobs.Mail) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.openLocked(ctx, mail)
}

// openLocked applies the rows in their order; then again what was left for the cell, before something later ended it or
// its message().
func (r *run) openLocked(ctx context.Context, mail []jobs.Mail) error {
	if err := r.openEach(ctx, mail); err != nil || !r.kept {
		return err
	}
	return r.openEach(ctx, mail)
}

func (r *run) openEach(ctx context.Context, mail []jobs.Mail) error {
	r.kept = false
	for _, m := range mail {
		if r.pocket[m.ID] || r.isDiscarded(m.ID) {
			continue
		}
		if err := r.openMail(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// openMail applies one row, or leaves it for later.
func (r *run) openMail(ctx context.Context, m jobs.Mail) error {
	if p, ok := jobs.AsksForMessage(r.job, m); ok {
		won, err := r.Jobs.TakeMessage(ctx, r.rec.Hold, r.job.Cell.Number, p.Call)
		if err != nil {
			return err
		}
		if !won {
			r.kept = true
			return nil
		}
	}
	if m.Urgent() && r.job.Cell != nil {
		// What the cell was given and has not seen must be known when it ends.
		if err := r.loadLog(ctx); err != nil {
			return err
		}
	}
	events, later := r.open(m)
	if later {
		r.kept = true
		return nil
	}
	for _, ev := range events {
		if lost, ok := ev.(jobs.ValueDiscarded); ok {
			r.discards = append(r.discards, discard{mail: m.ID, Discard: temporal.Discard{Cell: lost.Cell, Call: lost.Call, Value: lost.Value}})
			return nil // the row is consumed with the record of it
		}
		if _, err := r.applyLocked(ev); err != nil {
			return err
		}
	}
	r.pocket[m.ID] = true
	r.buffer.Mail = append(r.buffer.Mail, m.ID)
	return nil
}
