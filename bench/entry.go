package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"statek/bench/contender"
)

const (
	inFlight = 100
	// temporalShare: its jobs cost so much that it gets this part of them, or it alone would take most of the time.
	temporalShare = 20
	lowLoad       = 100 // samples; the 99th percentile is the second worst
	waits         = 100
)

// entry is one contender and what has been measured of it.
type entry struct {
	name, title string
	program     string // default: this one
	share       int    // jobs are n / share
	waits       bool
	loads       []sample
	low, wake   []time.Duration
}

// sample is one round of the load test. Costs are for one job.
type sample struct {
	perSecond               float64
	latencies               []time.Duration
	writes, statements, wal float64
	client, postgres        time.Duration
}

func (p plan) entries() []*entry {
	all := []*entry{
		{name: "statek", title: "Statek", waits: true},
		{name: "statek-shared", title: "Statek, calls share transactions", waits: true},
		{name: "statek-floor", title: "Statek, no VM"},
		{name: "floor-shared", title: "Statek, no VM, shared"},
		{name: "dbos", title: "DBOS Go, in place", waits: true},
		{name: "river-tuned", title: "River by hand, cooldown 10 ms", waits: true},
		{name: "river", title: "River by hand, defaults", waits: true},
		{name: "river-noop", title: "River no-op, cooldown 10 ms"},
	}
	if p.temporal != "" {
		all = append(all, &entry{name: "temporal", title: "Temporal, in memory", program: p.temporal, share: temporalShare, waits: true})
	}
	var list []*entry
	for _, e := range all {
		if p.wants(e.name) {
			list = append(list, e)
		}
	}
	return list
}

// round runs the entry in a fresh process on a fresh database. Latencies at low load are measured in the first round alone:
// they take the time of the pauses.
func (e *entry) round(ctx context.Context, server *server, p plan, first bool, log io.Writer) error {
	url, drop, err := server.database(ctx)
	if err != nil {
		return err
	}
	defer drop()
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	argv := []string{self, "contender", e.name}
	if e.program != "" {
		argv = []string{e.program}
	}
	c, err := start(ctx, url, log, argv...)
	if err != nil {
		return err
	}
	defer c.stop()
	n := p.n / max(1, e.share)
	// A database in use has statistics, and a program in use has its connections.
	if _, err := c.order(contender.Order{Do: contender.Load, N: max(20, n/10), InFlight: inFlight}); err != nil {
		return err
	}
	if err := server.analyze(ctx, url); err != nil {
		return err
	}
	meter := meter{server: server, url: url, pids: []int{c.pid()}}
	before, err := meter.read(ctx)
	if err != nil {
		return err
	}
	answer, err := c.order(contender.Order{Do: contender.Load, N: n, InFlight: inFlight})
	if err != nil {
		return err
	}
	after, err := meter.read(ctx)
	if err != nil {
		return err
	}
	e.loads = append(e.loads, newSample(n, answer, before, after))
	if !first {
		return nil
	}
	if answer, err = c.order(contender.Order{Do: contender.Trickle, N: lowLoad}); err != nil {
		return err
	}
	e.low = answer.Latencies
	if !e.waits {
		return nil
	}
	answer, err = c.order(contender.Order{Do: contender.Wake, N: waits})
	e.wake = answer.Latencies
	return err
}

func newSample(n int, a contender.Answer, before, after reading) sample {
	jobs := float64(n)
	return sample{
		perSecond: jobs / a.Took.Seconds(), latencies: a.Latencies,
		writes: (after.xids - before.xids) / jobs, statements: (after.statements - before.statements) / jobs, wal: (after.wal - before.wal) / jobs,
		client: (after.clients[0] - before.clients[0]) / time.Duration(n), postgres: (after.postgres - before.postgres) / time.Duration(n),
	}
}
