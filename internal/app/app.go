package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"statek/internal/jsvm"
	"statek/internal/jsvm/sandbox"
	"statek/internal/store"
)

// Config of an App.
type Config struct {
	DatabaseURL string
	Logger      *slog.Logger // default: slog.Default()
	MaxConns    int          // of the pool; default 16
	// Sandbox says where code is read and run: SandboxStrict, SandboxBestEffort (the default) or
	// SandboxInProcess.
	Sandbox string
	// SandboxChildren is how many processes there may be. Default: four for each core.
	SandboxChildren int
	// Machine runs cells instead of what Sandbox says, in this process. It is for benchmarks of everything else.
	Machine jsvm.Machine
	// LinkKey signs links to approvals, at least MinLinkKey bytes. Default: none; there are no links then.
	LinkKey []byte
	// MaxQueued is how many jobs of one prefix may have work and wait for a worker or a place; more are refused as busy.
	// Default 0: any number.
	MaxQueued int
	// PollOnly is for connections through a pooler in transaction mode. Default: it is found out.
	PollOnly bool
}

// App answers requests. It is safe for concurrent use.
type App struct {
	cfg      Config
	pool     *pgxpool.Pool
	reach    *reach
	shelf    *shelf
	store    *store.Store
	notifier *store.Notifier
	machine  jsvm.Machine
	sandbox  *sandbox.Pool // nil: in-process
	checks   *checks
	hub      *hub
	now      func() time.Time
	backlog  backlog
	here     here
}

// Open prepares an App. It does not need the database to be up.
func Open(ctx context.Context, cfg Config) (*App, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.MaxConns == 0 {
		cfg.MaxConns = 16
	}
	if n := len(cfg.LinkKey); n > 0 && n < MinLinkKey {
		return nil, &Error{Kind: KindInvalid, Message: fmt.Sprintf("expected the link key to have at least %d bytes, got %d", MinLinkKey, n)}
	}
	if cfg.Sandbox == "" {
		cfg.Sandbox = SandboxBestEffort
	}
	machine, children, err := newMachine(cfg)
	if err != nil {
		return nil, err
	}
	reach := &reach{logger: cfg.Logger, forced: cfg.PollOnly}
	pool, err := newPool(ctx, cfg.DatabaseURL, cfg.MaxConns, "statek api", 0, reach)
	if err != nil {
		return nil, err
	}
	now := func() time.Time { return time.Now().UTC() } //nolint:forbidigo // wiring
	notifier := store.NewNotifier(pool, 0)
	st := store.New(pool, notifier, now)
	return &App{
		cfg: cfg, pool: pool, reach: reach, store: st, shelf: &shelf{store: st}, notifier: notifier,
		machine: machine, sandbox: children, checks: newChecks(), hub: newHub(), now: now, backlog: backlog{most: cfg.MaxQueued},
	}, nil
}

// newPool makes a pool that connects when first used. idle, when not zero, bounds how long a session may sit
// in an open transaction: a stopped process must not hold locks for ever.
func newPool(ctx context.Context, url string, conns int, name string, idle time.Duration, reach *reach) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, &Error{Kind: KindInvalid, Message: "the database URL cannot be read: expected postgres://user:password@host:port/database"}
	}
	cfg.MaxConns = int32(conns)
	params := cfg.ConnConfig.RuntimeParams
	params["application_name"] = name
	params["search_path"] = "pg_catalog"
	params["statement_timeout"] = "30s"
	params["jit"] = "off" // nothing here runs for long enough to be worth compiling
	params["tcp_keepalives_idle"], params["tcp_keepalives_interval"], params["tcp_keepalives_count"] = "5", "2", "3"
	if idle > 0 {
		// A worker's statements are few and each knows its keys: planning them anew would cost more than running them.
		params["plan_cache_mode"] = "force_generic_plan"
		params["idle_in_transaction_session_timeout"] = fmt.Sprint(idle.Milliseconds())
		params["lock_timeout"] = "5s"
		params["tcp_user_timeout"] = "5000"
	}
	cfg.BeforeConnect = reach.before
	cfg.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error { return reach.after(ctx, conn, params, idle > 0) }
	if cfg.ConnConfig.ConnectTimeout == 0 {
		cfg.ConnConfig.ConnectTimeout = 5 * time.Second
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("app: make the connection pool: %w", err)
	}
	return pool, nil
}

// Logger is where the App logs.
func (a *App) Logger() *slog.Logger { return a.cfg.Logger }

// Migrate brings the App's database up to date.
func (a *App) Migrate(ctx context.Context) error {
	return Migrate(ctx, a.cfg.DatabaseURL, a.cfg.Logger)
}

// Close ends all connections, and the processes in which cells run.
func (a *App) Close() {
	if a.sandbox != nil {
		a.sandbox.Close()
	}
	a.pool.Close()
}

// Run sends notifications and keeps waiting callers informed until ctx ends. It reconnects by itself.
func (a *App) Run(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = a.notifier.Run(ctx)
	}()
	a.reach.listen(ctx, a.pool, store.ChangedChannel, a.hub.changed)
	<-done
	return nil
}

// redact keeps what a driver error says, without what may hold credentials.
func redact(err error) string {
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) {
		return "the database cannot be reached: " + errors.Unwrap(connect).Error()
	}
	return err.Error()
}

// fail turns an error of the store into one for callers.
func fail(err error, what string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrNotFound):
		field, name, _ := strings.Cut(what, " ") // "job 01a2…"
		return &Error{Kind: KindNotFound, Message: "there is no such " + field, Err: err, Fields: []FieldError{{
			Field: field, Value: name, Message: strings.TrimSpace(name + " does not exist"),
		}}}
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return err
	case store.Unavailable(err):
		return &Error{Kind: KindUnavailable, Message: "the database is not available; try again shortly", Err: err}
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch {
		case pg.Code == "22021": // character_not_in_repertoire
			return &Error{Kind: KindInvalid, Message: what + ": a name or text holds NUL or broken UTF-8, which cannot be stored", Err: err}
		case !missing(pg.Code):
		case strings.Contains(pg.Message, "statek.") || strings.Contains(pg.Message, "river.") || strings.Contains(pg.Message, `"statek"`):
			return &Error{Kind: KindUnavailable, Message: "the database has no or an older schema; run: statek migrate up", Err: err}
		default: // something of the application's
			return &Error{Kind: KindInvalid, Message: what + ": " + pg.Message + "; create it first, then apply again", Err: err}
		}
	}
	return err
}

// missing reports SQLSTATEs that say a schema, table, column or function is not there.
func missing(code string) bool {
	switch code {
	case "42P01", "3F000", "42883", "42703":
		return true
	default:
		return false
	}
}

func jobName(id uuid.UUID) string { return "job " + id.String() }
