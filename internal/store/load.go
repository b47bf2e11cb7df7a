package store

import (
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"statek/internal/jobs"
	"statek/internal/store/db"
)

// queueLoad appends the statements that read jobs with their mail, variables and, of those that sleep, the open cell.
// A job that does not exist is left as it is.
func queueLoad(b *pgx.Batch, ids []jobs.ID, record func(jobs.ID) *jobs.Record) {
	b.Queue(db.JobsLoad, ids).Query(func(rows pgx.Rows) error {
		list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[db.JobsLoadRow])
		for _, r := range list {
			if err == nil {
				err = fill(record(r.ID), r)
			}
		}
		return err
	})
	queueMail(b, ids, record)
	b.Queue(db.VariablesOf, ids).Query(func(rows pgx.Rows) error {
		list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[db.VariablesOfRow])
		for _, r := range list {
			rec := record(r.JobID)
			rec.Variables = append(rec.Variables, variable(r.Name, r.Value, r.Type, r.Refused))
		}
		return err
	})
	b.Queue(db.HistoryOfSleepers, ids).Query(func(rows pgx.Rows) error {
		list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[db.StatekHistory])
		if err != nil {
			return err
		}
		for _, r := range list {
			e, err := entries([]db.HistoryAfterRow{{Seq: r.Seq, Kind: r.Kind, Cell: r.Cell, Call: r.Call, At: r.At, Payload: r.Payload}})
			if err != nil {
				return err
			}
			rec := record(r.JobID)
			rec.Open = append(rec.Open, e...)
		}
		return nil
	})
}

func queueMail(b *pgx.Batch, ids []jobs.ID, record func(jobs.ID) *jobs.Record) {
	b.Queue(db.MailboxOf, ids).Query(func(rows pgx.Rows) error {
		list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[db.MailboxOfRow])
		for _, r := range list {
			rec := record(r.JobID)
			rec.Mail = append(rec.Mail, letter(r))
		}
		return err
	})
}

func fill(rec *jobs.Record, row db.JobsLoadRow) error {
	rec.Hold, rec.Seq, rec.Generation = jobs.Hold{Job: row.ID, Epoch: row.Epoch}, row.Seq, row.Generation
	if row.Owner != nil {
		rec.Owner = *row.Owner
	}
	if err := json.Unmarshal(row.Core, &rec.State); err != nil {
		return fmt.Errorf("store: decode job %s: %w", row.ID, err)
	}
	if err := json.Unmarshal(row.Spec, &rec.Spec); err != nil {
		return fmt.Errorf("store: decode the spec of job %s: %w", row.ID, err)
	}
	rec.Spec.Prefix, rec.Spec.Role, rec.Spec.AgentID, rec.Spec.AgentVersion = row.Prefix, row.Role, row.AgentID, int(row.AgentVersion)
	rec.Spec.Locale, rec.Spec.CreatedAt = row.Locale, row.CreatedAt
	return nil
}

func letter(r db.MailboxOfRow) jobs.Mail {
	return jobs.Mail{ID: r.ID, Kind: r.Kind, Cell: int(r.Cell), Call: int(r.Call), Payload: r.Payload, At: r.CreatedAt, Woke: r.Evidence}
}

func variable(name string, value json.RawMessage, kind string, refused *string) jobs.Variable {
	v := jobs.Variable{Name: name, Value: value, Type: kind}
	if refused != nil {
		v.Refused = *refused
	}
	return v
}
