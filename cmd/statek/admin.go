package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"statek/internal/app"
	"statek/internal/config"
)

func (p *program) apply() *cobra.Command {
	var url, prefix string
	var sandbox config.Sandbox
	var log config.Logging
	return p.command(&cobra.Command{
		Use: "apply DIR", Short: "Store the definitions of a folder", Args: cobra.ExactArgs(1),
		Long: "apply stores agents/, tools/ and temporals/ of DIR in one transaction and prints what changed. Nothing is stored when a\n" +
			"file is broken. It speaks to the database, because SQL text needs admin rights.",
		Example: "  statek apply examples/triage --prefix /acme",
	}, func(s *config.Set) {
		s.Text(&prefix, "prefix", "", "/", "where the definitions go")
		s.DatabaseURL(&url, true)
		sandbox.Bind(s)
		log.Bind(s)
	}, func(ctx context.Context, args []string) error {
		if info, err := os.Stat(args[0]); err != nil || !info.IsDir() {
			return misuse("expected DIR to be a folder with agents, tools or temporals, got %q", args[0])
		}
		a, err := app.Open(ctx, app.Config{DatabaseURL: url, Logger: log.Logger(p.stderr), MaxConns: 2, Sandbox: sandbox.Mode, SandboxChildren: sandbox.Children})
		if err != nil {
			return err
		}
		defer a.Close()
		changes, err := a.Apply(ctx, os.DirFS(args[0]), prefix)
		if err != nil {
			return err
		}
		p.printChanges(changes, true)
		return nil
	})
}

// printChanges shows what apply did, with differences or without.
func (p *program) printChanges(changes []app.Change, diffs bool) {
	t := newTable(p.stdout)
	for _, c := range changes {
		t.row(c.Action, c.Kind, c.Name, fmt.Sprintf("version %d", c.Version))
		if c.Warning != "" {
			t.below("warning: " + c.Warning)
		}
		if diffs && c.Action == "updated" {
			for line := range strings.Lines(strings.TrimRight(c.Diff, "\n")) {
				t.below(strings.TrimRight(line, "\n"))
			}
		}
	}
	t.flush()
}

func (p *program) migrate() *cobra.Command {
	c := &cobra.Command{
		Use: "migrate", Short: "Move the database schema up or down",
		Example: "  statek migrate status\n  statek migrate up --database-url postgres://statek@db/statek",
	}
	c.AddCommand(
		p.migrateCommand("up", "Apply every migration that the database lacks", "", cobra.NoArgs,
			func(ctx context.Context, url string, log config.Logging, _ []string) error {
				return app.Migrate(ctx, url, log.Logger(p.stderr))
			}),
		p.migrateCommand("down [N]", "Take back the last N migrations (default 1). It drops what they made.", " 1", cobra.MaximumNArgs(1),
			func(ctx context.Context, url string, _ config.Logging, args []string) error {
				steps := 1
				if len(args) == 1 {
					n, err := strconv.Atoi(args[0])
					if err != nil || n < 1 {
						return misuse("expected N to be a whole number of at least 1, got %q", args[0])
					}
					steps = n
				}
				return app.MigrateDown(ctx, url, steps)
			}),
		p.migrateCommand("status", "List migrations and whether they are applied", "", cobra.NoArgs,
			func(ctx context.Context, url string, _ config.Logging, _ []string) error {
				list, err := app.MigrationStatus(ctx, url)
				if err != nil {
					return err
				}
				t := newTable(p.stdout, "SCHEMA", "VERSION", "NAME", "APPLIED")
				for _, m := range list {
					t.row(m.Schema, strconv.Itoa(m.Version), m.Name, map[bool]string{true: "yes", false: "no"}[m.Applied])
				}
				return t.flush()
			}),
	)
	return c
}

func (p *program) migrateCommand(use, short, example string, args cobra.PositionalArgs, do func(context.Context, string, config.Logging, []string) error) *cobra.Command {
	var url string
	var log config.Logging
	name, _, _ := strings.Cut(use, " ")
	return p.command(&cobra.Command{
		Use: use, Short: short, Args: args, Example: "  statek migrate " + name + example,
	}, func(s *config.Set) {
		s.DatabaseURL(&url, true)
		log.Bind(s)
	}, func(ctx context.Context, args []string) error { return do(ctx, url, log, args) })
}
