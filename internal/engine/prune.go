package engine

import (
	"context"
	"time"
)

const (
	// pruneEvery is the pause between looks when there is nothing to remove.
	pruneEvery = time.Minute
	// pruneShare: while there is, a step is followed by a pause of so many times its length, so that removing old jobs never
	// takes more than a fifth of what one connection can do.
	pruneShare = 4
	prunePause = 20 * time.Millisecond
)

// Prune removes ended jobs whose time is over, a few at a time, until ctx ends. Only one worker does; the others' steps find
// nothing to do.
func (k *Keeper) Prune(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		began := time.Now() //nolint:forbidigo // the length of real work
		more, err := k.Chores.Prune(ctx)
		k.say(ctx, "removing old jobs", err)
		pause := pruneEvery
		if more && err == nil {
			pause = max(prunePause, pruneShare*time.Since(began)) //nolint:forbidigo // see above
		}
		timer.Reset(pause)
	}
}
