package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	pgxuuid "github.com/vgarvardt/pgx-google-uuid/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// reach is how this process reaches its database. A pooler that gives a session another server connection for each
// transaction breaks everything that belongs to a session: LISTEN, prepared statements, settings. Then the process
// polls, prepares nothing, and takes its settings from the role (docs/operations.md).
type reach struct {
	logger *slog.Logger
	forced bool // --poll-only

	mu    sync.Mutex
	known bool
	found manner
}

// manner is what was found out.
type manner struct {
	// pooled: sessions are none.
	pooled bool
	// bare: settings are refused when connecting, and must be made afterwards.
	bare bool
}

const (
	probeTries   = 2
	probeTimeout = 2 * time.Second
)

// manner finds out, once, how the database is reached.
func (r *reach) manner(ctx context.Context, cfg *pgx.ConnConfig) (manner, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known {
		return r.found, nil
	}
	m := manner{pooled: r.forced}
	if !r.forced {
		var err error
		if m, err = probe(ctx, cfg); err != nil {
			return manner{}, err
		}
		if m.pooled {
			r.logger.WarnContext(ctx, "notifications do not arrive, as behind a pooler in transaction mode: this process polls, and waits end up to a second later; give it a direct connection, or say --poll-only")
		}
	}
	r.known, r.found = true, m
	return m, nil
}

// before adapts a connection that is about to be made.
func (r *reach) before(ctx context.Context, cfg *pgx.ConnConfig) error {
	m, err := r.manner(ctx, cfg)
	if err != nil {
		return err
	}
	if m.pooled || m.bare {
		cfg.RuntimeParams = map[string]string{"application_name": cfg.RuntimeParams["application_name"]}
	}
	if m.pooled {
		cfg.DefaultQueryExecMode, cfg.StatementCacheCapacity = pgx.QueryExecModeCacheDescribe, 0
	}
	return nil
}

// after makes the settings that the connection could not bring. working is for workers' connections.
func (r *reach) after(ctx context.Context, conn *pgx.Conn, params map[string]string, working bool) error {
	pgxuuid.Register(conn.TypeMap()) // else ids travel as texts, by way of database/sql
	m, _ := r.result()
	if m.pooled {
		return nil
	}
	if m.bare {
		for name, value := range params {
			if strings.HasPrefix(name, "tcp_") {
				continue // about the pooler's socket
			}
			if _, err := conn.Exec(ctx, "select set_config($1, $2, false)", name, value); err != nil {
				return fmt.Errorf("app: set %s: %w", name, err)
			}
		}
	}
	if working { // a server that cannot check (macOS) refuses the setting; it is not worth a connection
		_, _ = conn.Exec(ctx, "select set_config('client_connection_check_interval', '2s', false)")
	}
	return nil
}

// result is what was found out so far.
func (r *reach) result() (m manner, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.found, r.known
}

// probe asks for a notification to be sent from one session to another. Where it does not arrive, sessions are not
// what they seem.
func probe(ctx context.Context, cfg *pgx.ConnConfig) (m manner, err error) {
	plain := cfg.Copy()
	plain.RuntimeParams = map[string]string{"application_name": cfg.RuntimeParams["application_name"]}
	plain.DefaultQueryExecMode = pgx.QueryExecModeExec
	conn, err := pgx.ConnectConfig(ctx, cfg.Copy())
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == "08P01" { // protocol_violation: an unsupported startup parameter
		m.bare = true
		conn, err = pgx.ConnectConfig(ctx, plain.Copy())
	}
	if err != nil {
		return m, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	other, err := pgx.ConnectConfig(ctx, plain.Copy())
	if err != nil {
		return m, err
	}
	defer func() { _ = other.Close(context.WithoutCancel(ctx)) }()
	channel := "statek_probe_" + rand.Text()
	if _, err := conn.Exec(ctx, "listen "+pgx.Identifier{channel}.Sanitize(), pgx.QueryExecModeExec); err != nil {
		return m, err
	}
	for range probeTries {
		if _, err := other.Exec(ctx, "select pg_notify($1, '')", pgx.QueryExecModeExec, channel); err != nil {
			return m, err
		}
		heard, cancel := context.WithTimeout(ctx, probeTimeout)
		_, err := conn.WaitForNotification(heard)
		cancel()
		if err == nil {
			return m, nil
		}
		if ctx.Err() != nil || heard.Err() == nil {
			return m, err
		}
	}
	m.pooled = true
	return m, nil
}
