package app_test

import (
	"log/slog"
	"strings"
	"sync"
	"testing"

	"statek/internal/app"
)

// TestASleepingJobIsLetGoOnce: once the commit that puts it to sleep has released the job, its run writes no more.
func TestASleepingJobIsLetGoOnce(t *testing.T) {
	t.Parallel()
	k := newKit(t, files{
		"agents/sleeper.md":        "# MODEL: scripted//x\n# System Prompt\nYou help.\n",
		"agents/sleeper.warmup.js": "await sleep(3600e3)\n",
		"agents/hearer.md":         "# MODEL: scripted//x\n# System Prompt\nYou help.\n",
		"agents/hearer.warmup.js":  "await event('never')\n",
	})
	var log lines
	stop := k.work(func(cfg *app.WorkerConfig) { cfg.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	for _, role := range []string{"sleeper", "hearer"} {
		job := k.submit(role, nil)
		k.is("select status = 'SUSPENDED' and owner is null from statek.job_state where job_id = $1", job.ID)
	}
	stop()
	if text := log.String(); !strings.Contains(text, "worker started") || strings.Contains(text, "job dropped") {
		t.Errorf("the worker logged:\n%s", text)
	}
}

// lines keeps what several goroutines write.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
