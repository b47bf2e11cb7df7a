package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"statek/bench/contender"
)

// scaleFlight keeps even four workers busy.
const scaleFlight = 200

// scale runs the same jobs on 1, 2 and 4 worker processes, real ones, and says who used the processors.
func scale(ctx context.Context, server *server, p plan, out, log io.Writer) error {
	fmt.Fprintf(out, "%d jobs, %d in flight, submitted by one more process.\n\n", p.n, scaleFlight)
	fmt.Fprintln(out, "| workers | finished/s | processors of all workers | of Postgres | of the submitter | CPU a job |\n|---|---|---|---|---|---|")
	for _, workers := range []int{1, 2, 4} {
		fmt.Fprintf(log, "scaling: %d workers\n", workers)
		line, err := scaleTo(ctx, server, p, workers, log)
		if err != nil {
			return fmt.Errorf("scaling to %d workers: %w", workers, err)
		}
		fmt.Fprintln(out, line)
	}
	fmt.Fprintln(out)
	return nil
}

func scaleTo(ctx context.Context, server *server, p plan, workers int, log io.Writer) (line string, err error) {
	url, drop, err := server.database(ctx)
	if err != nil {
		return "", err
	}
	defer drop()
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find this program: %w", err)
	}
	submitter, err := start(ctx, url, log, self, "contender", "statek-submit")
	if err != nil {
		return "", err
	}
	defer submitter.stop()
	m := meter{server: server, url: url, pids: []int{submitter.pid()}}
	for range workers {
		w, startErr := startProgram(ctx, url, p.worker)
		if startErr != nil {
			return "", startErr
		}
		defer func() { err = errors.Join(err, w.stop()) }()
		m.pids = append(m.pids, w.cmd.Process.Pid)
	}
	if _, err := submitter.order(contender.Order{Do: contender.Load, N: max(100*workers, p.n/10), InFlight: scaleFlight}); err != nil {
		return "", err
	}
	if err := server.analyze(ctx, url); err != nil {
		return "", err
	}
	before, err := m.read(ctx)
	if err != nil {
		return "", err
	}
	answer, err := submitter.order(contender.Order{Do: contender.Load, N: p.n, InFlight: scaleFlight})
	if err != nil {
		return "", err
	}
	after, err := m.read(ctx)
	if err != nil {
		return "", err
	}
	var busy time.Duration
	for i := range workers {
		busy += after.clients[i+1] - before.clients[i+1]
	}
	postgres, submits := after.postgres-before.postgres, after.clients[0]-before.clients[0]
	of := func(d time.Duration) float64 { return d.Seconds() / answer.Took.Seconds() }
	return fmt.Sprintf("| %d | %.0f | %.2f | %.2f | %.2f | %.2f ms |", workers, float64(p.n)/answer.Took.Seconds(),
		of(busy), of(postgres), of(submits), (busy+postgres+submits).Seconds()*1000/float64(p.n)), nil
}
