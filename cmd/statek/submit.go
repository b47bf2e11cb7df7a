package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"statek/internal/app"
	"statek/internal/config"
	"statek/internal/httpapi"
)

func (p *program) submit() *cobra.Command {
	var body httpapi.Submission
	var vars, tags []string
	var warmup, idempotency string
	var follow bool
	c := p.remote(&cobra.Command{
		Use:   "submit ROLE",
		Short: "Submit a job",
		Long:  "submit asks for a job of the agent ROLE and prints its id. With --follow it shows the history as it happens, and fails when the job does.",
		Example: "  statek submit triage_agent --prefix /acme/triage/dev/jobs --var event=@ticket.json --follow\n" +
			"  statek submit triage_agent --var 'queue=\"triage\"' --tag nightly --key ticket-4711",
		Args: cobra.ExactArgs(1),
	}, func(s *config.Set) {
		s.Text(&body.Prefix, "prefix", "", "", "the home of the job (default /)")
		s.Text(&body.Source, "source", "", "cli", "who asks")
		s.Text(&body.Locale, "locale", "", "", "the language people read, such as EN-US")
		s.Text(&body.Key, "key", "", "", "a business key, unique among unfinished jobs")
		s.Text(&body.OnConflict, "on-conflict", "", "", "reject, or existing: the job that has the key")
		s.Text(&warmup, "warmup", "", "", "JavaScript to run before the agent's own, or @file")
		s.Text(&idempotency, "idempotency-key", "", "", "makes a repeated submission harmless")
	}, func(ctx context.Context, api *httpapi.Client, args []string) error {
		var err error
		if body.SharedVars, err = p.variables(vars); err != nil {
			return err
		}
		if body.Warmup, err = p.content(warmup); err != nil {
			return err
		}
		body.Tags = tags
		job, err := api.Submit(ctx, args[0], idempotency, body)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(p.stdout, job.ID); err != nil || !follow {
			return err
		}
		return p.followJob(ctx, api, job.ID)
	})
	c.Flags().StringArrayVar(&vars, "var", nil, "a shared variable, name=JSON or name=@file; may be repeated")
	c.Flags().StringArrayVar(&tags, "tag", nil, "a label; may be repeated")
	c.Flags().BoolVarP(&follow, "follow", "f", false, "show what happens until the job is done")
	return c
}

// variables reads name=JSON and name=@file.
func (p *program) variables(items []string) (map[string]json.RawMessage, error) {
	vars := map[string]json.RawMessage{}
	for _, item := range items {
		name, text, ok := strings.Cut(item, "=")
		if !ok || name == "" {
			return nil, misuse("expected --var to be name=JSON or name=@file, got %q", item)
		}
		value, err := p.content(text)
		if err != nil {
			return nil, err
		}
		if !json.Valid([]byte(value)) {
			return nil, misuse("expected --var %s to be JSON (text needs quotes: '%s=\"text\"'), got %q", name, name, shortened(value, 80))
		}
		vars[name] = json.RawMessage(value)
	}
	return vars, nil
}

// content is the text, or the file it names with @; @- is the standard input.
func (p *program) content(text string) (string, error) {
	path, isFile := strings.CutPrefix(text, "@")
	if !isFile {
		return text, nil
	}
	if path == "-" {
		content, err := io.ReadAll(p.stdin)
		return string(content), err
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return "", &usageError{err}
	}
	return string(content), nil
}

// followJob shows a job until it is done, or paused and waiting for a person, and fails unless it succeeded.
func (p *program) followJob(ctx context.Context, api *httpapi.Client, id uuid.UUID) error {
	err := api.Follow(ctx, id, 0, func(row app.HistoryRow) error {
		if err := p.printRow(row); err != nil {
			return err
		}
		if row.Kind == "paused" {
			return errPaused
		}
		return nil
	})
	switch {
	case errors.Is(err, errPaused):
		fmt.Fprintf(p.stderr, "statek: the job is paused; `statek resume %s` continues it\n", id)
		return errSaid
	case ctx.Err() != nil:
		fmt.Fprintf(p.stderr, "statek: the job goes on; `statek logs -f %s` follows it\n", id)
		return errSaid
	case err != nil:
		return err
	}
	job, err := api.Job(ctx, id, 0)
	if err != nil {
		return err
	}
	if job.Outcome == "succeeded" {
		return nil
	}
	fmt.Fprintf(p.stderr, "statek: the job %s: %s\n", job.Outcome, orNone(job.Error, "no reason was given"))
	return errSaid
}

var errPaused = errors.New("paused")
