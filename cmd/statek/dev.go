package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"statek/internal/app"
	"statek/internal/config"
	"statek/internal/devdb"
	"statek/internal/httpapi"
)

// devConfig is what `statek dev` is told.
type devConfig struct {
	listen, databaseURL, definitions, prefix string
	workers                                  int
	linkKey                                  []byte
	models                                   config.Models
	sandbox                                  config.Sandbox
	log                                      config.Logging
}

func (p *program) dev() *cobra.Command {
	cfg := devConfig{log: config.Logging{Level: "warn"}}
	return p.command(&cobra.Command{
		Use:   "dev",
		Short: "Run everything here: database, API and workers",
		Long: "dev finds or starts PostgreSQL, migrates it, applies definitions, and runs the API and workers in this process.\n" +
			"It writes DATA/env, by which the other commands find it. Ctrl-C stops all of it; the data stays.",
		Example: "  statek dev --definitions examples/triage --scripted examples/triage/scripted\n" +
			"  OPENROUTER_API_KEY=… statek dev --definitions mine\n" +
			"  statek dev --database-url postgres://me@localhost/statek --workers 4",
		Args: cobra.NoArgs,
	}, func(s *config.Set) {
		s.Address(&cfg.listen, "listen", "STATEK_LISTEN", "127.0.0.1:8080", "where to serve the API; port 0 takes a free one")
		s.DatabaseURL(&cfg.databaseURL, false)
		s.Count(&cfg.workers, "workers", "STATEK_WORKERS", 2, "how many workers")
		s.Dir(&cfg.definitions, "definitions", "STATEK_DEFINITIONS", "apply the definitions in this folder")
		s.Text(&cfg.prefix, "prefix", "", "/", "where the definitions go")
		s.LinkKey(&cfg.linkKey)
		cfg.models.Bind(s)
		cfg.sandbox.Bind(s)
		cfg.log.Bind(s)
	}, func(ctx context.Context, _ []string) error {
		err := p.runDev(ctx, cfg)
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			return nil
		}
		return err
	})
}

func (p *program) runDev(ctx context.Context, cfg devConfig) (err error) {
	logger := cfg.log.Logger(p.stderr)
	data, err := filepath.Abs(p.data)
	if err != nil {
		return fmt.Errorf("find --data: %w", err)
	}
	if err := os.MkdirAll(data, 0o700); err != nil {
		return fmt.Errorf("make --data: %w", err)
	}
	where := "yours"
	if cfg.databaseURL == "" {
		server, err := p.startDatabase(ctx, data, cfg.workers, logger)
		if err != nil {
			return err
		}
		defer func() {
			if stopErr := server.Stop(); stopErr != nil {
				err = errors.Join(err, stopErr)
			}
		}()
		cfg.databaseURL, where = server.URL("statek"), server.Dir
	}
	if err := app.Migrate(ctx, cfg.databaseURL, logger); err != nil {
		return err
	}
	a, err := app.Open(ctx, app.Config{
		DatabaseURL: cfg.databaseURL, Logger: logger, LinkKey: cfg.linkKey,
		Sandbox: cfg.sandbox.Mode, SandboxChildren: cfg.sandbox.Children,
	})
	if err != nil {
		return err
	}
	defer a.Close()
	if cfg.definitions != "" {
		changes, err := a.Apply(ctx, os.DirFS(cfg.definitions), cfg.prefix)
		if err != nil {
			return fmt.Errorf("apply %s: %w", cfg.definitions, err)
		}
		p.printChanges(changes, false)
	}
	return p.serveDev(ctx, cfg, a, data, where, logger)
}

func (p *program) startDatabase(ctx context.Context, data string, workers int, logger *slog.Logger) (*devdb.Server, error) {
	server, err := devdb.Start(ctx, devdb.Config{
		Dir: filepath.Join(data, "postgres"), Logger: logger,
		Settings: map[string]string{"max_connections": strconv.Itoa(60 + 24*workers)},
	})
	if err != nil {
		return nil, err
	}
	if err := server.EnsureDatabase(ctx, "statek"); err != nil {
		return nil, errors.Join(err, server.Stop())
	}
	return server, nil
}

// serveDev runs the API and the workers until ctx ends.
func (p *program) serveDev(ctx context.Context, cfg devConfig, a *app.App, data, where string, logger *slog.Logger) error {
	registry, err := app.NewProviders(app.ProviderConfig{
		Environ: p.env, Default: cfg.models.Provider, Scripted: cfg.models.Scripted, Logger: logger,
	})
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for range cfg.workers {
		worker, err := app.NewWorker(a, app.WorkerConfig{
			Logger: logger, Providers: registry, Grace: 5 * time.Second, Environ: config.EnvOf(p.env).Get, Version: config.Version(),
		})
		if err != nil {
			return err
		}
		group.Go(func() error { return worker.Run(ctx) })
	}
	listening := make(chan net.Addr, 1)
	group.Go(func() error {
		err := httpapi.Run(ctx, a, httpapi.RunConfig{
			Listen: cfg.listen, Logger: logger, Version: config.Version(), Grace: 5 * time.Second,
			Listening: func(address net.Addr) { listening <- address },
		})
		if errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("%w: stop what listens there, or take a free port with --listen 127.0.0.1:0", err)
		}
		return err
	})
	group.Go(func() error {
		select {
		case <-ctx.Done():
			return nil
		case address := <-listening:
			return p.announce(cfg, registry.Names(), data, where, "http://"+address.String())
		}
	})
	err = group.Wait()
	fmt.Fprintln(p.stdout, "stopped")
	return err
}

// announce writes the env file and says where everything is.
func (p *program) announce(cfg devConfig, models []string, data, where, api string) error {
	path := filepath.Join(data, "env")
	text := "# written by statek dev\nDATABASE_URL=" + quoted(cfg.databaseURL) + "\nSTATEK_URL=" + quoted(api) + "\n"
	if err := writePrivate(path, text); err != nil {
		return err
	}
	shown := filepath.Join(p.data, "env")
	if !filepath.IsAbs(shown) {
		shown = "./" + shown
	}
	lines := [][2]string{
		{"API", api},
		{"Docs", api + "/docs"},
		{"Database", config.Redact(cfg.databaseURL)},
		{"Data", where},
		{"SQL", `(. ` + shown + ` && psql "$DATABASE_URL" -c 'select * from statek.job_overview')`},
		{"Env file", shown},
		{"Workers", fmt.Sprintf("%d; sandbox: %s", cfg.workers, cfg.sandbox.Mode)},
		{"Models", orNone(strings.Join(models, ", "), "none: set OPENROUTER_API_KEY, X_API_URL and X_API_KEY, or --scripted DIR")},
		{"Definitions", orNone(cfg.definitions, "none: statek apply DIR")},
		{"Stop", "Ctrl-C, or kill " + strconv.Itoa(os.Getpid())},
	}
	var b strings.Builder
	b.WriteString("\nStatek is running.\n\n")
	for _, l := range lines {
		fmt.Fprintf(&b, "  %-12s %s\n", l[0], l[1])
	}
	_, err := fmt.Fprintln(p.stdout, b.String())
	return err
}

// writePrivate replaces a file that only its owner may read.
func writePrivate(path, text string) error {
	temporary := path + ".new"
	if err := os.Remove(temporary); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.WriteFile(temporary, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(temporary, path)
}

var plainValue = regexp.MustCompile(`^[A-Za-z0-9_.:/@%?=+,~-]*$`)

// quoted makes a value that a shell reads as it is.
func quoted(value string) string {
	if plainValue.MatchString(value) {
		return value
	}
	return "'" + strings.ReplaceAll(value, "'", `'\''`) + "'"
}

func orNone(text, none string) string {
	if text == "" {
		return none
	}
	return text
}
