package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"statek/internal/config"
)

// health asks a health address, for containers that have no other program to do so.
func (p *program) health() *cobra.Command {
	timeout := 3 * time.Second
	return p.command(&cobra.Command{
		Use:   "health URL",
		Short: "Ask a health address and fail unless it says yes",
		Example: "  statek health http://127.0.0.1:8080/readyz\n" +
			"  statek health http://127.0.0.1:8081/healthz",
		Args: cobra.ExactArgs(1),
	}, func(s *config.Set) {
		s.Duration(&timeout, "timeout", "", timeout, "how long the answer may take")
	}, func(ctx context.Context, args []string) error {
		ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("no answer within %s", timeout))
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, args[0], nil)
		if err != nil {
			return misuse("expected URL to be an address such as http://127.0.0.1:8080/readyz, got %q", args[0])
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return fmt.Errorf("ask %s: %w", args[0], err)
		}
		defer func() { _ = res.Body.Close() }()
		body, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
		if err != nil {
			return fmt.Errorf("read the answer of %s: %w", args[0], err)
		}
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("%s answers %s: %s", args[0], res.Status, body)
		}
		_, err = fmt.Fprintln(p.stdout, "healthy")
		return err
	})
}
