package migrations_test

import (
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"statek/internal/pgtest"
)

// TestObjectFunctions: what people may call from SQL, and what it says when it is called wrongly.
func TestObjectFunctions(t *testing.T) {
	t.Parallel()
	tx := pgtest.Tx(t)
	const put = "select statek.put_object('/acme', 'docs', 'a', "
	if got := one[int64](t, tx, put+"'1')"); got != 1 {
		t.Errorf("version = %d, want 1", got)
	}
	if got := one[int64](t, tx, put+"'null', expected => 1)"); got != 2 {
		t.Errorf("version = %d, want 2", got)
	}
	if got := one[string](t, tx, "select value::text || version || (updated_by = 'sql ' || session_user)::text from statek.get_object('/acme', 'docs', 'a')"); got != "null2true" {
		t.Errorf("got %s", got)
	}
	for _, c := range []struct{ name, sql, code string }{
		{"another version", put + "'1', expected => 1)", "ST412"},
		{"must not exist", put + "'1', expected => 0)", "ST412"},
		{"impossible version", put + "'1', expected => -2)", "ST412"},
		{"no value", put + "null)", "22023"},
		{"no key", "select statek.put_object('/acme', 'docs', null, '1')", "22023"},
		{"no prefix", "select statek.put_object(null, 'docs', 'a', '1')", "22023"},
		{"no collection", "select statek.delete_object('/acme', null, 'a')", "22023"},
		{"too large", put + `to_json(repeat('x', 1048575)))`, "ST413"},
		{"no limit", "select statek.set_object_limits('/acme', 'docs', versions => -1)", "22023"},
		{"no size", "select statek.set_object_limits('/acme', 'docs', max_bytes => 0)", "22023"},
	} {
		if got := refused(t, tx, c.sql); got != c.code {
			t.Errorf("%s: got SQLSTATE %s, want %s", c.name, got, c.code)
		}
	}
	var pg *pgconn.PgError
	inner, err := tx.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := inner.Exec(t.Context(), put+"'1', expected => 1)"); !errors.As(err, &pg) || pg.Detail != "2" || pg.Message != "object docs/a is at version 2, expected version 1" {
		t.Errorf("got %v with detail %q, want the version that is there", err, pg.Detail)
	}
	if err := inner.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	do(t, tx, "select statek.set_object_limits('/acme', 'docs', max_bytes => 5), statek.set_object_limits('/acme', 'docs', versions => 0)")
	if got := one[string](t, tx, "select versions || ' ' || max_bytes from statek.object_collections"); got != "0 5" {
		t.Errorf("limits = %s: one that is not given must stay", got)
	}
	do(t, tx, put+"'12345')")
	if got := one[int64](t, tx, "select count(*) from statek.object_versions"); got != 0 {
		t.Errorf("%d earlier versions are kept, want 0", got)
	}
	if got := one[int64](t, tx, "select statek.delete_object('/acme', 'docs', 'a')"); got != 4 {
		t.Errorf("the deletion has version %d, want 4", got)
	}
	if got := one[bool](t, tx, "select statek.delete_object('/acme', 'docs', 'a') is null and not exists (select from statek.object_overview)"); !got {
		t.Error("a deleted object was deleted again, or is shown")
	}
	do(t, tx, "set local role statek_tool")
	if got := refused(t, tx, put+"'1')"); got != "42501" {
		t.Errorf("statek_tool: got SQLSTATE %s, want 42501", got)
	}
}

// TestObjectExamples runs the statements that the documentation shows, in its order.
func TestObjectExamples(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/sql.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## Objects\n")
	_, section, _ = strings.Cut(section, "```sql\n")
	text, _, found := strings.Cut(section, "```")
	if !found {
		t.Fatal("docs/sql.md shows no statements below Objects")
	}
	tx := pgtest.Tx(t)
	comment := regexp.MustCompile(`--[^\n]*`)
	ran := 0
	for statement := range strings.SplitSeq(comment.ReplaceAllString(text, ""), ";") {
		if statement = strings.TrimSpace(statement); statement != "" {
			do(t, tx, statement)
			ran++
		}
	}
	if ran != 7 {
		t.Errorf("ran %d statements, want 7", ran)
	}
}
