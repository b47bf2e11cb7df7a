package main

import (
	"context"
	"log/slog"

	"statek/internal/app"
	"statek/internal/config"
	"statek/internal/httpapi"
)

// serve answers requests until ctx ends. It begins at once: while the database is away, requests are told
// so and /readyz says no.
func serve(ctx context.Context, cfg config.API, logger *slog.Logger) error {
	a, err := app.Open(ctx, app.Config{
		DatabaseURL: cfg.DatabaseURL, Logger: logger, MaxConns: cfg.Conns, LinkKey: cfg.LinkKey, PollOnly: cfg.PollOnly,
		Sandbox: cfg.Sandbox.Mode, SandboxChildren: cfg.Sandbox.Children, MaxQueued: cfg.MaxQueued,
	})
	if err != nil {
		return err
	}
	defer a.Close()
	if err := a.CheckSandbox(ctx); err != nil {
		return err
	}
	watching, stop := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		_ = app.AwaitSchema(watching, cfg.DatabaseURL, logger) // it has logged what it waited for
	}()
	defer func() { stop(); <-watched }()
	return httpapi.Run(ctx, a, httpapi.RunConfig{Listen: cfg.Listen, Logger: logger, Version: config.Version(), Grace: cfg.Grace, MaxRequests: cfg.MaxRequests})
}
