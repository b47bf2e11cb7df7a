package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// claim is a temporal whose waiters each take something of their own. Its failures are in the evaluation; an
// error means that the transaction is lost.
type claim interface {
	ready(ctx context.Context) (bool, error)
	// begin asks the condition, and locks the first waiters when it holds.
	begin(ctx context.Context) (ready bool, heads []head, err error)
	// take claims a value for one waiter and ends its wait, if only with the statement that comes next; false: there was
	// none. After that the savepoint "temporal" is released, so that what follows cannot take the claim back.
	take(ctx context.Context, head head) (bool, error)
}

// serveClaims asks the condition once, and while it holds gives waiters, first come first served, what the
// complement takes for them. A waiter's set and row are locked before its value is claimed, and are deleted
// together with the claim, the mail and the ring.
func (l *look) serveClaims(ctx context.Context, c claim) error {
	ready, heads, err := c.begin(ctx)
	if err != nil || !ready || l.eval.Err != "" {
		return err
	}
	l.peek(ctx, heads)
	won := map[int64]bool{} // sets; their other members in this group are gone
	for _, head := range heads {
		if head.SetID != nil && won[*head.SetID] {
			continue
		}
		got, err := c.take(ctx, head)
		if err != nil || l.eval.Err != "" {
			return err
		}
		if !got {
			// Taken by others, or locked by others who may give it back: the plain condition knows.
			l.eval.Ready, err = c.ready(ctx)
			return err
		}
		l.eval.Served++
		if head.SetID != nil {
			won[*head.SetID] = true
		}
	}
	switch {
	case len(heads) == 0 || len(heads) < int(heads[0].Heads):
		l.eval.Ready = true // a waiter was skipped; its holder may roll back
	case len(heads) == lookBatch:
		l.eval.Full = true
	}
	return nil
}

// enter is what precedes code of a temporal, behind a savepoint so that whatever it does can be taken back: it has the
// rights of a tool and a bounded time. leaveTool follows it. One statement is sooner done than four.
func (l *look) enter() string {
	return fmt.Sprintf("select set_config('role', 'statek_tool', true), set_config('plan_cache_mode', 'auto', true), "+
		"set_config('statement_timeout', '%d', true), set_config('lock_timeout', '%d', true)", l.w.Timeout.Milliseconds(), l.w.Timeout.Milliseconds()/5)
}

// leaveTool resets them: null is the session's own. The role is also that of a session which code has changed for longer.
const leaveTool = "select set_config('role', null, false), set_config('plan_cache_mode', null, true), " +
	"set_config('statement_timeout', null, true), set_config('lock_timeout', null, true)"

// blame puts an error of the temporal's own code into the evaluation. What is not its fault is returned.
func (l *look) blame(ctx context.Context, err error) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Code[:2] == "57" && pg.Code != "57014" || ctx.Err() != nil {
		return err
	}
	l.eval.Transient = pg.Code == "40001" || pg.Code == "40P01" || pg.Code == "55P03"
	return l.fault(ctx, pg.Code+": "+sentence(pg))
}

// fault records the temporal's failure and takes back what its code did.
func (l *look) fault(ctx context.Context, message string) error {
	l.eval.Err = text(message)
	if len(l.eval.Err) > 1000 {
		l.eval.Err = l.eval.Err[:1000]
	}
	return l.takeBack(ctx)
}

// takeBack undoes what happened since the savepoint.
func (l *look) takeBack(ctx context.Context) error {
	// Simple protocol: nothing can be prepared in a failed transaction. Role and timeouts go back with it.
	_, err := l.conn.Exec(ctx, "rollback to savepoint temporal; release savepoint temporal", pgx.QueryExecModeSimpleProtocol)
	return err
}
