package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"statek/internal/config"
	"statek/internal/httpapi"
)

// program is what all commands share.
type program struct {
	env            []string
	stdin          io.Reader
	stdout, stderr io.Writer
	data           string
	began          bool // a command began: what fails now is not how it was called
}

func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "statek",
		Short: "Durable agent jobs on PostgreSQL",
		Long: "statek runs a development server, and talks to a Statek API and its database.\n\n" +
			"Commands find the API and the database by --url and --database-url, else STATEK_URL and DATABASE_URL,\n" +
			"else the file env in the data folder, which `statek dev` writes.",
		Example: "  statek dev --definitions examples/triage\n" +
			"  statek submit triage_agent --var event='{\"subject\":\"Invoice total looks wrong\"}' --follow\n" +
			"  statek ls --status SUSPENDED",
		SilenceUsage: true, SilenceErrors: true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return &usageError{config.Suggest(c.Flags(), err)}
	})
	data := config.EnvOf(p.env).Get("STATEK_DATA")
	if data == "" {
		data = ".statek"
	}
	root.PersistentFlags().StringVar(&p.data, "data", data, "the data folder of `statek dev` (or STATEK_DATA)")
	root.PersistentFlags().Lookup("data").DefValue = ".statek"
	root.AddCommand(p.dev(), p.submit(), p.list(), p.show(), p.logs(), p.vars(), p.explain(), p.push(), p.emit(), p.approvals(), p.decide(),
		p.control("cancel", "Cancel a job"), p.control("pause", "Pause a job"), p.control("resume", "Resume a job that is paused, failed or cancelled"),
		p.objects(), p.retention(), p.limits(), p.limit(), p.agents(), p.apply(), p.migrate(), p.doctor(), p.health(), p.version())
	return root
}

// command completes c: bind adds its settings, which are resolved before do runs.
func (p *program) command(c *cobra.Command, bind func(*config.Set), do func(ctx context.Context, args []string) error) *cobra.Command {
	set := config.NewSet(c.Flags(), config.EnvOf(p.env))
	c.Flags().SortFlags = false
	bind(set)
	if check := c.Args; check != nil {
		c.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return misuse("expected `statek %s`, got %d arguments", c.Use, len(args))
			}
			return nil
		}
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		p.began = true
		var file map[string]string
		if c.Name() != "dev" { // it makes the file, and an old one must not send it to a database that is gone
			var err error
			if file, err = config.ReadFile(filepath.Join(p.data, "env")); err != nil {
				return err
			}
		}
		if err := set.Resolve(file); err != nil {
			return &usageError{err}
		}
		return do(cmd.Context(), args)
	}
	return c
}

// remote completes a command that asks the API.
func (p *program) remote(c *cobra.Command, bind func(*config.Set), do func(ctx context.Context, api *httpapi.Client, args []string) error) *cobra.Command {
	var address string
	return p.command(c, func(s *config.Set) {
		bind(s)
		s.APIURL(&address)
	}, func(ctx context.Context, args []string) error {
		api, err := httpapi.NewClient(address)
		if err != nil {
			return err
		}
		return do(ctx, api, args)
	})
}

// aboutJob completes a command whose first argument is a job.
func (p *program) aboutJob(c *cobra.Command, bind func(*config.Set), do func(ctx context.Context, api *httpapi.Client, id uuid.UUID, args []string) error) *cobra.Command {
	return p.remote(c, bind, func(ctx context.Context, api *httpapi.Client, args []string) error {
		id, err := jobID(args[0])
		if err != nil {
			return err
		}
		return do(ctx, api, id, args[1:])
	})
}

func jobID(text string) (uuid.UUID, error) {
	id, err := uuid.Parse(text)
	if err != nil || len(text) != 36 {
		return uuid.Nil, misuse("expected ID to be the whole id of a job, 36 characters as `statek ls` shows them, got %q", text)
	}
	return id, nil
}

func nothing(*config.Set) {}

func (p *program) version() *cobra.Command {
	return p.command(&cobra.Command{
		Use: "version", Short: "Print the version", Example: "  statek version", Args: cobra.NoArgs,
	}, nothing, func(context.Context, []string) error {
		_, err := fmt.Fprintf(p.stdout, "statek %s\n", config.Version())
		return err
	})
}
