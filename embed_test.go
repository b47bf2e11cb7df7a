package statek_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"testing/fstest"
	"time"

	"statek"
	"statek/internal/pgtest"
)

func TestMain(m *testing.M) {
	statek.SandboxMain()
	pgtest.Main(m)
}

// A program that embeds Statek: one agent, one Go tool, one worker.
func TestEmbeddedProgram(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	quiet := slog.New(slog.DiscardHandler)
	client, err := statek.Open(ctx, statek.Config{DatabaseURL: pgtest.URL(t), Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()

	lookup := statek.Tool{
		Name:        "price",
		Description: "The price of an article in cents.",
		Params:      []statek.Param{{Name: "article", Type: "string"}},
		Call: func(_ context.Context, call statek.ToolCall) (any, error) {
			var article string
			if err := call.Arg("article", &article); err != nil {
				return nil, err
			}
			return map[string]any{"article": article, "cents": 1250, "keyed": call.Key != ""}, nil
		},
	}
	if err := client.Define(ctx, "/", lookup); err != nil {
		t.Fatal(err)
	}
	definitions := fstest.MapFS{
		"agents/seller.md":        {Data: []byte("# MODEL: any\n# System Prompt\nYou sell.\n")},
		"agents/seller.warmup.js": {Data: []byte("const p = await price(article)\nexit(`${p.article}: ${p.cents} ${p.keyed}`)\n")},
	}
	if err := client.Apply(ctx, definitions, "/shop"); err != nil {
		t.Fatal(err)
	}

	worker, err := statek.NewWorker(client, statek.WorkerConfig{Tools: []statek.Tool{lookup}, Grace: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	working, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- worker.Run(working) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()

	job, err := client.Submit(ctx, "seller", statek.Submission{Prefix: "/shop/eu", SharedVars: map[string]any{"article": "tea"}})
	if err != nil {
		t.Fatal(err)
	}
	job, err = client.Wait(ctx, job.ID, 20*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(job.Status, " ", job.Outcome, " ", string(job.Result)), `DONE succeeded "tea: 1250 true"`; got != want {
		t.Errorf("job = %s (%s), want %s", got, job.Error, want)
	}
}
