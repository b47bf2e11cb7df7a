package store

import (
	"context"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"statek/internal/failpoint"
	"statek/internal/jobs"
)

// mostTaken is how many jobs one look may take; more are for all workers. It must equal statek.wake's.
const mostTaken = 4

// Taken is a job that this worker takes together with what it gives it, at an epoch. Record is what a claim would load;
// nil: it must be claimed once more.
type Taken struct {
	Job    uuid.UUID
	Epoch  int64
	Record *jobs.Record
}

// take sends the statements that end the look, but for the commit, and learns which jobs this worker has got with them, and what is to be
// known of those to run them. Their rows are locked, hence it stays true; mail that comes later finds a job with an owner, who is
// rung. While the commit waits for the disk they compute.
func (l *look) take(ctx context.Context, b *pgx.Batch) error {
	b.Queue("select coalesce(current_setting('statek.taken', true), '')").QueryRow(l.readTaken)
	loaded := l.queueTaken(b)
	err := l.conn.SendBatch(ctx, b).Close()
	switch {
	case err == nil:
		loaded()
	case l.conn.PgConn().TxStatus() != 'T':
		return err
	default: // what cannot be read here is claimed, and that fails for its job alone
	}
	l.w.failpoints.Group(failpoint.LookTaken, l.group.Name, l.group.Args)
	if len(l.taken) > 0 {
		l.got = l.w.Taking(l.taken)
	}
	return nil
}

func (l *look) readTaken(row pgx.Row) error {
	var list string
	if err := row.Scan(&list); err != nil || list == "" {
		return err
	}
	for text := range strings.SplitSeq(list, ",") {
		job, epoch, _ := strings.Cut(text, ":")
		id, err := uuid.Parse(job)
		if err != nil {
			return err
		}
		at, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil {
			return err
		}
		l.taken = append(l.taken, Taken{Job: id, Epoch: at})
	}
	return nil
}

// queueTaken appends statements that load the jobs that were given something; loaded is called when they have succeeded.
// Jobs under limits are never taken, so no seat is missing.
func (l *look) queueTaken(b *pgx.Batch) (loaded func()) {
	if len(l.jobs) > mostTaken {
		return func() {}
	}
	records := make(map[jobs.ID]*jobs.Record, len(l.jobs))
	for _, id := range l.jobs {
		records[id] = &jobs.Record{}
	}
	if len(records) > 0 {
		queueLoad(b, l.jobs, func(job jobs.ID) *jobs.Record { return records[job] })
	}
	return func() {
		for i, t := range l.taken {
			if rec := records[t.Job]; rec != nil && rec.Owner == l.w.Taker && rec.Epoch == t.Epoch {
				l.taken[i].Record = rec
			}
		}
	}
}
