package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"statek/internal/agents"
	"statek/internal/jobs"
)

// query runs the statement. Postgres itself writes the JSON, so numbers stay exact.
func query(ctx context.Context, tx pgx.Tx, call agents.SQLRun, values []any) (json.RawMessage, *jobs.Fault, error) {
	rows, err := tx.Query(ctx, asJSON(call.SQLCall), values...)
	if err != nil {
		return nil, nil, err
	}
	return collect(call, rows)
}

// asJSON asks for rows as JSON. call.* is the row, also where a column has the name call.
func asJSON(call agents.SQLCall) string {
	if call.Returns == agents.ReturnsNone {
		return call.Text
	}
	return "with call as (" + call.Text + "\n) select row_to_json(call.*)::text from call"
}

// collect makes the tool's value out of its rows, or says why code cannot be given it, although the statement has done its work. It
// keeps no more than that takes, however many rows there are.
func collect(call agents.SQLRun, rows pgx.Rows) (json.RawMessage, *jobs.Fault, error) {
	defer rows.Close()
	if call.Returns == agents.ReturnsNone {
		rows.Close()
		return fmt.Append(nil, rows.CommandTag().RowsAffected()), nil, rows.Err()
	}
	many := call.Returns == agents.ReturnsMany || call.Returns == ""
	value, size := []byte("["), 1
	for n := 0; rows.Next(); n++ {
		if !many && n > 0 {
			continue // the first is the answer
		}
		row := rows.RawValues()[0]
		if size += len(row) + 1; many && call.Most > 0 && size > call.Most {
			value = value[:1:1]
			continue
		}
		if n > 0 {
			value = append(value, ',')
		}
		value = append(value, row...)
	}
	if err := rows.Err(); err != nil {
		return nil, nil, err
	}
	switch {
	case many && call.Most > 0 && size > call.Most:
		return nil, jobs.TooLarge(call.Name, size, call.Most), nil
	case many:
		value = append(value, ']')
	default:
		value = value[1:]
	}
	return shape(call, value)
}

// shape makes the tool's value out of its rows, or its first row.
func shape(call agents.SQLRun, rows []byte) (json.RawMessage, *jobs.Fault, error) {
	switch {
	case len(rows) == 0:
		return json.RawMessage("null"), nil, nil
	case !json.Valid(rows): // Postgres has written it
		return nil, &jobs.Fault{Name: "ResultTooLarge", Code: "limit", Message: call.Name +
			" was done, but its result is nested more deeply than 10,000 levels: ask for less"}, nil
	case call.Returns == agents.ReturnsValue:
		v, err := firstValue(string(rows))
		return v, nil, err
	default:
		return rows, nil, nil
	}
}

// firstValue returns the first column of a row_to_json object, verbatim; null when it has none.
func firstValue(row string) (json.RawMessage, error) {
	dec := json.NewDecoder(strings.NewReader(row))
	if _, err := dec.Token(); err != nil { // the brace
		return nil, fmt.Errorf("store: read tool value: %w", err)
	}
	if !dec.More() {
		return json.RawMessage("null"), nil
	}
	if _, err := dec.Token(); err != nil { // the first key
		return nil, fmt.Errorf("store: read tool value: %w", err)
	}
	var v json.RawMessage
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("store: read tool value: %w", err)
	}
	return v, nil
}
