package store_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"statek/internal/jobs"
	"statek/internal/pgtest"
	"statek/internal/store"
)

// TestMailInEveryMode: whatever the driver keeps of statements, and through a pooler, mail and its job come in one transaction, and the
// session keeps its plans.
func TestMailInEveryMode(t *testing.T) {
	t.Parallel()
	direct := func(t testing.TB, url string) string { t.Helper(); return url }
	for name, c := range map[string]struct {
		mode  pgx.QueryExecMode
		reach func(t testing.TB, url string) string
	}{
		"prepared":  {pgx.QueryExecModeCacheStatement, direct},
		"described": {pgx.QueryExecModeCacheDescribe, direct},
		"pooled":    {pgx.QueryExecModeCacheDescribe, pgtest.Bouncer},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newJobsKit(t)
			pool := pgtest.Pool(t, c.reach(t, k.url), func(cfg *pgxpool.Config) {
				cfg.ConnConfig.DefaultQueryExecMode, cfg.MaxConns = c.mode, 1
			})
			_, err := pool.Exec(k.ctx, "set plan_cache_mode = force_custom_plan")
			k.must(err)
			s, w := store.New(pool, nil, time.Now), k.worker()
			for n := range 8 { // more often than a statement is planned anew
				job := k.job()
				said := fmt.Sprint(n)
				rec, given, err := s.Put(k.ctx, job, "message", json.RawMessage(said), w)
				if err != nil || !given || rec.Hold != (jobs.Hold{Job: job, Epoch: 1, Owner: w}) || len(rec.Mail) != 1 || string(rec.Mail[0].Payload) != said {
					t.Fatalf("given %v, record %+v, error %v", given, rec, err)
				}
				if _, given, err := s.Put(k.ctx, job, "message", json.RawMessage(said), w); given || err != nil {
					t.Fatalf("again: given %v, error %v", given, err)
				}
				// A statement that fails takes all back: the kind is refused.
				if _, _, err := s.Put(k.ctx, job, "gossip", nil, w); err == nil {
					t.Fatal("mail of no kind was left")
				}
			}
			var plans string
			k.must(pool.QueryRow(k.ctx, "select current_setting('plan_cache_mode')").Scan(&plans))
			if plans != "force_custom_plan" {
				t.Errorf("the session's plan_cache_mode is %s", plans)
			}
		})
	}
}
