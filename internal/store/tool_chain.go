package store

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// begun is a call that was performed in the same trip that has committed the one before it: a connection in a transaction, and what the
// statement has answered. It holds locks and a connection, so there are few of them, and whoever is handed one goes on with it at once.
type begun struct {
	conn  *pgxpool.Conn
	op    *toolOp
	place chan struct{} // where it has its place
}

// take hands out the connection, once; nil when there is none any more.
func (b *begun) take() *pgxpool.Conn {
	if b == nil || b.conn == nil {
		return nil
	}
	conn := b.conn
	b.forget()
	return conn
}

// forget gives up the place of a call that has not begun, or that goes on.
func (b *begun) forget() {
	if b != nil {
		b.conn = nil
		<-b.place
	}
}

// Discard implements agents.Begun.
func (b *begun) Discard() {
	if conn := b.take(); conn != nil {
		rollback(context.Background(), conn)
		conn.Release()
	}
}

// queueNext appends the call that follows an operation alone, if there is one and a place for it. Its failure is nobody's: the call is
// made again in the ordinary way, which says what is wrong.
func (s *Store) queueNext(b *pgx.Batch, conn *pgxpool.Conn, op *toolOp) *begun {
	if op.call.Chain == nil || op.call.Chain.Next == nil || op.call.Batch {
		return nil
	}
	call := *op.call.Chain.Next
	values, err := bind(call)
	if err != nil {
		return nil
	}
	select {
	case s.chains <- struct{}{}:
	default:
		return nil
	}
	next := &begun{conn: conn, op: &toolOp{call: call, values: values}, place: s.chains}
	queueCalls(b, []*toolOp{next.op}, call.Timeout)
	return next
}
