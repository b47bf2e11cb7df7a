// Package contender is the side of a contender: one system in a process of its own, which takes orders on its standard input
// and answers on its standard output, a JSON value each. What the process costs is measured from outside, by whoever gives
// the orders; it reports only when its jobs began and ended.
//
// A latency is what a caller in the same process sees: from before the call that starts the job until the caller knows
// that it has ended.
package contender

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"
)

// System runs the jobs of one contender.
type System interface {
	// Job runs a job of two steps, each a transactional INSERT, and returns when it has ended.
	Job(ctx context.Context) error
	// Sleeper starts a job that waits for an event. wake sends the event, and returns when the job has done one step
	// more and ended. A system that cannot returns nil.
	Sleeper(ctx context.Context) (wake func(context.Context) error, err error)
	// Close ends what Open began.
	Close()
}

// What an order asks for.
const (
	Load    = "load"    // N jobs, InFlight at a time: whenever one ends, the next begins
	Trickle = "trickle" // N jobs one at a time, with pauses
	Wake    = "wake"    // N jobs one at a time that sleep during the pause
)

// Order asks for jobs.
type Order struct {
	Do       string `json:"do"`
	N        int    `json:"n"`
	InFlight int    `json:"in_flight"`
}

// Answer says how they went.
type Answer struct {
	Took      time.Duration   `json:"took"`
	Latencies []time.Duration `json:"latencies"`
	Err       string          `json:"err,omitempty"`
}

// Serve opens a system and obeys until the input ends. The first answer, to no order, says that it is open.
func Serve(ctx context.Context, in io.Reader, out io.Writer, open func(context.Context) (System, error)) error {
	system, err := open(ctx)
	answers := json.NewEncoder(out)
	if err != nil {
		return errors.Join(err, answers.Encode(Answer{Err: err.Error()}))
	}
	defer system.Close()
	if err := answers.Encode(Answer{}); err != nil {
		return fmt.Errorf("contender: answer: %w", err)
	}
	for orders := json.NewDecoder(in); ; {
		var order Order
		if err := orders.Decode(&order); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("contender: read an order: %w", err)
		}
		if err := answers.Encode(obey(ctx, system, order)); err != nil {
			return fmt.Errorf("contender: answer: %w", err)
		}
	}
}

func obey(ctx context.Context, system System, order Order) Answer {
	began := time.Now()
	var latencies []time.Duration
	var err error
	switch order.Do {
	case Load:
		latencies, err = load(ctx, system, order)
	case Trickle:
		latencies, err = trickle(ctx, order.N, system.Job)
	case Wake:
		latencies, err = wake(ctx, system, order.N)
	default:
		err = fmt.Errorf("contender: expected an order to be load, trickle or wake, got %q", order.Do)
	}
	a := Answer{Took: time.Since(began), Latencies: latencies}
	if err != nil {
		a.Err = err.Error()
	}
	return a
}

func load(ctx context.Context, system System, order Order) ([]time.Duration, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	latencies := make([]time.Duration, order.N)
	next := make(chan int)
	var group sync.WaitGroup
	for range order.InFlight {
		group.Go(func() {
			for i := range next {
				began := time.Now()
				if err := system.Job(ctx); err != nil {
					stop(err)
				}
				latencies[i] = time.Since(began)
			}
		})
	}
	for i := 0; i < order.N && ctx.Err() == nil; i++ {
		next <- i
	}
	close(next)
	group.Wait()
	return latencies, context.Cause(ctx)
}

func trickle(ctx context.Context, n int, job func(context.Context) error) ([]time.Duration, error) {
	latencies := make([]time.Duration, n)
	for i := range latencies {
		if err := pause(ctx); err != nil {
			return nil, err
		}
		began := time.Now()
		if err := job(ctx); err != nil {
			return nil, err
		}
		latencies[i] = time.Since(began)
	}
	return latencies, nil
}

func wake(ctx context.Context, system System, n int) ([]time.Duration, error) {
	latencies := make([]time.Duration, n)
	for i := range latencies {
		send, err := system.Sleeper(ctx)
		if err != nil || send == nil {
			return nil, err
		}
		if err := pause(ctx); err != nil { // long enough for any of them to fall asleep
			return nil, err
		}
		began := time.Now()
		if err := send(ctx); err != nil {
			return nil, err
		}
		latencies[i] = time.Since(began)
	}
	return latencies, nil
}

// pause lasts 60 to 120 ms: with a constant pause, a system that polls would always be caught at the same moment.
func pause(ctx context.Context) error {
	timer := time.NewTimer(60*time.Millisecond + rand.N(60*time.Millisecond))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
