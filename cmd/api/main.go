// Command statek-api serves Statek's REST API.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"statek/internal/app"
	"statek/internal/config"
)

func main() {
	app.SandboxMain()
	app.PinUTC() // cells replay alike wherever they run
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

func run(ctx context.Context, args, env []string, stdout, stderr io.Writer) int {
	cfg, err := config.ParseAPI(args, config.EnvOf(env), stdout)
	switch {
	case errors.Is(err, config.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "statek-api: %v\n", err)
		return 2
	case cfg.Version:
		fmt.Fprintf(stdout, "statek-api %s\n", config.Version())
		return 0
	}
	logger := cfg.Log.Logger(stderr)
	if err := serve(ctx, cfg, logger); err != nil {
		logger.Error("statek-api failed", "err", err)
		return 1
	}
	return 0
}
