package pgtest_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"statek/internal/pgtest"
)

// TestWire: what the tests of lost connections rely on.
func TestWire(t *testing.T) {
	t.Parallel()
	wire := pgtest.NewWire(t, pgtest.URL(t))
	connect := func() *pgx.Conn {
		t.Helper()
		conn, err := pgx.Connect(t.Context(), wire.URL())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close(context.Background()) })
		return conn
	}
	ask := func(conn *pgx.Conn) error {
		_, err := conn.Exec(t.Context(), "select 'ask'")
		return err
	}
	t.Run("drop", func(t *testing.T) {
		conn := connect()
		wire.Drop()
		if ask(conn) == nil {
			t.Error("an old connection works")
		}
		if err := ask(connect()); err != nil {
			t.Errorf("a new connection: %v", err)
		}
	})
	t.Run("cut", func(t *testing.T) {
		wire.Cut()
		if conn, err := pgx.Connect(t.Context(), wire.URL()); err == nil {
			_ = conn.Close(t.Context())
			t.Error("a new connection got through")
		}
		wire.Restore()
		if err := ask(connect()); err != nil {
			t.Error(err)
		}
	})
	t.Run("stall", func(t *testing.T) {
		conn := connect()
		wire.Stall()
		answered := make(chan error, 1)
		go func() { answered <- ask(conn) }()
		select {
		case err := <-answered:
			t.Errorf("it was answered: %v", err)
		case <-time.After(50 * time.Millisecond):
		}
		wire.Restore()
		if err := <-answered; err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
	t.Run("lose a reply", func(t *testing.T) {
		conn := connect()
		if _, err := conn.Exec(t.Context(), "create table kept (n integer)"); err != nil {
			t.Fatal(err)
		}
		wire.LoseReplyTo("insert into kept")
		if _, err := conn.Exec(t.Context(), "insert into kept values (1)", pgx.QueryExecModeSimpleProtocol); err == nil {
			t.Error("the reply has come")
		}
		var n int
		if err := connect().QueryRow(t.Context(), "select count(*) from kept").Scan(&n); err != nil || n != 1 || wire.Lost() != 1 {
			t.Errorf("%d rows (%v), %d replies lost; want one of each", n, err, wire.Lost())
		}
	})
}
