package store

import (
	"context"
	"time"

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

// chainPatience bounds the statement of a call that is begun: until it has answered nobody knows that the call before is committed, and
// its job reads no mail. One that needs longer, or waits for a lock, is made in the ordinary way.
const chainPatience = batchPatience

// queueNext appends the call that follows an operation alone, if there is one, a place for it, and the connection has answered its
// statement quickly before. Its failure is nobody's: the call is made again in the ordinary way, which says what is wrong.
func (s *Store) queueNext(b *pgx.Batch, conn *pgxpool.Conn, op *toolOp) *begun {
	if op.call.Chain == nil || op.call.Chain.Next == nil || op.call.Batch {
		return nil
	}
	call := *op.call.Chain.Next
	values, err := bind(call)
	if err != nil || !quickOn(conn.Conn())[asJSON(call.SQLCall)] {
		return nil
	}
	select {
	case s.chains <- struct{}{}:
	default:
		return nil
	}
	next := &begun{conn: conn, op: &toolOp{call: call, values: values}, place: s.chains}
	queueCalls(b, conn, []*toolOp{next.op}, min(call.Timeout, chainPatience))
	return next
}

// quick are the statements of calls that a connection has answered quickly when it was last asked. It knows them: any other would be read
// before the commit that it is to follow, and could fail it, or keep it waiting for a table.
type quick map[string]bool

const (
	quickKey  = "statek.quick"
	mostQuick = 200 // well below what the driver keeps of a connection's statements
)

func quickOn(conn *pgx.Conn) quick {
	custom := conn.PgConn().CustomData()
	q, _ := custom[quickKey].(quick)
	if q == nil {
		q = quick{}
		custom[quickKey] = q
	}
	return q
}

// note remembers how long a statement has taken.
func (q quick) note(sql string, took time.Duration) {
	if took > chainPatience {
		delete(q, sql)
		return
	}
	if len(q) >= mostQuick {
		clear(q)
	}
	q[sql] = true
}

// forget is told of a batch that has failed: the driver keeps none of its statements.
func (q quick) forget(b *pgx.Batch) {
	for _, query := range b.QueuedQueries {
		delete(q, query.SQL)
	}
}

// send sends a batch of a call's transaction.
func send(ctx context.Context, conn *pgxpool.Conn, b *pgx.Batch) error {
	err := conn.SendBatch(ctx, b).Close()
	if err != nil {
		quickOn(conn.Conn()).forget(b)
	}
	return err
}
