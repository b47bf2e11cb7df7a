package engine

import (
	"context"
	"sync/atomic"

	"statek/internal/jobs"
	"statek/internal/jsvm"
)

// promise is a result that is being committed, by this run or by the look that wakes it. Meanwhile the code may be given it, and compute; what it then asks for is recorded, and
// done, after the commit has succeeded. Should that fail, the VM has seen what never was, and is thrown away.
type promise struct {
	settled jobs.CallSettled
	state   atomic.Int32 // open, then taken by the cell's loop or over
	broken  atomic.Bool
	answer  chan answer // to who waits with the commit for what the code makes of it; nil: nobody does
}

const (
	promiseOpen int32 = iota
	promiseTaken
	promiseOver
)

// early is what the code has computed with a promised result.
type early struct {
	*promise
	step jsvm.Step
	err  error
}

// promise offers the loop a result that nothing is to be delivered before. One at a time: commits are. asks: somebody waits for an answer.
func (d *drive) promise(settled jobs.CallSettled, asks bool) *promise {
	p := &promise{settled: settled}
	if asks {
		p.answer = make(chan answer, 1) // nobody waits for long
	}
	select {
	case <-d.promised: // over long ago; nobody looked
	default:
	}
	d.promised <- p
	return p
}

// kept says how the commit has ended.
func (p *promise) kept(err error) {
	if p == nil {
		return
	}
	p.broken.Store(err != nil)
	p.state.CompareAndSwap(promiseOpen, promiseOver)
}

// promises are of interest to code that runs on, has been given none yet, and has no other call under way: should the commit fail, that
// would have to end before the cell can be run anew.
func (d *drive) promises() <-chan *promise {
	if d.over || d.early != nil || d.inflight != 1 {
		return nil
	}
	return d.promised
}

// computeEarly gives the code a promised result, if it is still one.
func (d *drive) computeEarly(ctx context.Context, p *promise) {
	if p.state.CompareAndSwap(promiseOpen, promiseTaken) {
		e := &early{promise: p}
		e.step, e.err = d.vm.Deliver(ctx, delivery(p.settled, false))
		d.early = e
		if p.answer != nil {
			p.answer <- d.answer(ctx, e)
		}
	}
}

// deliver gives the code the next result, or what it has already made of it. spoiled: it has been given another, which was not
// committed after all.
func (d *drive) deliver(ctx context.Context, settled jobs.CallSettled) (step jsvm.Step, spoiled bool, err error) {
	e := d.early
	if d.early = nil; e != nil && (e.broken.Load() || e.settled.Call != settled.Call) {
		return jsvm.Step{}, true, nil
	}
	d.delivered++
	if e != nil {
		return e.step, false, e.err
	}
	step, err = d.vm.Deliver(ctx, delivery(settled, false))
	return step, false, err
}
