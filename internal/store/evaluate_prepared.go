package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"statek/internal/sqldef"
)

// mostPrepared bounds what one connection keeps for temporals.
const mostPrepared = 50

// prepared are the statements of temporals that a connection keeps: a crowd asks the same again and again, and reading and
// planning SQL takes longer than running it.
type prepared map[string]bool

const preparedKey = "statek.prepared"

// prepare sees to it that the connection keeps a statement, and returns its name; empty: it does not. It is read with the rights of a
// tool, since names are looked up then. Through a pooler nothing can be kept.
func prepare(ctx context.Context, conn *pgx.Conn, st sqldef.Statement) (name string, _ error) {
	name, kept := nameOf(conn, st)
	if name == "" || kept[name] {
		return name, nil
	}
	pc := conn.PgConn()
	if _, err := pc.Exec(ctx, "set local role statek_tool").ReadAll(); err != nil {
		return "", err
	}
	if _, err := pc.Prepare(ctx, name, st.SQL, nil); err != nil {
		return "", err
	}
	kept[name] = true
	_, err := pc.Exec(ctx, "reset role").ReadAll()
	return name, err
}

// nameOf is what a connection calls a statement in what it keeps; empty: it does not keep it.
func nameOf(conn *pgx.Conn, st sqldef.Statement) (name string, kept prepared) {
	if !keeps(conn) {
		return "", nil
	}
	custom := conn.PgConn().CustomData()
	kept, _ = custom[preparedKey].(prepared)
	if kept == nil {
		kept = prepared{}
		custom[preparedKey] = kept
	}
	sum := sha256.Sum256([]byte(st.SQL))
	name = "temporal_" + hex.EncodeToString(sum[:16])
	if !kept[name] && len(kept) >= mostPrepared {
		return "", kept
	}
	return name, kept
}

// keeps reports a connection that no pooler changes for another.
func keeps(conn *pgx.Conn) bool {
	return conn.Config().DefaultQueryExecMode == pgx.QueryExecModeCacheStatement
}

// queueOurs appends a statement of this package among those of a temporal, with values as texts; the connection keeps it if
// it can.
func queueOurs(ctx context.Context, conn *pgx.Conn, b *pgconn.Batch, sql string, values ...[]byte) error {
	if !keeps(conn) {
		b.ExecParams(sql, values, nil, nil, nil)
		return nil
	}
	st, err := conn.Prepare(ctx, sql, sql)
	if err != nil {
		return err
	}
	b.ExecPrepared(st.Name, values, nil, nil)
	return nil
}

// unprepare gives up what the connection keeps: one of the statements has failed, perhaps because a table has other columns by now.
func unprepare(ctx context.Context, conn *pgx.Conn) {
	pc := conn.PgConn()
	kept, _ := pc.CustomData()[preparedKey].(prepared)
	for name := range kept {
		if pc.Deallocate(ctx, name) == nil {
			delete(kept, name)
		}
	}
}

// worn reports a failure that may be a kept statement's: not one of waiting for others.
func worn(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code != "55P03" && pg.Code[:2] != "40"
}

// outdated reports a failure that a kept statement may have because it was read before tables changed, or that it is gone.
func outdated(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code[:2] == "42" || pg.Code == "0A000" || pg.Code == "22P02" || pg.Code == "26000")
}

// asTool appends one statement of a temporal, with several lists of values. The role is set once: whoever wrote one has written all.
// name is what prepare has answered.
func asTool(b *pgconn.Batch, name, sql string, lists [][][]byte) {
	b.ExecParams("set local role statek_tool", nil, nil, nil, nil)
	for _, values := range lists {
		if name != "" {
			b.ExecPrepared(name, values, nil, nil)
		} else {
			b.ExecParams(sql, values, nil, nil, nil)
		}
	}
	b.ExecParams("reset role", nil, nil, nil, nil)
}
