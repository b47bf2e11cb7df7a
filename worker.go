package statek

import (
	"context"
	"fmt"
	"strings"

	"statek/internal/app"
)

// Worker drives jobs. Run any number, in any number of processes.
type Worker struct{ worker *app.Worker }

// NewWorker prepares a worker on the client's database. The process must run in UTC (TZ=UTC, or time.Local =
// time.UTC first in main), so that cells replay alike on every machine.
func NewWorker(c *Client, cfg WorkerConfig) (*Worker, error) {
	registry, err := app.NewProviders(app.ProviderConfig{
		Environ: cfg.Environ, Default: cfg.DefaultProvider, Scripted: cfg.Scripted, Logger: c.app.Logger(),
	})
	if err != nil {
		return nil, public(err)
	}
	tools := make(map[string]app.GoTool, len(cfg.Tools))
	for _, t := range cfg.Tools {
		if t.Name == "" || t.Call == nil {
			return nil, fmt.Errorf("statek: expected every Tool to have a Name and a Call, got %+q", t.Name)
		}
		tools[t.Name] = goTool{t}
	}
	temporals, err := goTemporals(cfg.Temporals)
	if err != nil {
		return nil, err
	}
	w, err := app.NewWorker(c.app, app.WorkerConfig{
		Providers: registry, MaxJobs: cfg.MaxJobs, Conns: cfg.Conns, Grace: cfg.Grace, Tools: tools, Temporals: temporals, Environ: lookup(cfg.Environ),
	})
	if err != nil {
		return nil, public(err)
	}
	return &Worker{worker: w}, nil
}

// Run drives jobs until ctx ends, then finishes or hands over what it holds within the grace period. A
// database that is away is waited for.
func (w *Worker) Run(ctx context.Context) error { return w.worker.Run(ctx) }

// Ready reports whether the worker takes jobs.
func (w *Worker) Ready() bool { return w.worker.Ready() }

func lookup(environ []string) func(string) string {
	values := make(map[string]string, len(environ))
	for _, item := range environ {
		if name, value, ok := strings.Cut(item, "="); ok {
			values[name] = value
		}
	}
	return func(name string) string { return values[name] }
}
