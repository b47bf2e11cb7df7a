package store

import (
	"github.com/jackc/pgx/v5"

	"statek/internal/jobs"
	"statek/internal/store/db"
)

// Audience are those in this process who wait for jobs to come to rest. What they would read then is read by the commit
// that brings it about: they need not ask, which would be one more round trip.
type Audience interface {
	// Awaits reports whether anybody waits for the job.
	Awaits(job jobs.ID) bool
	// See is told, after the commit, what it read. It must not block.
	See(view JobView)
}

// queueViews reads jobs that come to rest and are awaited, in the transaction that writes them. show is for when it has
// committed. What cannot be made sense of here is left out: then the callers read as ever. On the server it is a statement like the others.
func (s *Store) queueViews(b *pgx.Batch, ops []*commitOp) (show func()) {
	var ids []jobs.ID
	for _, op := range ops {
		if s.Audience != nil && op.commit.State.Status.AtRest() && s.Audience.Awaits(op.commit.Job) {
			ids = append(ids, op.commit.Job)
		}
	}
	if len(ids) == 0 {
		return func() {}
	}
	var list []db.JobsReadRow
	b.Queue(db.JobsRead, ids).Query(func(rows pgx.Rows) error {
		read, err := pgx.CollectRows(rows, pgx.RowToStructByPos[db.JobsReadRow])
		if err == nil {
			list = read
		}
		return nil
	})
	return func() {
		for _, row := range list {
			if v, err := view(row); err == nil {
				s.Audience.See(v)
			}
		}
	}
}
