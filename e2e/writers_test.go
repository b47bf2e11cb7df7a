package e2e

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"

	"github.com/jackc/pgx/v5"
)

// step is something that a writer does in one go; the rows of a COPY follow its statement.
type step struct {
	sql  string
	rows string
}

// tasksOf plans how one writer commits exactly so many tasks to a queue, in every way there is to write, and some that it
// takes back. In a task's subject is the way; after each step it pauses for up to so many seconds.
func tasksOf(r *rand.Rand, queue string, rows int, pause float64) []step {
	tasks := func(way string, n int) string {
		if n == 0 {
			return ""
		}
		return "insert into app.tasks (queue, subject) values " +
			strings.TrimSuffix(strings.Repeat(fmt.Sprintf("('%s', '%s'), ", queue, way), n), ", ") + ";\n"
	}
	var plan []step
	for rows > 0 {
		n := min(rows, 1+r.IntN(8))
		hold := fmt.Sprintf("select pg_sleep(%.3f);\n", 0.03*r.Float64())
		var s step
		switch r.IntN(8) {
		case 0, 1, 2:
			n = 1
			s.sql = tasks("one row", 1)
		case 3:
			s.sql = tasks("many rows", n)
		case 4:
			s.sql = "copy app.tasks (queue, subject) from stdin;\n"
			s.rows = strings.Repeat(queue+"\tcopy\n", n)
		case 5:
			n = min(rows, 2*n)
			s.sql = "begin;\n" + tasks("transaction", n/2) + hold + tasks("transaction", n-n/2) + "commit;\n"
		case 6:
			// The snapshot is older than waits that are registered meanwhile.
			s.sql = "begin isolation level repeatable read;\nselect count(*) from app.tasks where state = 'open';\n" + hold +
				tasks("repeatable read", n) + "commit;\n"
		default:
			s.sql = "begin;\n" + tasks("taken back", 3) + hold + "rollback;\nbegin;\n" + tasks("savepoint", n) +
				"savepoint s;\n" + tasks("taken back", 2) + "rollback to savepoint s;\ncommit;\n"
		}
		rows -= n
		plan = append(plan, s)
		if pause > 0 {
			plan = append(plan, step{sql: fmt.Sprintf("select pg_sleep(%.3f);\n", pause*r.Float64())})
		}
	}
	return plan
}

// write does the steps in a psql of its own, or where there is none in a session that speaks the simple protocol.
func write(ctx context.Context, url string, plan []step) error {
	psql, err := exec.LookPath("psql")
	if err != nil {
		return writeHere(ctx, url, plan)
	}
	var script bytes.Buffer
	for _, s := range plan {
		script.WriteString(s.sql)
		if s.rows != "" {
			script.WriteString(s.rows + "\\.\n")
		}
	}
	cmd := exec.CommandContext(ctx, psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null", "-d", url)
	cmd.Stdin, cmd.SysProcAttr = &script, attributes()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("psql: %w\n%s", err, out)
	}
	return nil
}

func writeHere(ctx context.Context, url string, plan []step) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for _, s := range plan {
		if s.rows != "" {
			_, err = conn.PgConn().CopyFrom(ctx, strings.NewReader(s.rows), s.sql)
		} else {
			_, err = conn.PgConn().Exec(ctx, s.sql).ReadAll()
		}
		if err != nil {
			return fmt.Errorf("%s: %w", s.sql, err)
		}
	}
	return nil
}
