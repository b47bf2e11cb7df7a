package store_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"statek/internal/pgtest"
	"statek/internal/store"
)

// TestCallsInARowInEveryMode: whatever the driver keeps of statements, and through a pooler, each call commits alone, and one that fails
// takes nothing with it.
func TestCallsInARowInEveryMode(t *testing.T) {
	t.Parallel()
	direct := func(t testing.TB, url string) string { t.Helper(); return url }
	for name, c := range map[string]struct {
		mode  pgx.QueryExecMode
		reach func(t testing.TB, url string) string
	}{
		"described": {pgx.QueryExecModeCacheDescribe, direct},
		"executed":  {pgx.QueryExecModeExec, direct},
		"pooled":    {pgx.QueryExecModeCacheDescribe, pgtest.Bouncer},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k, h := toolKit(t)
			pool := pgtest.Pool(t, c.reach(t, k.url), func(cfg *pgxpool.Config) {
				cfg.ConnConfig.DefaultQueryExecMode, cfg.ConnConfig.StatementCacheCapacity = c.mode, 0
				cfg.MaxConns = 8 // the least of which one is for calls that begin
			})
			k.store = store.New(pool, nil, time.Now)
			call := h.note("one")
			for _, text := range []string{"two", "three", "one", "four"} {
				next := h.note(text)
				value, err := h.run(call, &next)
				if err != nil {
					t.Fatalf("before %q: %s, %v", text, value, err)
				}
				if begun, want := call.Chain.Begun != nil, text == "two" || text == "three"; begun != want { // one fails, and four follows a failure
					t.Errorf("%q is begun: %t, want %t", text, begun, want)
				}
				next.Begun = call.Chain.Begun
				call = next
			}
			if value, err := h.run(call, nil); err != nil || value != `"four"` {
				t.Errorf("the last call: %s, %v", value, err)
			}
			if n, held := k.notes(), pool.Stat().AcquiredConns(); n != 4 || held != 0 {
				t.Errorf("%d notes and %d connections held, want 4 and none", n, held)
			}
		})
	}
}
