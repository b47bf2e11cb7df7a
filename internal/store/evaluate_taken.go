package store

import (
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"statek/internal/jobs"
)

// mostTaken is how many jobs one look may take; more are for all workers. It must equal statek.wake's.
const mostTaken = 4

// Taken is a job that this worker has taken together with what it gave it, at an epoch. Record is what a claim would have
// loaded; nil: it must be claimed once more.
type Taken struct {
	Job    uuid.UUID
	Epoch  int64
	Record *jobs.Record
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

// queueTaken appends statements that load the jobs that were given something. They follow the commit, hence see all that
// it has brought; loaded is called when they have succeeded. Jobs under limits are never taken, so no seat is missing.
func (l *look) queueTaken(b *pgx.Batch) (loaded func()) {
	if !l.takes || len(l.jobs) > mostTaken {
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
