package main

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"statek/internal/app"
	"statek/internal/config"
	"statek/internal/httpapi"
)

const jsonUsage = "print JSON"

func (p *program) list() *cobra.Command {
	var f app.ListFilter
	var asJSON bool
	c := p.remote(&cobra.Command{
		Use: "ls", Short: "List jobs, the newest first", Args: cobra.NoArgs,
		Example: "  statek ls --status SUSPENDED --agent triage_agent\n  statek ls --prefix /acme --blocked-on pickNextTask --json",
	}, func(s *config.Set) {
		s.Text(&f.Status, "status", "", "", "READY, WARMING_UP, STARTED, SUSPENDED, PAUSED or DONE")
		s.Text(&f.Agent, "agent", "", "", "of this agent")
		s.Text(&f.Prefix, "prefix", "", "", "at this prefix and below")
		s.Text(&f.Tag, "tag", "", "", "with this tag")
		s.Text(&f.Source, "source", "", "", "from this source")
		s.Text(&f.BlockedOn, "blocked-on", "", "", "that wait for this")
		s.Text(&f.Cursor, "cursor", "", "", "go on where a page ended")
		s.Count(&f.Limit, "limit", "", 50, "how many, at most 500")
	}, func(ctx context.Context, api *httpapi.Client, _ []string) error {
		f.Status = strings.ToUpper(f.Status)
		page, err := api.Jobs(ctx, f)
		if err != nil {
			return err
		}
		if asJSON {
			return p.printJSON(page)
		}
		return p.printJobs(page)
	})
	c.Flags().BoolVar(&asJSON, "json", false, jsonUsage)
	return c
}

func (p *program) show() *cobra.Command {
	var asJSON bool
	c := p.aboutJob(&cobra.Command{
		Use: "show ID", Short: "Show a job", Args: cobra.ExactArgs(1),
		Example: "  statek show 01993e80-6c5e-7cc4-b5d5-0d3c0a3f6a11",
	}, nothing, func(ctx context.Context, api *httpapi.Client, id uuid.UUID, _ []string) error {
		job, err := api.Job(ctx, id, 0)
		if err != nil {
			return err
		}
		if asJSON {
			return p.printJSON(job)
		}
		return p.printJob(job)
	})
	c.Flags().BoolVar(&asJSON, "json", false, jsonUsage)
	return c
}

func (p *program) logs() *cobra.Command {
	var follow, asJSON bool
	c := p.aboutJob(&cobra.Command{
		Use: "logs ID", Short: "Show a job's history", Args: cobra.ExactArgs(1),
		Long:    "logs prints one line per row of the job's history; what code printed stands indented below its line.",
		Example: "  statek logs 01993e80-6c5e-7cc4-b5d5-0d3c0a3f6a11\n  statek logs -f 01993e80-6c5e-7cc4-b5d5-0d3c0a3f6a11",
	}, nothing, func(ctx context.Context, api *httpapi.Client, id uuid.UUID, _ []string) error {
		show := p.printRow
		if asJSON {
			show = func(row app.HistoryRow) error { return p.printJSONLine(row) }
		}
		if follow {
			err := api.Follow(ctx, id, 0, show)
			if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
				return nil // a person has seen enough
			}
			return err
		}
		return allHistory(ctx, api, id, show)
	})
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on until the job is done")
	c.Flags().BoolVar(&asJSON, "json", false, "print each row as a line of JSON")
	return c
}

func allHistory(ctx context.Context, api *httpapi.Client, id uuid.UUID, show func(app.HistoryRow) error) error {
	for after := int64(0); ; {
		page, err := api.History(ctx, id, after)
		if err != nil {
			return err
		}
		for _, row := range page.History {
			if err := show(row); err != nil {
				return err
			}
		}
		if page.Next == 0 {
			return nil
		}
		after = page.Next
	}
}

func (p *program) vars() *cobra.Command {
	var cell string
	var asJSON bool
	c := p.aboutJob(&cobra.Command{
		Use: "vars ID", Short: "Show a job's workspace variables", Args: cobra.ExactArgs(1),
		Example: "  statek vars 01993e80-6c5e-7cc4-b5d5-0d3c0a3f6a11 --cell 2",
	}, func(s *config.Set) {
		s.Text(&cell, "cell", "", "", "as they were at the end of this cell (default: now)")
	}, func(ctx context.Context, api *httpapi.Client, id uuid.UUID, _ []string) error {
		var at *int
		if cell != "" {
			n, err := strconv.Atoi(cell)
			if err != nil || n < 0 {
				return misuse("expected --cell to be a cell's number, got %q", cell)
			}
			at = &n
		}
		list, err := api.Variables(ctx, id, at)
		if err != nil {
			return err
		}
		if asJSON {
			return p.printJSON(list)
		}
		return p.printVariables(list)
	})
	c.Flags().BoolVar(&asJSON, "json", false, jsonUsage)
	return c
}

func (p *program) explain() *cobra.Command {
	var asJSON bool
	c := p.aboutJob(&cobra.Command{
		Use: "explain ID", Short: "Explain why a job is where it is", Args: cobra.ExactArgs(1),
		Example: "  statek explain 01993e80-6c5e-7cc4-b5d5-0d3c0a3f6a11",
	}, nothing, func(ctx context.Context, api *httpapi.Client, id uuid.UUID, _ []string) error {
		explanation, err := api.Explain(ctx, id)
		if err != nil {
			return err
		}
		if asJSON {
			return p.printJSON(explanation)
		}
		return p.printExplanation(explanation)
	})
	c.Flags().BoolVar(&asJSON, "json", false, jsonUsage)
	return c
}

func (p *program) agents() *cobra.Command {
	var prefix string
	var asJSON bool
	c := p.remote(&cobra.Command{
		Use: "agents", Short: "List agents", Args: cobra.NoArgs, Example: "  statek agents --prefix /acme/triage",
	}, func(s *config.Set) {
		s.Text(&prefix, "prefix", "", "/", "that this prefix sees")
	}, func(ctx context.Context, api *httpapi.Client, _ []string) error {
		list, err := api.Agents(ctx, prefix)
		if err != nil {
			return err
		}
		if asJSON {
			return p.printJSON(list)
		}
		return p.printAgents(list)
	})
	c.Flags().BoolVar(&asJSON, "json", false, jsonUsage)
	return c
}
