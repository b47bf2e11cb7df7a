package store

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"statek/internal/objects"
	"statek/internal/store/db"
	"statek/internal/temporal"
)

// Bounds of what waiters of a change are told.
const (
	// mostChanged is how many keys a change of a collection lists.
	mostChanged = 100
	// changedBytes bounds what one look writes into mailboxes.
	changedBytes = 8 << 20
)

// serveObject tells all waiters of a group of the change they wait for. They asked with the same version or
// snapshot, so one answer is right for each; nothing is taken from anybody.
func (l *look) serveObject(ctx context.Context) error {
	args, err := temporal.ReadObjectArgs(l.group.Args)
	if err != nil {
		l.eval.Err = err.Error()
		return nil
	}
	value, err := l.changed(ctx, args)
	if err != nil || value == nil {
		return err
	}
	if err := l.askTold(ctx); err != nil {
		return err
	}
	most := max(1, min(broadcastBatch, changedBytes/(value.size()+1)))
	heads, err := l.heads(ctx, temporal.Definition{}, most)
	if err != nil {
		return err
	}
	b := &pgx.Batch{}
	won := map[int64]bool{} // sets; their other members in this group are gone
	for _, head := range heads {
		if head.SetID != nil && won[*head.SetID] {
			continue
		}
		b.Queue(db.WaitResolveRow, head.ID, value.names, value.types, value.texts)
		l.eval.Served++
		if head.SetID != nil {
			won[*head.SetID] = true
		}
	}
	if err := l.conn.SendBatch(ctx, b).Close(); err != nil {
		return err
	}
	switch {
	case len(heads) == 0 || len(heads) < int(heads[0].Heads):
		l.eval.Ready = true // a waiter was skipped; its holder may roll back
	case len(heads) == most:
		l.eval.Full = true
	}
	return nil
}

// row is what a waiter gets, as statek.row_json takes it.
type row struct {
	names []string
	types []uint32
	texts []*string
}

func (r *row) add(name string, kind uint32, text string) {
	r.names, r.types, r.texts = append(r.names, name), append(r.types, kind), append(r.texts, &text)
}

func (r *row) size() int {
	n := 0
	for _, t := range r.texts {
		n += len(*t)
	}
	return n
}

// changed asks the condition; nil: nothing has changed.
func (l *look) changed(ctx context.Context, args temporal.ObjectArgs) (*row, error) {
	if args.Key == nil {
		return l.collectionChanged(ctx, args)
	}
	since, err := strconv.ParseInt(string(args.Since), 10, 64)
	if err != nil {
		l.eval.Err = "read since: " + err.Error()
		return nil, nil //nolint:nilnil // documented: nothing has changed
	}
	found, err := l.q.ObjectChanged(ctx, db.ObjectChangedParams{Prefix: l.group.Prefix, Collection: args.Collection, Key: *args.Key, Since: since})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil //nolint:nilnil // documented: nothing has changed
	}
	if err != nil {
		return nil, err
	}
	value := found.Value
	if value == nil {
		value = json.RawMessage("null")
	}
	r := &row{}
	r.add("key", pgtype.TextOID, *args.Key)
	r.add("value", pgtype.JSONOID, string(value))
	r.add("version", pgtype.Int8OID, strconv.FormatInt(found.Version, 10))
	r.add("updatedAt", pgtype.TextOID, objects.Stamp(found.UpdatedAt))
	if found.Value == nil {
		r.add("deleted", pgtype.BoolOID, "true")
	}
	return r, nil
}

func (l *look) collectionChanged(ctx context.Context, args temporal.ObjectArgs) (*row, error) {
	var since string
	if err := json.Unmarshal(args.Since, &since); err != nil {
		l.eval.Err = "read since: " + err.Error()
		return nil, nil //nolint:nilnil // documented: nothing has changed
	}
	found, err := l.q.ObjectsChanged(ctx, db.ObjectsChangedParams{Prefix: l.group.Prefix, Collection: args.Collection, Since: since, Most: mostChanged})
	if err != nil || !found.Ready {
		return nil, err
	}
	r := &row{}
	r.add("changed", pgtype.JSONOID, found.Changed)
	r.add("more", pgtype.BoolOID, strconv.FormatBool(found.More))
	r.add("since", pgtype.TextOID, found.Now)
	return r, nil
}
