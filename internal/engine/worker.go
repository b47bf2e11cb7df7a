package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"statek/internal/jobs"
)

// Times of the liveness protocol. They are compared with the database's clock or the monotonic one, never
// with another worker's.
const (
	BeatEvery = time.Second
	// DeadAfter is how long a worker may be silent, and how long a sweeper must have been in contact itself
	// before it says so: an outage of the database must not look like everybody's death.
	DeadAfter = 5 * time.Second
	// GiveUpAfter is how long a worker goes on without a beat of its own; it is done before others begin.
	GiveUpAfter = 4 * time.Second
)

// Beat is what one heartbeat learns.
type Beat struct {
	Alive  bool
	Owned  map[jobs.ID]int64
	Rung   []jobs.ID
	Wakes  bool
	Silent []uuid.UUID
}

// Pulse is the heartbeat's own connection to the database.
type Pulse interface {
	Beat(ctx context.Context, worker uuid.UUID, deadAfter time.Duration) (Beat, error)
	Close(ctx context.Context) error
}

// Around is what a look around has seen. What is worth a statement only now and then is asked for with what is asked every
// second, or an idle worker would ask each of them in vain.
type Around struct {
	// Again is when to look at waits again; 0: when somebody tells.
	Again time.Duration
	// Orphans: jobs of workers that are dead or gone.
	Orphans bool
	// Strays: there may be jobs with work, no owner and no doorbell.
	Strays bool
	// Limits: there may be jobs that are parked, or seats that nobody has vacated.
	Limits bool
}

// Chores are the jobs of nobody in particular.
type Chores interface {
	WakeDue(ctx context.Context, limit int) (int, error)
	TakeOver(ctx context.Context) (int, error)
	RingStray(ctx context.Context, limit int) (int, error)
	Bury(ctx context.Context, ids []uuid.UUID, deadAfter time.Duration) ([]uuid.UUID, error)
	// Tidy removes what nobody needs any more.
	Tidy(ctx context.Context) error
	// SweepSeats calls parked jobs to seats that nobody has vacated.
	SweepSeats(ctx context.Context) (int, error)
	// LookAround stamps, drains, settles, retries and fires what is due, and says what else there is to do.
	LookAround(ctx context.Context) (Around, error)
	// LookAtMarks drains alone: writers have just told that there are marks.
	LookAtMarks(ctx context.Context) (time.Duration, error)
	// SweepWaits looks at quiet groups and returns how many lost wake-ups it caught.
	SweepWaits(ctx context.Context) (int, error)
	// Prune removes a few ended jobs whose time is over; more: there are others.
	Prune(ctx context.Context) (more bool, err error)
}

// Keeper keeps one worker alive in the database's eyes, and does its share of the chores.
type Keeper struct {
	Engine *Engine
	// Dial opens the heartbeat's connection and makes sure that the worker is registered.
	Dial   func(ctx context.Context) (Pulse, error)
	Chores Chores
	Logger *slog.Logger
	alarm  *alarm
	dirty  chan struct{}
	strays map[jobs.ID]int64 // owned and not running, reported once; used by the heartbeat alone
	lost   map[jobs.ID]int64 // running and not owned, likewise
}

// ErrDeclaredDead: others have declared this worker dead and taken its jobs. It must start anew under a
// new id.
var ErrDeclaredDead = errors.New("engine: this worker was declared dead")

// NewKeeper returns a keeper; hints of near timers go to the alarm.
func NewKeeper(k Keeper) *Keeper {
	k.alarm, k.strays, k.lost = newAlarm(), map[jobs.ID]int64{}, map[jobs.ID]int64{}
	k.dirty = make(chan struct{}, 1)
	return &k
}

// Near asks to look at timers at a time.
func (k *Keeper) Near(at time.Time) { k.alarm.set(at) }

// Dirty says that writers have left marks.
func (k *Keeper) Dirty() {
	select {
	case k.dirty <- struct{}{}:
	default:
	}
}

// Beats sends heartbeats until ctx ends, and returns ErrLostContact or ErrDeclaredDead when the worker may
// no longer work.
func (k *Keeper) Beats(ctx context.Context) error {
	var pulse Pulse
	defer func() {
		if pulse != nil {
			_ = pulse.Close(context.WithoutCancel(ctx))
		}
	}()
	last := time.Now() //nolint:forbidigo // the monotonic clock is the point
	var contact time.Time
	ticker := time.NewTicker(BeatEvery)
	defer ticker.Stop()
	for {
		sent := time.Now() //nolint:forbidigo // see above
		beat, err := k.beat(ctx, &pulse, last.Add(GiveUpAfter))
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			contact = time.Time{}
			if time.Since(last) >= GiveUpAfter { //nolint:forbidigo // see above
				return fmt.Errorf("%w: %w", ErrLostContact, err)
			}
		case !beat.Alive:
			return ErrDeclaredDead
		default:
			last = sent
			if contact.IsZero() {
				contact = sent
			}
			k.act(ctx, beat, sent.Sub(contact) >= DeadAfter)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (k *Keeper) beat(ctx context.Context, pulse *Pulse, deadline time.Time) (Beat, error) {
	ctx, cancel := context.WithDeadlineCause(ctx, deadline, errors.New("the heartbeat got no answer"))
	defer cancel()
	if *pulse == nil {
		p, err := k.Dial(ctx)
		if err != nil {
			return Beat{}, err
		}
		*pulse = p
	}
	beat, err := (*pulse).Beat(ctx, k.Engine.Worker, DeadAfter)
	if err != nil {
		_ = (*pulse).Close(context.WithoutCancel(ctx))
		*pulse = nil
	}
	return beat, err
}

// act does what the beat calls for.
func (k *Keeper) act(ctx context.Context, beat Beat, steady bool) {
	for _, job := range beat.Rung {
		k.Engine.Poke(job)
	}
	k.reconcile(ctx, beat)
	if beat.Wakes {
		k.alarm.set(time.Time{})
	}
	if steady && len(beat.Silent) > 0 {
		silent := slices.DeleteFunc(slices.Clone(beat.Silent), func(id uuid.UUID) bool { return id == k.Engine.Worker })
		dead, err := k.Chores.Bury(ctx, silent, DeadAfter)
		k.say(ctx, "declaring workers dead", err)
		for _, id := range dead {
			k.Logger.WarnContext(ctx, "worker is dead: its jobs are taken over", slog.String("worker", id.String()))
		}
		if len(dead) > 0 {
			k.takeOver(ctx)
		}
	}
}

// reconcile gives back what the database thinks this worker runs and it does not: a claim whose reply was
// lost, a run that ended while the database was away. A job just claimed may not be in the table yet, so
// only what two beats in a row report is given back.
func (k *Keeper) reconcile(ctx context.Context, beat Beat) {
	running := k.Engine.Running()
	k.expel(running, beat)
	for _, job := range slices.SortedFunc(maps.Keys(beat.Owned), func(a, b jobs.ID) int { return bytes.Compare(a[:], b[:]) }) {
		epoch := beat.Owned[job]
		if e, ok := running[job]; ok && e == epoch {
			delete(k.strays, job)
			continue
		}
		if k.strays[job] != epoch {
			k.strays[job] = epoch
			continue
		}
		delete(k.strays, job)
		err := k.Engine.Jobs.HandOver(ctx, jobs.Hold{Job: job, Epoch: epoch, Owner: k.Engine.Worker})
		k.say(ctx, "giving back a stray job", err)
	}
}

// expel ends runs of jobs that somebody else has taken: their model requests and tools cost money for nothing.
// A run that has just begun or is about to leave looks the same, so it takes two beats in a row.
func (k *Keeper) expel(running map[jobs.ID]int64, beat Beat) {
	before := k.lost
	k.lost = map[jobs.ID]int64{}
	for job, epoch := range running {
		owned, ok := beat.Owned[job]
		switch {
		case ok && owned == epoch:
		case before[job] == epoch:
			k.Engine.Expel(job, epoch)
		default:
			k.lost[job] = epoch
		}
	}
}

func (k *Keeper) takeOver(ctx context.Context) {
	n, err := k.Chores.TakeOver(ctx)
	k.say(ctx, "taking jobs over", err)
	if n > 0 {
		k.Logger.InfoContext(ctx, "took jobs over", slog.Int("jobs", n))
	}
}

// Chore does this worker's share until ctx ends: waits every second and when they are due or marked, takeovers in the second
// that sees somebody's jobs orphaned, jobs' own timers when the heartbeat has seen that one is due, strays, which are old by
// then, and seats every four seconds while there are any, tidying and sweeping every minute. What is asked every second costs most of an
// idle worker's statements.
func (k *Keeper) Chore(ctx context.Context) error {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for n := 0; ; n++ {
		k.around(ctx, k.waits(ctx), n%4 == 0)
		switch n % 60 { // far from each other: an idle worker's statements are counted over any twenty seconds
		case 5:
			k.say(ctx, "tidying", k.Chores.Tidy(ctx))
		case 30:
			caught, err := k.Chores.SweepWaits(ctx)
			k.say(ctx, "sweeping waits", err)
			if caught > 0 {
				k.Logger.ErrorContext(ctx, "the safety sweep caught lost wake-ups: please report this", slog.Int("waits", caught))
			}
		}
		for waiting := true; waiting; {
			if _, rang := poll(k.alarm.rang()); rang {
				k.onAlarm(ctx)
				continue
			}
			select {
			case <-ctx.Done():
				return nil
			case <-k.alarm.rang():
				k.onAlarm(ctx)
			case <-k.dirty:
				again, err := k.Chores.LookAtMarks(ctx)
				k.waited(ctx, again, err)
			case <-second.C:
				waiting = false
			}
		}
	}
}

// onAlarm does what may be due.
func (k *Keeper) onAlarm(ctx context.Context) {
	k.alarm.rearm()
	k.waits(ctx) // first: somebody may just have written what a job waits for
	k.wakeDue(ctx)
}

// around does what a look around has seen, what may wait a while only at some times.
func (k *Keeper) around(ctx context.Context, seen Around, patient bool) {
	if seen.Orphans {
		k.takeOver(ctx)
	}
	if seen.Strays && patient {
		_, err := k.Chores.RingStray(ctx, 500)
		k.say(ctx, "ringing stray jobs", err)
	}
	if seen.Limits && patient {
		_, err := k.Chores.SweepSeats(ctx)
		k.say(ctx, "sweeping seats", err)
	}
}

// waits does what is due now for those who wait, and returns what else it has seen.
func (k *Keeper) waits(ctx context.Context) Around {
	seen, err := k.Chores.LookAround(ctx)
	k.waited(ctx, seen.Again, err)
	return seen
}

// waited notes when a look at waits wants another one.
func (k *Keeper) waited(ctx context.Context, again time.Duration, err error) {
	k.say(ctx, "looking at waits", err)
	if again > 0 {
		k.alarm.set(time.Now().Add(again)) //nolint:forbidigo // the alarm's own clock
	}
}

// wakeDue rings jobs whose own timer has come; when there were many, there may be more.
func (k *Keeper) wakeDue(ctx context.Context) {
	const most = 500
	n, err := k.Chores.WakeDue(ctx, most)
	k.say(ctx, "waking due jobs", err)
	if n == most {
		k.alarm.set(time.Time{})
	}
}

func (k *Keeper) say(ctx context.Context, what string, err error) {
	if err == nil || ctx.Err() != nil || k.Engine.Unavailable(err) || errors.Is(err, jobs.ErrFenced) {
		return // the heartbeat says when the database is away
	}
	k.Logger.ErrorContext(ctx, what+" failed", slog.String("err", err.Error()))
}
