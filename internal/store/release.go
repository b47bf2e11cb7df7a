package store

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"statek/internal/agents"
	"statek/internal/jobs"
	"statek/internal/temporal"
)

// releaseTimeout bounds giving one value back.
const releaseTimeout = 5 * time.Second

// GoReleaser is a GoTemporal that can give a value back.
type GoReleaser interface {
	Release(ctx context.Context, tx Tx, args, value json.RawMessage, who Waiter) error
}

// GiveBack lets each value's temporal release it, and commits what settle makes of the outcomes, in one
// transaction: "done", why it failed, or empty where there is nothing to release. A release that fails takes
// back only itself.
func (s *Store) GiveBack(ctx context.Context, job jobs.ID, prefix string, values []temporal.Discard,
	settle func(outcomes []string) (jobs.Commit, jobs.Ended, error),
) error {
	broken := map[int]string{}
	for {
		err := s.giveBack(ctx, job, prefix, values, broken, settle)
		var misuse *misuseError
		if !errors.As(err, &misuse) || ctx.Err() != nil {
			return err
		}
	}
}

// giveBack is one attempt. Code that has left its transaction unusable is noted as broken and not called again.
func (s *Store) giveBack(ctx context.Context, job jobs.ID, prefix string, values []temporal.Discard, broken map[int]string,
	settle func(outcomes []string) (jobs.Commit, jobs.Ended, error),
) error {
	tx, err := s.pool.BeginTx(ctx, pgx.TxOptions{})
	if err != nil {
		return wrap(err, "begin releasing")
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	outcomes := make([]string, len(values))
	for i, v := range values {
		if outcomes[i] = broken[i]; outcomes[i] != "" {
			continue
		}
		r := release{tx: tx, who: Waiter{Job: job, Cell: v.Cell, Call: v.Call, Prefix: prefix}, value: v.Value}
		if outcomes[i], err = s.release(ctx, r, v); err != nil {
			var misuse *misuseError
			if errors.As(err, &misuse) {
				broken[i] = text(misuse.Error())
			}
			return err
		}
	}
	commit, ended, err := settle(outcomes)
	if err != nil {
		return err
	}
	return concluded(ended, func() (bool, error) { return s.CommitIn(ctx, tx, commit) })
}

type release struct {
	tx    pgx.Tx
	who   Waiter
	value json.RawMessage
}

func (s *Store) release(ctx context.Context, r release, v temporal.Discard) (string, error) {
	if v.Temporal == "" {
		return "", nil
	}
	id, err := uuid.Parse(v.Temporal)
	if err != nil {
		return "", nil //nolint:nilerr // no version of ours
	}
	def, err := s.Waits.definition(ctx, s.q.WithTx(r.tx), &id)
	if err != nil {
		return unlessLost(err)
	}
	code, _ := s.Waits.Go[def.Name].(GoReleaser)
	if def.Release == nil && (!def.Go || code == nil) {
		return "", nil
	}
	spec, err := temporal.Plan(v.Name, v.Args, temporal.Scope{Prefix: r.who.Prefix, Def: &def, TemporalID: v.Temporal})
	if err != nil {
		return err.Error(), nil //nolint:nilerr // the outcome says it
	}
	if def.Go {
		return r.code(ctx, code, spec.Group.Args)
	}
	return r.statement(ctx, def, spec.Group.Args)
}

// statement runs a temporal's release.
func (r release) statement(ctx context.Context, def temporal.Definition, args json.RawMessage) (string, error) {
	run := agents.SQLRun{
		SQLCall:  agents.SQLCall{Text: def.Release.SQL, Args: def.Release.Args, Params: def.Params, Returns: agents.ReturnsNone},
		Builtins: map[string]string{"job_id": r.who.Job.String(), "prefix": r.who.Prefix, "value": string(r.value)},
		Timeout:  releaseTimeout,
	}
	if err := json.Unmarshal(args, &run.Values); err != nil {
		return "read arguments: " + err.Error(), nil
	}
	values, err := bind(run)
	if err != nil {
		return "TypeError: " + err.Error(), nil //nolint:nilerr // the outcome says it
	}
	_, fault, err := runStatement(ctx, r.tx, run, values)
	if fault != nil {
		return fault.Code + ": " + fault.Message, nil
	}
	return "done", err
}

// code runs the release of an embedding program.
func (r release) code(ctx context.Context, code GoReleaser, args json.RawMessage) (string, error) {
	if err := enterTool(ctx, r.tx, releaseTimeout); err != nil {
		return "", err
	}
	bounded, cancel := context.WithTimeout(ctx, releaseTimeout+codeGrace)
	defer cancel()
	err := guarded(bounded, func(ctx context.Context) error {
		return code.Release(ctx, limited{r.tx}, args, r.value, r.who)
	})
	if conn := r.tx.Conn().PgConn(); conn.IsClosed() || conn.IsBusy() {
		return "", unusable(err, bounded)
	}
	if err == nil {
		return "done", wrap(leave(ctx, r.tx, "release savepoint tool"), "leave release")
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) && retryable(pg) || ctx.Err() != nil {
		return "", wrap(err, "release")
	}
	return text(err.Error()), wrap(leave(ctx, r.tx, "rollback to savepoint tool"), "leave release")
}

// unlessLost makes an outcome of an error, unless the database is away.
func unlessLost(err error) (string, error) {
	if Unavailable(err) {
		return "", err
	}
	return err.Error(), nil
}
