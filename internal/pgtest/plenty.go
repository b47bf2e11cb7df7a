package pgtest

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
)

//go:embed plenty.sql
var plentySQL string

// PlentyRows is how many rows of history Plenty makes: STATEK_PLENTY_ROWS, which "make plans" sets to 10 million, else enough
// for the planner to prefer indexes.
func PlentyRows(t testing.TB) int {
	t.Helper()
	text := os.Getenv("STATEK_PLENTY_ROWS")
	if text == "" {
		return 100_000
	}
	rows, err := strconv.Atoi(text)
	if err != nil || rows < 100_000 {
		t.Fatalf("expected STATEK_PLENTY_ROWS to be a number of at least 100000, got %q", text)
	}
	return rows
}

// Plenty fills a database with what months leave behind: jobs that are over and jobs that sleep, with their history, variables,
// waits, mail and facts. Then it is analyzed, as autovacuum does.
func Plenty(t testing.TB, pool *pgxpool.Pool) {
	t.Helper()
	rows := PlentyRows(t)
	conn, err := pool.Acquire(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	const perJob = 20
	for _, sql := range []string{"set statement_timeout = 0", fmt.Sprintf(plentySQL, rows/perJob), "vacuum analyze", "reset statement_timeout"} {
		if _, err := conn.Exec(context.WithoutCancel(t.Context()), sql); err != nil {
			t.Fatalf("make %d rows of history: %v", rows, err)
		}
	}
}
