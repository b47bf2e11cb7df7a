package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"

	"github.com/google/uuid"

	"statek/internal/app"
	"statek/internal/config"
	"statek/internal/failpoint"
)

// embedder is the first argument with which this binary is a program that has a worker in it and gives it work itself.
const embedder = "embedder"

// embedderIdle is announced by the embedder before it gives out work.
const embedderIdle failpoint.Point = "embedder.idle"

// embed runs the embedder: its worker works, and when it is told that it may go on it does one thing: "submit ROLE" with an
// idempotency key or without one, or "send JOB".
func embed(args []string) int {
	app.PinUTC()
	logger := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	if err := embedded(context.Background(), args, config.EnvOf(os.Environ()), logger); err != nil {
		logger.Error("embedder failed", slog.String("err", err.Error()))
		return 1
	}
	return 0
}

func embedded(ctx context.Context, args []string, env config.Env, logger *slog.Logger) error {
	a, err := app.Open(ctx, app.Config{DatabaseURL: env.Get("DATABASE_URL"), Logger: logger, Sandbox: app.SandboxInProcess})
	if err != nil {
		return err
	}
	defer a.Close()
	worker, err := app.NewWorker(a, app.WorkerConfig{Environ: env.Get, Failpoints: env.Get(failpoint.Variable)})
	if err != nil {
		return err
	}
	working, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- worker.Run(working) }()
	defer func() { stop(); <-ended }()
	points, err := failpoint.Connect(env.Get(failpoint.Variable), logger)
	if err != nil {
		return err
	}
	points.Worker(embedderIdle)
	switch what, who := args[0], args[1]; what {
	case "submit":
		req := app.SubmitRequest{Role: who, Prefix: "/"}
		if len(args) > 2 {
			req.Idempotency = app.Idempotency{Key: args[2], Request: args[2]}
		}
		job, err := a.Submit(ctx, req)
		if err == nil {
			_, err = a.WaitJob(ctx, job.ID, patience)
		}
		return err
	case "send":
		id, err := uuid.Parse(who)
		if err == nil {
			err = a.SendMessage(ctx, id, json.RawMessage(`{"word":"hi"}`), "")
		}
		if err == nil {
			_, err = a.WaitJob(ctx, id, patience)
		}
		return err
	default:
		return fmt.Errorf("expected submit or send, got %q", what)
	}
}
