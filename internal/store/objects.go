package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"statek/internal/jobs"
	"statek/internal/objects"
	"statek/internal/store/db"
)

const (
	// objectTimeout bounds a write of a job, most of all its wait for whoever holds the object's row.
	objectTimeout = 30 * time.Second
	// cellPage is how many bytes of objects a cell gets at once: below what a result may have.
	cellPage = 200 << 10
	// patchAttempts is how often a patch is made for an object that others make at the same time.
	patchAttempts = 5
	// deletedFor is how long a deleted object's row stays.
	deletedFor = 30 * 24 * time.Hour
)

// RunObject performs a call that writes, and commits what settle makes of its result, in one transaction; the fence
// comes last. It is to objects what RunTool is to SQL tools.
func (s *Store) RunObject(ctx context.Context, call objects.Call, settle Settle) error {
	return s.recorded(ctx, func(tx pgx.Tx) (json.RawMessage, *jobs.Fault, error) { return s.runObject(ctx, tx, call) }, settle)
}

func (s *Store) runObject(ctx context.Context, tx pgx.Tx, call objects.Call) (json.RawMessage, *jobs.Fault, error) {
	enter := &pgx.Batch{}
	enter.Queue("savepoint object")
	enter.Queue("select set_config('statement_timeout', $1, true)", fmt.Sprintf("%dms", objectTimeout.Milliseconds()))
	if err := tx.SendBatch(ctx, enter).Close(); err != nil {
		return nil, nil, wrap(err, "enter %s", call.Name)
	}
	value, err := s.change(ctx, tx, call)
	if err == nil {
		return value, nil, wrap(leave(ctx, tx, "release savepoint object"), "leave %s", call.Name)
	}
	if fault := objectFault(call, err); fault != nil {
		return nil, fault, wrap(leave(ctx, tx, "rollback to savepoint object"), "leave %s", call.Name)
	}
	return nil, nil, err
}

func (s *Store) change(ctx context.Context, tx pgx.Tx, call objects.Call) (json.RawMessage, error) {
	q := s.q.WithTx(tx)
	switch call.Name {
	case objects.Put:
		o, _, err := writeObject(ctx, q, call, call.Value, call.Expected)
		return o.Receipt(), err
	case objects.Delete:
		o, _, err := writeObject(ctx, q, call, nil, call.Expected)
		if err == nil && o.Version == 0 {
			return json.RawMessage("null"), nil
		}
		return o.Receipt(), err
	case objects.Update:
		o, err := patchObject(ctx, tx, q, call)
		return o.JSON(), err
	default:
		return nil, fmt.Errorf("store: %s writes nothing", call.Name)
	}
}

// patchObject applies a merge patch under the lock of the object's row. Where there is no row there is no lock: then
// the object is made, unless somebody else has just made it, and that one is patched.
func patchObject(ctx context.Context, tx pgx.Tx, q *db.Queries, call objects.Call) (o objects.Object, err error) {
	for range patchAttempts {
		old, err := q.ObjectLock(ctx, db.ObjectLockParams{Prefix: call.Prefix, Collection: call.Collection, Key: call.Key})
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return o, wrap(err, "lock object %s/%s", call.Collection, call.Key)
		}
		value, err := objects.Merge(old.Value, call.Value)
		if err != nil {
			return o, err
		}
		expected := call.Expected
		if expected == nil && old.Value == nil {
			absent := objects.Absent
			expected = &absent
		}
		o, _, err = writeObject(ctx, q, call, value, expected)
		conflict := (*objects.ConflictError)(nil)
		if call.Expected != nil || !errors.As(err, &conflict) {
			return o, err
		}
		if _, err := tx.Exec(ctx, "rollback to savepoint object", pgx.QueryExecModeSimpleProtocol); err != nil {
			return o, wrap(err, "patch object %s/%s", call.Collection, call.Key)
		}
	}
	return o, &objects.ConflictError{Message: fmt.Sprintf("object %s/%s was made and deleted %d times meanwhile: try again later",
		call.Collection, call.Key, patchAttempts)}
}

// writeObject writes, or with a nil value deletes. Version 0: there was nothing to delete.
func writeObject(ctx context.Context, q *db.Queries, call objects.Call, value json.RawMessage, expected *int64) (objects.Object, bool, error) {
	var content *string
	if value != nil {
		text := string(value)
		content = &text
	}
	row, err := q.ObjectWrite(ctx, db.ObjectWriteParams{
		Prefix: call.Prefix, Collection: call.Collection, Key: call.Key, Value: content, Expected: expected, By: call.By,
	})
	if err != nil {
		return objects.Object{}, false, objectError(err, call)
	}
	return objects.Object{Key: call.Key, Version: row.Version, Value: value, UpdatedAt: row.UpdatedAt, UpdatedBy: call.By}, row.Created, nil
}

// objectError turns what the function of the database raises into errors that say what to do.
func objectError(err error, call objects.Call) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch pg.Code {
		case "ST412":
			version, _ := strconv.ParseInt(pg.Detail, 10, 64)
			return &objects.ConflictError{Message: pg.Message, Version: version}
		case "ST413", "22023", "22P02", "54001":
			return &objects.InvalidError{Message: pg.Message}
		}
	}
	return wrap(err, "write object %s/%s", call.Collection, call.Key)
}

// objectFault is a failure as code gets it; nil: the transaction is lost, and the call may be repeated.
func objectFault(call objects.Call, err error) *jobs.Fault {
	conflict, invalid := (*objects.ConflictError)(nil), (*objects.InvalidError)(nil)
	var pg *pgconn.PgError
	switch {
	case errors.As(err, &conflict):
		return &jobs.Fault{Name: "ConflictError", Code: "conflict", Message: conflict.Message, Data: fmt.Appendf(nil, `{"version":%d}`, conflict.Version)}
	case errors.As(err, &invalid):
		return &jobs.Fault{Name: "LimitError", Code: "limit", Message: invalid.Message}
	case errors.As(err, &pg) && pg.Code == "57014":
		return &jobs.Fault{Name: "TimeoutError", Code: "timeout", Message: fmt.Sprintf(
			"%s waited %s for another transaction that holds %s/%s: try again later", call.Name, objectTimeout, call.Collection, call.Key)}
	case errors.As(err, &pg) && !retryable(pg):
		return sqlFault(pg)
	default:
		return nil
	}
}

// ReadObjects answers a call that only reads, as code gets it.
func (s *Store) ReadObjects(ctx context.Context, call objects.Call) (json.RawMessage, error) {
	if call.Name == objects.List {
		page, err := s.ListObjects(ctx, call, cellPage)
		return page.JSON(cellPage), err
	}
	o, err := s.Object(ctx, call.Prefix, call.Collection, call.Key)
	if errors.Is(err, ErrNotFound) {
		return json.RawMessage("null"), nil
	}
	return o.JSON(), err
}

// Object reads an object; ErrNotFound: there is none.
func (s *Store) Object(ctx context.Context, prefix, collection, key string) (objects.Object, error) {
	row, err := s.q.ObjectGet(ctx, db.ObjectGetParams{Prefix: prefix, Collection: collection, Key: key})
	return objects.Object{Key: key, Version: row.Version, Value: row.Value, UpdatedAt: row.UpdatedAt, UpdatedBy: row.UpdatedBy},
		wrap(err, "read object %s/%s", collection, key)
}

// ObjectVersion reads one version that is kept, a deletion included; ErrNotFound: it is not.
func (s *Store) ObjectVersion(ctx context.Context, prefix, collection, key string, version int64) (objects.Object, error) {
	row, err := s.q.ObjectGetVersion(ctx, db.ObjectGetVersionParams{Prefix: prefix, Collection: collection, Key: key, Version: version})
	return objects.Object{Key: key, Version: version, Value: row.Value, UpdatedAt: row.UpdatedAt, UpdatedBy: row.UpdatedBy},
		wrap(err, "read object %s/%s version %d", collection, key, version)
}

// ListObjects reads a page of at most budget bytes, and of at least one object if there is any.
func (s *Store) ListObjects(ctx context.Context, call objects.Call, budget int) (objects.Page, error) {
	rows, err := s.q.ObjectsList(ctx, db.ObjectsListParams{
		Prefix: call.Prefix, Collection: call.Collection, Begins: call.Begins, After: call.After, Most: int32(call.Limit), Budget: int64(budget),
	})
	if err != nil {
		return objects.Page{}, wrap(err, "list objects of %s", call.Collection)
	}
	var page objects.Page
	for _, r := range rows {
		page.Objects = append(page.Objects, objects.Object{Key: r.Key, Version: r.Version, Value: r.Value, UpdatedAt: r.UpdatedAt, UpdatedBy: r.UpdatedBy})
	}
	if n := len(rows); n > 0 && rows[0].Found > int64(n) {
		page.Next = rows[n-1].Key
	}
	return page, nil
}

// WriteObject writes an object outside of any job, or with a nil value deletes it. created: there was none before;
// version 0: there was nothing to delete.
func (s *Store) WriteObject(ctx context.Context, call objects.Call) (o objects.Object, created bool, err error) {
	return writeObject(ctx, s.q, call, call.Value, call.Expected)
}

// MarkObjects says where an object or, without a key, a collection is now: what a wait for a change begins from.
func (s *Store) MarkObjects(ctx context.Context, prefix, collection string, key *string) (json.RawMessage, error) {
	if key == nil {
		snapshot, err := s.q.Snapshot(ctx)
		return json.RawMessage(strconv.Quote(snapshot)), wrap(err, "read a snapshot")
	}
	version, err := s.q.ObjectVersion(ctx, db.ObjectVersionParams{Prefix: prefix, Collection: collection, Key: *key})
	return json.RawMessage(strconv.FormatInt(version, 10)), wrap(err, "read the version of %s/%s", collection, *key)
}

// CollectObjects takes out the rows of objects that were deleted a month ago, and returns how many.
func (s *Store) CollectObjects(ctx context.Context) (int64, error) {
	n, err := s.q.ObjectsCollect(ctx, db.ObjectsCollectParams{Before: s.Waits.now().Add(-deletedFor), Most: 1000})
	return n, wrap(err, "collect objects")
}
