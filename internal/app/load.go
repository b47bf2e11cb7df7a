package app

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Limit is how many jobs run at once: of an agent, or of all at a prefix and below.
type Limit struct {
	Prefix      string `json:"prefix"`
	Agent       string `json:"agent,omitempty" doc:"Of this agent's jobs; else of all jobs at the prefix and below."`
	Concurrency int    `json:"concurrency" doc:"How many run at once, over all workers."`
	Running     int    `json:"running" doc:"Places that are taken or kept now."`
	Parked      int    `json:"parked" doc:"Jobs that wait for a place."`
}

// mostConcurrency bounds a limit; leaving it out is how there is none.
const mostConcurrency = 1_000_000

// Limits lists the limits at, above and below a prefix.
func (a *App) Limits(ctx context.Context, prefix string) ([]Limit, error) {
	if prefix == "" {
		prefix = "/"
	}
	if err := checkPrefix("prefix", prefix); err != nil {
		return nil, err
	}
	rows, err := a.store.Limits(ctx, prefix)
	if err != nil {
		return nil, fail(err, "limits")
	}
	list := make([]Limit, len(rows))
	for i, r := range rows {
		list[i] = Limit{Prefix: r.Prefix, Agent: r.Role, Concurrency: r.Most, Running: r.Running, Parked: r.Parked}
	}
	return list, nil
}

// SetPrefixLimit says how many jobs at a prefix and below run at once; nil: any number. Jobs that run go on; a raised
// limit calls those that wait.
func (a *App) SetPrefixLimit(ctx context.Context, prefix string, concurrency *int) error {
	if err := checkPrefix("prefix", prefix); err != nil {
		return err
	}
	if concurrency == nil {
		return fail(a.store.SetPrefixLimit(ctx, prefix, nil), "limit of "+prefix)
	}
	if *concurrency < 1 || *concurrency > mostConcurrency {
		return invalid("concurrency", *concurrency, fmt.Sprintf("must be 1 to %d, or null for any number", mostConcurrency))
	}
	most := int32(*concurrency)
	return fail(a.store.SetPrefixLimit(ctx, prefix, &most), "limit of "+prefix)
}

// backlog knows how many jobs of a prefix have work and do not run, as of a moment ago: counting them for each submission
// would cost most when there are many.
type backlog struct {
	most int // 0: any number

	mu     sync.Mutex // guards counts
	counts map[string]counted
}

type counted struct {
	n    int
	good time.Time
}

const (
	// countGood is how long a count is believed. What this process submits is added meanwhile.
	countGood   = time.Second
	mostCounted = 10_000
	// busyAfter is when a refused submission should be tried again.
	busyAfter = 5 * time.Second
)

// admit refuses n more jobs at a prefix that has too many already.
func (b *backlog) admit(ctx context.Context, prefix string, n int, now time.Time, ask func(context.Context, string, int) (int, error)) error {
	if b.most == 0 {
		return nil
	}
	b.mu.Lock()
	c, known := b.counts[prefix]
	b.mu.Unlock()
	if !known || now.After(c.good) {
		queued, err := ask(ctx, prefix, b.most+1)
		if err != nil {
			return fail(err, "jobs of "+prefix)
		}
		c = counted{n: queued, good: now.Add(countGood)}
	}
	refused := c.n+n > b.most
	if !refused {
		c.n += n
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.counts == nil || len(b.counts) >= mostCounted {
		b.counts = map[string]counted{}
	}
	b.counts[prefix] = c
	if refused {
		return &Error{Kind: KindBusy, RetryAfter: busyAfter, Message: fmt.Sprintf(
			"prefix %s has %d jobs that wait to be run, and %d more would be over the limit of %d; try again later, or start more workers", prefix, c.n, n, b.most)}
	}
	return nil
}
