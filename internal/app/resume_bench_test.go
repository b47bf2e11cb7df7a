package app_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"statek/internal/app"
	"statek/internal/pgtest"
)

// BenchmarkResumeAfterCells wakes a job that sleeps in a cell, with few and with many cells before it: from the
// event to its next sleep, one cell later. Earlier cells are not run again, so both take the same.
func BenchmarkResumeAfterCells(b *testing.B) {
	for _, earlier := range []int{10, 1000} {
		b.Run(fmt.Sprint(earlier), func(b *testing.B) { benchResume(b, earlier) })
	}
}

const benchWakes = 300 // cells that wait; more iterations take another job

func benchResume(b *testing.B, earlier int) {
	url := pgtest.URL(b)
	pool := pgtest.Pool(b, url)
	quiet := slog.New(slog.DiscardHandler)
	a, err := app.Open(b.Context(), app.Config{DatabaseURL: url, Logger: quiet})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(a.Close)
	var blocks []string
	for i := range earlier {
		blocks = append(blocks, fmt.Sprintf("let v%d = %d", i%20, i))
	}
	for range benchWakes {
		blocks = append(blocks, "await event('go')")
	}
	definitions := fstest.MapFS{
		"agents/sleeper.md":        {Data: []byte(simpleAgent)},
		"agents/sleeper.warmup.js": {Data: []byte(strings.Join(blocks, "\n// ----------\n") + "\n")},
	}
	if _, err := a.Apply(b.Context(), definitions, "/"); err != nil {
		b.Fatal(err)
	}
	w, err := app.NewWorker(a, app.WorkerConfig{Logger: quiet})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = a.Run(ctx) })
	running.Go(func() { _ = w.Run(ctx) })
	defer func() { stop(); running.Wait() }()
	var job app.Job
	asleep := func(cell int) {
		for yes := false; !yes; {
			err := pool.QueryRow(ctx, `select exists (select from statek.history where job_id = $1 and cell = $2 and kind = 'suspended')
				from pg_sleep(0.0005)`, job.ID, cell).Scan(&yes)
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	cell := 0
	for b.Loop() {
		if cell == 0 || cell == earlier+benchWakes {
			b.StopTimer()
			if job, err = a.Submit(ctx, app.SubmitRequest{Role: "sleeper"}); err != nil {
				b.Fatal(err)
			}
			cell = earlier + 1
			asleep(cell)
			b.StartTimer()
		}
		if _, err := pool.Exec(ctx, "select statek.emit('/', 'go', '1')"); err != nil {
			b.Fatal(err)
		}
		cell++
		asleep(cell)
	}
}
