package store

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"statek/internal/jobs"
)

// peek reads jobs that a look is about to give something to, on another connection and while the look goes on: they
// sleep, so what is read stays true until somebody takes them, which raises their epoch.
type peek struct {
	ids     []jobs.ID
	records map[jobs.ID]*jobs.Record
	mail    map[jobs.ID]*jobs.Record // only their mail
	err     error
	done    chan struct{}
	hurry   context.CancelFunc
}

// peek begins to read the jobs of those who are served first, if this worker may take them. Of very many only one is: most
// likely there is not something for all, and more than a few are not taken.
func (l *look) peek(ctx context.Context, heads []head) {
	if !l.takes || len(heads) == 0 {
		return
	}
	if len(heads) > mostTaken {
		heads = heads[:1]
	}
	p := &peek{records: map[jobs.ID]*jobs.Record{}, done: make(chan struct{})}
	for _, h := range heads { // a job may wait twice for the same
		if p.records[h.JobID] == nil {
			p.records[h.JobID] = &jobs.Record{}
			p.ids = append(p.ids, h.JobID)
		}
	}
	soon, hurry := context.WithCancel(ctx)
	p.hurry = hurry
	l.peeked = p
	go func() {
		defer close(p.done)
		p.err = p.read(ctx, soon, l.w.pool)
	}()
}

// read waits for a connection no longer than soon.
func (p *peek) read(ctx, soon context.Context, pool *pgxpool.Pool) error {
	conn, err := pool.Acquire(soon)
	if err != nil {
		return err
	}
	defer conn.Release()
	b := &pgx.Batch{}
	p.queue(b)
	return conn.SendBatch(ctx, b).Close()
}

func (p *peek) queue(b *pgx.Batch) {
	queueLoad(b, p.ids, func(job jobs.ID) *jobs.Record { return p.records[job] })
}

// end waits for what is being read, but not for a connection: the look that waits holds one.
func (p *peek) end() {
	if p != nil {
		p.hurry()
		<-p.done
	}
}

// queueMail appends what reads the mail of the jobs after they were taken, in the look's own transaction.
func (p *peek) queueMail(b *pgx.Batch) {
	if p == nil {
		return
	}
	p.mail = make(map[jobs.ID]*jobs.Record, len(p.ids))
	for _, id := range p.ids {
		p.mail[id] = &jobs.Record{}
	}
	queueMail(b, p.ids, func(job jobs.ID) *jobs.Record { return p.mail[job] })
}

// complete waits for what is being read, and reads it on conn if there was no connection for it.
func (p *peek) complete(ctx context.Context, conn *pgx.Conn) error {
	if p == nil {
		return nil
	}
	p.end()
	if p.err == nil {
		for id, rec := range p.records {
			rec.Mail = p.mail[id].Mail
		}
		return nil
	}
	for _, id := range p.ids {
		*p.records[id] = jobs.Record{}
	}
	b := &pgx.Batch{}
	p.queue(b)
	return conn.SendBatch(ctx, b).Close()
}

// at is the record of a job since it was taken; nil: it is not known, or somebody else had the job meanwhile.
func (p *peek) at(t Taken, taker uuid.UUID) *jobs.Record {
	if p == nil || p.records[t.Job] == nil {
		return nil
	}
	rec := p.records[t.Job]
	if rec.Owner == uuid.Nil && rec.Epoch+1 == t.Epoch {
		rec.Owner, rec.Epoch = taker, t.Epoch
	}
	if rec.Owner != taker || rec.Epoch != t.Epoch {
		return nil
	}
	return rec
}
