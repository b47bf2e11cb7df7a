package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// meter reads what the server and some processes have done. Both are read from outside, so that no contender pays for it.
type meter struct {
	server *server
	url    string
	pids   []int // each stands for itself and everything it has started
}

type reading struct {
	xids, statements, wal float64
	postgres              time.Duration
	clients               []time.Duration
}

// read is called while no job runs. Transaction ids are those of the whole server; only one contender runs at a time.
func (m meter) read(ctx context.Context) (r reading, err error) {
	err = with(ctx, m.url, func(conn *pgx.Conn) error {
		// Not in the contender's database, where there is no such view; and a look takes no transaction id.
		return conn.QueryRow(ctx, "select pg_snapshot_xmax(pg_current_snapshot())::text::float8, pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8").
			Scan(&r.xids, &r.wal)
	})
	if err != nil {
		return r, fmt.Errorf("read the server's counters: %w", err)
	}
	database := m.url[strings.LastIndex(m.url, "/")+1:]
	database, _, _ = strings.Cut(database, "?")
	err = with(ctx, m.server.db.URL("postgres"), func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `select coalesce(sum(calls), 0)::float8 from pg_stat_statements
			where dbid = (select oid from pg_database where datname = $1)`, database).Scan(&r.statements)
	})
	if err != nil {
		return r, fmt.Errorf("count statements: %w", err)
	}
	all, err := processes()
	if err != nil {
		return r, err
	}
	r.postgres = all.tree(m.server.pid)
	for _, pid := range m.pids {
		r.clients = append(r.clients, all.tree(pid))
	}
	return r, nil
}

// tick is the unit of times in /proc: USER_HZ, which is 100 on every Linux.
const tick = 10 * time.Millisecond

type process struct {
	parent int
	cpu    time.Duration // its own, and that of its children that have ended
}

type table map[int]process

// processes reads /proc.
func processes() (table, error) {
	names, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(names) == 0 {
		return nil, fmt.Errorf("read /proc: found %d processes: %w", len(names), err)
	}
	all := table{}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has just ended
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		// "pid (comm) state ppid … utime stime cutime cstime": comm may hold anything, so fields count from its end.
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if len(fields) < 15 {
			return nil, fmt.Errorf("read %s: expected at least 15 fields, got %q", name, text)
		}
		p := process{}
		p.parent, _ = strconv.Atoi(fields[1])
		for _, field := range fields[11:15] {
			ticks, _ := strconv.ParseInt(field, 10, 64)
			p.cpu += time.Duration(ticks) * tick
		}
		all[pid] = p
	}
	return all, nil
}

// tree adds up a process and all below it: backends, sandbox children.
func (t table) tree(root int) time.Duration {
	sum := t[root].cpu
	for pid, p := range t {
		if p.parent == root {
			sum += t.tree(pid)
		}
	}
	return sum
}
