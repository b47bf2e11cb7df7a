package migrations_test

import (
	"context"
	"io/fs"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"statek/internal/pgtest"
	"statek/internal/queue"
	"statek/migrations"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var quiet = slog.New(slog.DiscardHandler)

// TestUpDownUp steps every file up, down and up again: down leaves nothing behind, and up is repeatable.
func TestUpDownUp(t *testing.T) {
	t.Parallel()
	pool := pgtest.DB(t, pgtest.Bare)
	if err := queue.Migrate(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	names, err := fs.Glob(migrations.FS, "*.up.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, up := range names {
		down := strings.TrimSuffix(up, ".up.sql") + ".down.sql"
		before := dump(t, pool)
		run(t, pool, up)
		first := dump(t, pool)
		run(t, pool, down)
		if diff := cmp.Diff(before, dump(t, pool)); diff != "" {
			t.Errorf("%s does not undo its up file (-before +after):\n%s", down, diff)
		}
		run(t, pool, up)
		if diff := cmp.Diff(first, dump(t, pool)); diff != "" {
			t.Errorf("%s gives something else the second time (-first +second):\n%s", up, diff)
		}
	}
}

func TestReplicasStartTogether(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t, pgtest.Bare)
	var g errgroup.Group
	for range 4 {
		g.Go(func() error { return pgtest.Migrate(t.Context(), url) })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := applied(t, url); len(got) == 0 || !got[len(got)-1].Applied {
		t.Errorf("not everything is applied: %v", got)
	}
}

func TestDownAndStatus(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	all := applied(t, url)
	if err := migrations.Down(t.Context(), url, 1); err != nil {
		t.Fatal(err)
	}
	want := append([]migrations.Migration{}, all...)
	want[len(want)-1].Applied = false
	if diff := cmp.Diff(want, applied(t, url)); diff != "" {
		t.Errorf("after one step down (-want +got):\n%s", diff)
	}
	if err := migrations.Down(t.Context(), url, -1); err != nil {
		t.Fatal(err)
	}
	for _, m := range applied(t, url) {
		if m.Applied {
			t.Errorf("%s is still applied", m.Name)
		}
	}
	if err := migrations.Up(t.Context(), url, quiet); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(all, applied(t, url)); diff != "" {
		t.Errorf("after going up again (-want +got):\n%s", diff)
	}
}

// TestRefusedMigrationCanBeRepeated: River's tables are missing, so a file fails; once they are there, the
// next start succeeds without anyone mending a "dirty" version.
func TestRefusedMigrationCanBeRepeated(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t, pgtest.Bare)
	pool := pgtest.Pool(t, url)
	exec(t, pool, "create schema statek; create table statek.prefixes (in_the_way text)")
	if err := migrations.Up(t.Context(), url, quiet); err == nil || !strings.Contains(err.Error(), "000001_jobs") {
		t.Fatalf("got %v, want an error that names 000001_jobs", err)
	}
	exec(t, pool, "drop schema statek cascade")
	if err := pgtest.Migrate(t.Context(), url); err != nil {
		t.Fatalf("the second start failed: %v", err)
	}
}

func TestDirtyVersionIsExplained(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	exec(t, pgtest.Pool(t, url), "update public.statek_migrations set dirty = true")
	err := migrations.Up(t.Context(), url, quiet)
	if err == nil || !strings.Contains(err.Error(), "set dirty = false") {
		t.Errorf("got %v, want an error that says how to go on", err)
	}
}

func TestNewerDatabaseIsLeftAlone(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	exec(t, pgtest.Pool(t, url), "update public.statek_migrations set version = 900000")
	var log strings.Builder
	if err := migrations.Up(t.Context(), url, slog.New(slog.NewTextHandler(&log, nil))); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "newer than this program") {
		t.Errorf("the log says nothing of it: %s", log.String())
	}
}

func TestCancelledWhileWaiting(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t, pgtest.Bare)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	if _, err := conn.Exec(t.Context(), "select pg_advisory_lock(x'73746174656b6d67'::bigint)"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- migrations.Up(ctx, url, quiet) }()
	waitUntil(t, conn, "select exists (select from pg_stat_activity where datname = current_database() and wait_event = 'advisory')")
	cancel()
	if err := <-result; err == nil {
		t.Error("got no error")
	}
}

func applied(t *testing.T, url string) []migrations.Migration {
	t.Helper()
	got, err := migrations.Status(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func run(t *testing.T, pool *pgxpool.Pool, file string) {
	t.Helper()
	sql, err := fs.ReadFile(migrations.FS, file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(t.Context(), string(sql)); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// dump describes everything in schema statek as lines of text.
func dump(t *testing.T, pool *pgxpool.Pool) []string {
	t.Helper()
	rows, err := pool.Query(t.Context(), `
		with s as (select oid from pg_namespace where nspname = 'statek')
		select format('column %s.%s %s %s default %s, identity %s, compression %s', c.relname, a.attname,
				format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid), a.attidentity, a.attcompression)
			from pg_class c join s on c.relnamespace = s.oid join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
			left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
			where c.relkind in ('r', 'p', 'v')
		union all select format('relation %s %s %s %s %s', c.relkind, c.relname, c.reloptions, c.relacl, pg_get_expr(c.relpartbound, c.oid))
			from pg_class c join s on c.relnamespace = s.oid
		union all select format('constraint %s %s %s', c.conrelid::regclass, c.conname, pg_get_constraintdef(c.oid))
			from pg_constraint c join s on c.connamespace = s.oid
		union all select pg_get_indexdef(c.oid) from pg_class c join s on c.relnamespace = s.oid where c.relkind in ('i', 'I')
		union all select pg_get_viewdef(c.oid) from pg_class c join s on c.relnamespace = s.oid where c.relkind = 'v'
		union all select format('%s %s', pg_get_functiondef(p.oid), p.proacl) from pg_proc p join s on p.pronamespace = s.oid
		union all select format('type %s %s', t.typname, t.typtype) from pg_type t join s on t.typnamespace = s.oid
		union all select pg_get_triggerdef(g.oid) from pg_trigger g join pg_class c on c.oid = g.tgrelid join s on c.relnamespace = s.oid
			where not g.tgisinternal
		union all select format('event trigger %s %s %s %s', e.evtname, e.evtevent, e.evttags, e.evtenabled) from pg_event_trigger e
		union all select format('comment %s %s', pg_describe_object(d.classoid, d.objoid, d.objsubid), d.description)
			from pg_description d
			where pg_describe_object(d.classoid, d.objoid, d.objsubid) like '%statek%'
		order by 1`)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func exec(t *testing.T, pool *pgxpool.Pool, sql string, args ...any) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// waitUntil asks until the query says true.
func waitUntil(t *testing.T, conn *pgx.Conn, query string) {
	t.Helper()
	for {
		var ok bool
		if err := conn.QueryRow(t.Context(), query).Scan(&ok); err != nil {
			t.Fatal(err)
		}
		if ok {
			return
		}
	}
}
