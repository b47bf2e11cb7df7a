package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"golang.org/x/sync/errgroup"

	"statek/internal/app"
	"statek/internal/config"
	"statek/internal/httpapi"
)

// work drives jobs until ctx ends and what is running is finished or handed over.
func work(ctx context.Context, cfg config.Worker, env []string, logger *slog.Logger) error {
	registry, err := app.NewProviders(app.ProviderConfig{
		Environ: env, Default: cfg.Models.Provider, Scripted: cfg.Models.Scripted, Logger: logger,
	})
	if err != nil {
		return err
	}
	a, err := app.Open(ctx, app.Config{
		DatabaseURL: cfg.DatabaseURL, Logger: logger, MaxConns: 2, PollOnly: cfg.PollOnly,
		Sandbox: cfg.Sandbox.Mode, SandboxChildren: cfg.Sandbox.Children,
	})
	if err != nil {
		return err
	}
	defer a.Close()
	worker, err := app.NewWorker(a, app.WorkerConfig{
		Logger: logger, Providers: registry, MaxJobs: cfg.MaxJobs, Conns: cfg.Conns, Grace: cfg.Grace,
		Environ: config.EnvOf(env).Get, Version: config.Version(), Failpoints: config.EnvOf(env).Get("STATEK_FAILPOINTS"),
	})
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	if cfg.ListenHealth != "" {
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.ListenHealth)
		if err != nil {
			return fmt.Errorf("listen on --listen-health: %w", err)
		}
		group.Go(func() error {
			return httpapi.Serve(ctx, listener, httpapi.HealthHandler(worker.Ready), httpapi.ServeConfig{Logger: logger})
		})
	}
	group.Go(func() error {
		if err := app.AwaitSchema(ctx, cfg.DatabaseURL, logger); err != nil {
			if errors.Is(err, ctx.Err()) {
				return nil
			}
			return err
		}
		return worker.Run(ctx)
	})
	return group.Wait()
}
