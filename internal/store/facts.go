package store

import (
	"context"
	"encoding/json"
	"fmt"

	"statek/internal/store/db"
	"statek/internal/temporal"
)

// Fact is something that happened, told to the jobs at Prefix and below that wait for Name.
type Fact struct {
	Prefix  string
	Name    string
	Payload json.RawMessage // nil is null
	// Key, when not nil, makes the fact first-write-wins.
	Key *string
}

// Emit writes a fact. It returns its id, and false when a fact with that key already existed. Bad names are
// refused by the database with SQLSTATE 22023.
func (w *Waits) Emit(ctx context.Context, f Fact) (int64, bool, error) {
	payload := "null"
	if f.Payload != nil {
		payload = string(f.Payload)
	}
	var id *int64
	if err := w.pool.QueryRow(ctx, db.FactEmit, f.Prefix, f.Name, payload, f.Key).Scan(&id); err != nil {
		return 0, false, wrap(err, "emit %q", f.Name)
	}
	if id == nil {
		return 0, false, nil
	}
	return *id, true, nil
}

// eventArgs are the arguments of a group that waits for an event.
type eventArgs struct {
	Name string  `json:"name"`
	Key  *string `json:"key"`
}

// broadcast gives each waiter of an event the oldest fact it has not had.
func (l *look) broadcast(ctx context.Context) error {
	var args eventArgs
	if err := json.Unmarshal(l.group.Args, &args); err != nil {
		l.eval.Err = fmt.Sprintf("read arguments: %s", err)
		return nil
	}
	row, err := l.q.FactsServe(ctx, db.FactsServeParams{
		Prefixes: temporal.Ancestors(l.group.Prefix), Name: args.Name, Key: args.Key, Now: l.w.now(),
		GroupID: &l.group.ID, Most: broadcastBatch,
	})
	if err != nil {
		return err
	}
	l.eval.Served = int(row.Served)
	switch {
	case row.Locked < row.Firsts:
		l.eval.Ready = true // a waiter was skipped; its holder may roll back
	case row.Eligible == broadcastBatch || row.Served < row.Eligible:
		// More waiters than one transaction serves, two waits of one job, or a fact that the job got through
		// another group meanwhile.
		l.eval.Full = true
	}
	return l.askTold(ctx)
}
