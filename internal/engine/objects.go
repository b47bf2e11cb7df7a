package engine

import (
	"context"
	"encoding/json"
	"fmt"

	"statek/internal/agents"
	"statek/internal/jobs"
	"statek/internal/objects"
	"statek/internal/temporal"
)

// Objects keeps versioned JSON documents.
type Objects interface {
	// ReadObjects answers a call that only reads.
	ReadObjects(ctx context.Context, call objects.Call) (json.RawMessage, error)
	// RunObject performs a call that writes, in the transaction that records its result.
	RunObject(ctx context.Context, call objects.Call,
		settle func(value json.RawMessage, fault *jobs.Fault) (jobs.Commit, jobs.Ended, error)) error
	// MarkObjects says where an object or, without a key, a collection is now.
	MarkObjects(ctx context.Context, prefix, collection string, key *string) (json.RawMessage, error)
}

// startObject performs a call on objects in a goroutine. Objects are those of the job's own prefix. What is read needs no
// transaction: until it is recorded nobody has seen it, and a read that is repeated is as good.
func (d *drive) startObject(p jobs.Pending, args []json.RawMessage) error {
	call, err := objects.Parse(p.Name, args)
	if err != nil {
		return d.settle(p, nil, typeError(err))
	}
	call.Prefix, call.By = d.rec.Spec.Prefix, fmt.Sprintf("job %s/%d/%d", d.rec.Job, d.number, p.Call)
	d.background(p, func() result {
		if call.Reads() {
			return d.readObject(p, call)
		}
		return d.transact(p, &agents.Chain{}, agents.SQLPolicy(), func(settle settling) error { return d.Objects.RunObject(d.work, call, settle) })
	})
	return nil
}

func (d *drive) readObject(p jobs.Pending, call objects.Call) result {
	select {
	case d.slots <- struct{}{}:
		defer func() { <-d.slots }()
	case <-d.work.Done():
		return d.cancelled(p)
	}
	value, err := d.Objects.ReadObjects(d.work, call)
	if d.work.Err() != nil {
		return d.cancelled(p)
	}
	if err != nil {
		return result{err: err}
	}
	ev := d.settled(p, value, nil)
	return result{settled: &ev}
}

// mark completes a wait for a change that does not say since when: since now.
func (d *drive) mark(spec temporal.Spec) (temporal.Spec, error) {
	args, open := temporal.Unmarked(spec)
	if !open {
		return spec, nil
	}
	since, err := d.Objects.MarkObjects(d.work, spec.Group.Prefix, args.Collection, args.Key)
	if err != nil {
		return spec, err
	}
	return temporal.Marked(spec, args, since), nil
}
