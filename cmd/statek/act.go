package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"statek/internal/config"
	"statek/internal/httpapi"
)

func (p *program) push() *cobra.Command {
	var interrupt bool
	c := p.aboutJob(&cobra.Command{
		Use: "push ID TEXT|JSON|@file", Short: "Send a message to a job", Args: cobra.ExactArgs(2),
		Long: "push sends text, or JSON when it is an object, a list or a quoted string. The job sees it at its next turn,\n" +
			"or gets it from a pending message(). A job that succeeded takes it up again.",
		Example: "  statek push 01993e80-6c5e-7cc4-b5d5-0d3c0a3f6a11 'Please look at invoice 4711 first.'\n" +
			"  statek push 01993e80-6c5e-7cc4-b5d5-0d3c0a3f6a11 '{\"approved\":true}' --interrupt",
	}, nothing, func(ctx context.Context, api *httpapi.Client, id uuid.UUID, args []string) error {
		text, err := p.content(args[0])
		if err != nil {
			return err
		}
		payload, err := messagePayload(text)
		if err != nil {
			return err
		}
		message := httpapi.Message{Payload: payload}
		if interrupt {
			message.Mode = "interrupt"
		}
		_, err = api.Send(ctx, id, message)
		return err
	})
	c.Flags().BoolVar(&interrupt, "interrupt", false, "end the current cell and ask the model now")
	return c
}

// messagePayload takes what looks like an object, a list or a quoted string for JSON, and else for text.
func messagePayload(text string) (json.RawMessage, error) {
	trimmed := strings.TrimSpace(text)
	if strings.IndexAny(trimmed, `{["`) == 0 {
		if !json.Valid([]byte(trimmed)) {
			return nil, misuse("the message begins like JSON and is not: %q", shortened(trimmed, 80))
		}
		return json.RawMessage(trimmed), nil
	}
	return json.Marshal(text)
}

func (p *program) control(verb, short string) *cobra.Command {
	var reason string
	return p.aboutJob(&cobra.Command{
		Use: verb + " ID", Short: short, Args: cobra.ExactArgs(1),
		Example: "  statek " + verb + " 01993e80-6c5e-7cc4-b5d5-0d3c0a3f6a11 --reason 'the ticket was withdrawn'",
	}, func(s *config.Set) {
		s.Text(&reason, "reason", "", "", "why, for the history")
	}, func(ctx context.Context, api *httpapi.Client, id uuid.UUID, _ []string) error {
		_, err := api.Control(ctx, id, verb, reason)
		return err
	})
}

func (p *program) emit() *cobra.Command {
	var fact httpapi.Fact
	return p.remote(&cobra.Command{
		Use: "emit NAME [JSON|@file]", Short: "Tell what happened, to jobs that wait for it", Args: cobra.RangeArgs(1, 2),
		Example: "  statek emit invoice.paid '{\"invoice\":4711}' --prefix /acme --key invoice-4711",
	}, func(s *config.Set) {
		s.Text(&fact.Prefix, "prefix", "", "/", "seen by jobs here and below")
		s.Text(&fact.Key, "key", "", "", "the first event of a name and key stays")
	}, func(ctx context.Context, api *httpapi.Client, args []string) error {
		if len(args) == 2 {
			text, err := p.content(args[1])
			if err != nil {
				return err
			}
			if !json.Valid([]byte(text)) {
				return misuse("expected the event's value to be JSON, got %q", shortened(text, 80))
			}
			fact.Payload = json.RawMessage(text)
		}
		taken, err := api.Emit(ctx, args[0], fact)
		if err != nil {
			return err
		}
		if !taken.Created {
			_, err = fmt.Fprintf(p.stdout, "%s with key %s was there before; nothing has changed\n", args[0], fact.Key)
		}
		return err
	})
}
