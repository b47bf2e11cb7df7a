package main

import (
	"context"

	"github.com/spf13/cobra"

	"statek/internal/app"
	"statek/internal/config"
	"statek/internal/httpapi"
)

func (p *program) retention() *cobra.Command {
	var prefix string
	var wish app.RetentionWish
	var asJSON bool
	c := p.remote(&cobra.Command{
		Use: "retention", Short: "Show or say how long ended jobs are kept", Args: cobra.NoArgs,
		Long: "retention shows how long jobs at a prefix are kept after their end, and which prefix says so. With --succeeded, --failed or\n" +
			"--cancelled it changes that: a duration such as 30d or 12h, forever, or inherit (what the prefix above says). It holds for\n" +
			"the prefix and all below it, until one further down says otherwise, and for jobs that have ended already.",
		Example: "  statek retention --prefix /acme\n  statek retention --prefix /acme/audit --succeeded forever --failed forever\n" +
			"  statek retention --prefix /acme/dev --succeeded 12h --failed 3d --cancelled 3d",
	}, func(s *config.Set) {
		s.Text(&prefix, "prefix", "", "/", "where the jobs live")
		s.Text(&wish.Succeeded, "succeeded", "", "", "keep succeeded jobs for so long")
		s.Text(&wish.Failed, "failed", "", "", "keep failed jobs for so long")
		s.Text(&wish.Cancelled, "cancelled", "", "", "keep cancelled jobs for so long")
	}, func(ctx context.Context, api *httpapi.Client, _ []string) error {
		ask := api.Retention
		if wish != (app.RetentionWish{}) {
			ask = func(ctx context.Context, prefix string) (app.Retention, error) {
				return api.SetRetention(ctx, prefix, wish)
			}
		}
		r, err := ask(ctx, prefix)
		if err != nil {
			return err
		}
		if asJSON {
			return p.printJSON(r)
		}
		t := newTable(p.stdout, "OUTCOME", "KEPT", "SAID BY")
		for _, k := range []struct {
			outcome string
			app.Kept
		}{{"succeeded", r.Succeeded}, {"failed", r.Failed}, {"cancelled", r.Cancelled}} {
			from := k.From
			if from == "" {
				from = "default"
			}
			t.row(k.outcome, k.Keep, from)
		}
		return t.flush()
	})
	c.Flags().BoolVar(&asJSON, "json", false, jsonUsage)
	return c
}
