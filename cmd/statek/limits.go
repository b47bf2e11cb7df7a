package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"statek/internal/app"
	"statek/internal/config"
	"statek/internal/httpapi"
)

func (p *program) limits() *cobra.Command {
	var prefix string
	return p.remote(&cobra.Command{
		Use: "limits", Short: "Show how many jobs run at once, and how many may", Args: cobra.NoArgs,
		Long:    "limits shows the limits of agents (their CONCURRENCY line) and of prefixes, at, above and below a prefix.",
		Example: "  statek limits\n  statek limits --prefix /acme",
	}, func(s *config.Set) {
		s.Text(&prefix, "prefix", "", "/", "at, above and below this prefix")
	}, func(ctx context.Context, api *httpapi.Client, _ []string) error {
		list, err := api.Limits(ctx, prefix)
		if err != nil {
			return err
		}
		return p.printLimits(list)
	})
}

func (p *program) limit() *cobra.Command {
	return p.remote(&cobra.Command{
		Use: "limit PREFIX NUMBER|off", Short: "Say how many jobs of a prefix run at once", Args: cobra.ExactArgs(2),
		Long: "limit lets at most so many jobs at the prefix and below run at once, over all workers. The others are parked and served fairly.\n" +
			"Jobs that run go on. An agent is limited in its definition, by a line such as # CONCURRENCY: 5.",
		Example: "  statek limit /acme 20\n  statek limit /acme off",
	}, func(*config.Set) {}, func(ctx context.Context, api *httpapi.Client, args []string) error {
		limit := httpapi.PrefixLimit{Prefix: args[0]}
		if args[1] != "off" {
			n, err := strconv.Atoi(args[1])
			if err != nil {
				return fmt.Errorf("expected a whole number of jobs, or off, got %q", args[1])
			}
			limit.Concurrency = &n
		}
		list, err := api.SetPrefixLimit(ctx, limit)
		if err != nil {
			return err
		}
		return p.printLimits(list)
	})
}

func (p *program) printLimits(list []app.Limit) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(p.stdout, "no limits")
		return err
	}
	t := newTable(p.stdout, "PREFIX", "AGENT", "RUN", "OF", "PARKED")
	for _, l := range list {
		t.row(l.Prefix, l.Agent, strconv.Itoa(l.Running), strconv.Itoa(l.Concurrency), strconv.Itoa(l.Parked))
	}
	return t.flush()
}
