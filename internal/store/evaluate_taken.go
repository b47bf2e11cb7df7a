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

// take sends the statements that end the look, but for the commit, and learns which jobs this worker has got with them, and
// their mail. Their rows are locked, hence it stays true; mail that comes later finds a job with an owner, who is rung. While
// the commit waits for the disk they compute. Jobs under limits are never taken, so no seat is missing.
func (l *look) take(ctx context.Context, b *pgx.Batch) error {
	b.Queue("select coalesce(current_setting('statek.taken', true), '')").QueryRow(l.readTaken)
	l.peeked.queueMail(b)
	if err := l.conn.SendBatch(ctx, b).Close(); err != nil {
		return err
	}
	if err := l.peeked.complete(ctx, l.conn); err != nil {
		if l.conn.PgConn().TxStatus() != 'T' {
			return err
		}
		l.peeked = nil // a row that cannot be read: its job is claimed, and that fails for it alone
	}
	for i, t := range l.taken {
		l.taken[i].Record = l.peeked.at(t, l.w.Taker)
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
