package store

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"statek/internal/jobs"
)

// Channels of pg_notify. Payloads are hints; the truth is in the tables.
const (
	// DirtyChannel: a watched write or a fact touched something that a wait depends on.
	DirtyChannel = "statek_dirty"
	// ChangedChannel: jobs whose history grew; the payload lists ids, those of jobs that rest with a "." behind, or is
	// empty for "many".
	ChangedChannel = "statek_changed"
	ringChannel    = "river.river_insert"
	ringPayload    = `{"queue":"default"}`
)

// Notifier is the Bell of a process: it collects what was committed and sends one notification for all of
// it every few milliseconds, on a connection outside the commits. A NOTIFY inside a commit would make every
// commit of the cluster wait for one lock. Rings and jobs that rest are what somebody waits for, and are sent at once; other
// changes wait for their company, as long as two notifications are apart at least.
type Notifier struct {
	pool    *pgxpool.Pool
	pause   time.Duration
	rang    chan struct{}
	changed chan change
}

// change is a job whose history grew.
type change struct {
	job   jobs.ID
	rests bool
}

// NewNotifier returns a notifier that sends at most once every pause (5 ms when zero).
func NewNotifier(pool *pgxpool.Pool, pause time.Duration) *Notifier {
	if pause == 0 {
		pause = 5 * time.Millisecond
	}
	return &Notifier{pool: pool, pause: pause, rang: make(chan struct{}, 1), changed: make(chan change, 1024)}
}

// Rang implements Bell.
func (n *Notifier) Rang() {
	select {
	case n.rang <- struct{}{}:
	default:
	}
}

// Changed implements Bell. When too many changes wait, the rest are dropped: followers also poll.
func (n *Notifier) Changed(job jobs.ID, rests bool) {
	select {
	case n.changed <- change{job, rests}:
	default:
	}
}

// Run sends until ctx ends. Errors are dropped: a lost notification costs latency, and the next one comes.
func (n *Notifier) Run(ctx context.Context) error {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-pause.C:
		}
		ring, ids := n.gather(ctx)
		if ctx.Err() != nil {
			return nil
		}
		n.send(ctx, ring, ids)
		pause.Reset(n.pause)
	}
}

// gather waits for something to send, and takes what else is there by then.
func (n *Notifier) gather(ctx context.Context) (ring bool, ids map[jobs.ID]bool) {
	ids = map[jobs.ID]bool{}
	var company <-chan time.Time
	for urgent := false; !urgent; {
		select {
		case <-ctx.Done():
			return false, nil
		case <-company:
			urgent = true
		case <-n.rang:
			ring, urgent = true, true
		case c := <-n.changed:
			ids[c.job] = ids[c.job] || c.rests
			urgent = c.rests
		}
		if company == nil {
			company = time.After(n.pause)
		}
	}
	return n.drain(ids) || ring, ids
}

// drain takes what else is waiting.
func (n *Notifier) drain(ids map[jobs.ID]bool) (ring bool) {
	for {
		select {
		case <-n.rang:
			ring = true
		case c := <-n.changed:
			ids[c.job] = ids[c.job] || c.rests
		default:
			return ring
		}
	}
}

func (n *Notifier) send(ctx context.Context, ring bool, ids map[jobs.ID]bool) {
	list := make([]string, 0, len(ids))
	for id, rests := range ids {
		if rests {
			list = append(list, id.String()+".")
		} else {
			list = append(list, id.String())
		}
	}
	payload := strings.Join(list, ",")
	if len(payload) > 7900 {
		payload = ""
	}
	const both = `select case when $1 then pg_notify($2, $3) end, case when $4 then pg_notify($5, $6) end`
	_, _ = n.pool.Exec(ctx, both, ring, ringChannel, ringPayload, len(ids) > 0, ChangedChannel, payload)
}
