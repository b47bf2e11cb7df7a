package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"statek/internal/app"
	"statek/internal/jsvm"
	"statek/internal/providers"
)

// diary collects what a worker logs.
type diary struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (d *diary) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.text.Write(p)
}

func (d *diary) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.text.String()
}

// TestAToolThatPanics fails its call and nothing else: the worker goes on, and code can catch the error. Whether the tool has had its
// effect before is not known.
func TestAToolThatPanics(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		once bool
		want string
	}{
		"again at any time": {false, `"ToolError undefined: ask: panic: assignment to entry in nil map"`},
		"once":              {true, `"UnknownOutcomeError unknown_outcome: `},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKit(t, files{
				"agents/a.md": simpleAgent, "agents/a.warmup.js": askWarmup, "agents/b.md": simpleAgent, "agents/b.warmup.js": "await sleep(20); exit('well')",
			})
			k.must(k.DefineTools(t.Context(), "/", []app.ToolDefinition{{Name: "ask", Once: c.once}}))
			var said diary
			k.work(func(w *app.WorkerConfig) {
				w.Logger = slog.New(slog.NewTextHandler(&said, nil))
				w.Tools = map[string]app.GoTool{"ask": tool(func() (json.RawMessage, error) {
					var m map[string]int
					m["x"] = 1 //nolint:staticcheck // panics
					return nil, nil
				})}
			})
			if job := k.ended(k.submit("a", nil).ID); !strings.HasPrefix(string(job.Result), c.want) {
				k.dump(job.ID)
				t.Errorf("result = %s (%s), want %s", job.Result, job.BlockedWhy, c.want)
			}
			if job := k.ended(k.submit("b", nil).ID); string(job.Result) != `"well"` {
				t.Errorf("the next job: %s %s", job.Status, job.Result)
			}
			if !strings.Contains(said.String(), "Go tool ask panicked") || !strings.Contains(said.String(), "panic_test.go") {
				t.Errorf("the log lacks the tool or its stack:\n%s", said.String())
			}
		})
	}
}

// startled is a provider that panics.
type startled struct{}

// Name implements providers.Provider.
func (s startled) Name() string { return "STARTLED" }

// Complete implements providers.Provider.
func (s startled) Complete(context.Context, providers.Request) (providers.Reply, error) {
	panic("boo")
}

// TestAProviderThatPanics pauses its job, which says why; others go on.
func TestAProviderThatPanics(t *testing.T) {
	t.Parallel()
	k := newKit(t, files{"agents/a.md": strings.Replace(simpleAgent, "scripted//test", "startled//test", 1), "agents/b.md": simpleAgent, "agents/b.warmup.js": "exit('well')"})
	reg, err := providers.NewRegistry(map[string]providers.Provider{"startled": startled{}}, "startled")
	k.must(err)
	k.work(func(w *app.WorkerConfig) { w.Providers, w.Logger = reg, slog.New(slog.DiscardHandler) })
	job := k.ended(k.submit("a", nil).ID)
	if job.Status != "PAUSED" || !strings.Contains(job.BlockedWhy, "panic; the worker's log") {
		k.dump(job.ID)
		t.Errorf("%s: %s", job.Status, job.BlockedWhy)
	}
	if job := k.ended(k.submit("b", nil).ID); string(job.Result) != `"well"` {
		t.Errorf("the next job: %s %s", job.Status, job.Result)
	}
}

// brittle is a machine that panics over a variable.
type brittle struct{ jsvm.Machine }

// Open implements jsvm.Machine.
func (b brittle) Open(ctx context.Context, setup jsvm.Setup) (jsvm.Session, error) {
	for _, v := range setup.Variables {
		if v.Name == "boo" {
			panic("boo")
		}
	}
	return b.Machine.Open(ctx, setup)
}

// TestARunThatPanics pauses its job, wherever it is: rung by others, submitted here and computed ahead, or woken.
func TestARunThatPanics(t *testing.T) {
	t.Parallel()
	k := newKitOn(t, brittle{jsvm.NewInProcess()}, files{
		"agents/a.md": simpleAgent, "agents/a.warmup.js": "exit('well')",
		"agents/s.md": simpleAgent, "agents/s.warmup.js": "await event('go')",
	})
	boo := map[string]any{"boo": 1}
	ids := map[string]uuid.UUID{"rung": k.submit("a", boo).ID}
	k.work(func(w *app.WorkerConfig) { w.Logger = slog.New(slog.DiscardHandler) })
	k.ended(ids["rung"])
	ids["submitted here"] = k.submit("a", boo).ID
	asleep := k.submit("s", nil).ID
	k.is("select status = 'SUSPENDED' and owner is null from statek.job_state where job_id = $1", asleep)
	k.exec("insert into statek.variables (job_id, name, cell_from, value, type, bytes) values ($1, 'boo', 0, '1', 'number', 1)", asleep)
	_, _, err := k.Emit(t.Context(), "/", "go", "", nil)
	k.must(err)
	ids["woken"] = asleep
	for way, id := range ids {
		job := k.ended(id)
		if job.Status != "PAUSED" || !strings.Contains(job.BlockedWhy, "internal error: panic; the worker's log") {
			k.dump(id)
			t.Errorf("%s: %s: %s", way, job.Status, job.BlockedWhy)
		}
	}
	if job := k.ended(k.submit("a", nil).ID); string(job.Result) != `"well"` {
		t.Errorf("the next job: %s %s", job.Status, job.Result)
	}
}
