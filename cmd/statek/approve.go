package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"statek/internal/app"
	"statek/internal/config"
	"statek/internal/httpapi"
)

func (p *program) approvals() *cobra.Command {
	var f app.ApprovalFilter
	var asJSON bool
	c := p.remote(&cobra.Command{
		Use: "approvals", Short: "List what jobs ask people, the newest first", Args: cobra.NoArgs,
		Example: "  statek approvals --assignee ada\n  statek approvals --status decided --prefix /acme --json",
	}, func(s *config.Set) {
		s.Choice(&f.Status, "status", "", "pending", "pending, decided, expired, withdrawn or all", "pending", "decided", "expired", "withdrawn", "all")
		s.Text(&f.Assignee, "assignee", "", "", "assigned to this person")
		s.Text(&f.Prefix, "prefix", "", "", "of jobs at this prefix and below")
		s.Text(&f.Cursor, "cursor", "", "", "go on where a page ended")
		s.Count(&f.Limit, "limit", "", 50, "how many, at most 500")
	}, func(ctx context.Context, api *httpapi.Client, _ []string) error {
		if f.Status == "all" {
			f.Status = ""
		}
		page, err := api.Approvals(ctx, f)
		if err != nil {
			return err
		}
		if asJSON {
			return p.printJSON(page)
		}
		return p.printApprovals(page)
	})
	c.Flags().BoolVar(&asJSON, "json", false, jsonUsage)
	return c
}

func (p *program) printApprovals(page app.ApprovalPage) error {
	t := newTable(p.stdout, "ID", "STATUS", "ASSIGNEE", "QUESTION", "ANSWERS")
	for _, q := range page.Approvals {
		var answers []string
		for _, o := range q.Options {
			answers = append(answers, o.Value)
		}
		if q.FreeText {
			answers = append(answers, "(text)")
		}
		t.row(q.ID.String(), q.Status, q.Assignee, shortened(q.Title, 60), strings.Join(answers, ", "))
		if q.DecidedBy != "" {
			t.below(fmt.Sprintf("%s: %s", q.DecidedBy, shortened(string(q.Decision), 120)))
		}
	}
	if err := t.flush(); err != nil {
		return err
	}
	if page.Next != "" {
		_, err := fmt.Fprintf(p.stdout, "more: --cursor %s\n", page.Next)
		return err
	}
	return nil
}

func (p *program) decide() *cobra.Command {
	var option, text, args, comment, by string
	return p.remote(&cobra.Command{
		Use: "decide ID", Short: "Answer an approval", Args: cobra.ExactArgs(1),
		Long: "decide answers what a job has asked. The first answer counts.",
		Example: "  statek decide 01993e80-6c5e-7cc4-b5d5-0d3c0a3f6a11 --option approve --comment 'fine by me'\n" +
			"  statek decide 01993e80-6c5e-7cc4-b5d5-0d3c0a3f6a11 --option approve --args '{\"amount\":100}' --by ada",
	}, func(s *config.Set) {
		s.Text(&option, "option", "", "", "the value of one of the options")
		s.Text(&text, "text", "", "", "free text, where it is allowed")
		s.Text(&args, "args", "", "", "JSON or @file: other arguments than those proposed")
		s.Text(&comment, "comment", "", "", "for the job and the history")
		s.Text(&by, "by", "", "", "who decides; default: $USER")
	}, func(ctx context.Context, api *httpapi.Client, given []string) error {
		id, err := uuid.Parse(given[0])
		if err != nil || len(given[0]) != 36 {
			return misuse("expected ID to be the whole id of an approval, 36 characters as `statek approvals` shows them, got %q", given[0])
		}
		if by == "" {
			by = config.EnvOf(p.env).Get("USER")
		}
		if by == "" {
			return misuse("expected --by to say who decides")
		}
		d := httpapi.SignedDecision{By: by}
		d.Option, d.Text, d.Comment = orNil(option), orNil(text), orNil(comment)
		if args != "" {
			raw, err := p.content(args)
			if err != nil {
				return err
			}
			if !json.Valid([]byte(raw)) {
				return misuse("expected --args to be JSON, got %q", shortened(raw, 80))
			}
			d.Args = json.RawMessage(raw)
		}
		q, err := api.Decide(ctx, id, d)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(p.stdout, "%s\n", q.Decision)
		return err
	})
}

// orNil is nil for what was not given.
func orNil(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
