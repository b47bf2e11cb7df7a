package agents

import (
	"fmt"
	"slices"

	"statek/internal/sqldef"
)

// What a SQL tool returns.
const (
	ReturnsMany  = "many"
	ReturnsOne   = "one"
	ReturnsValue = "value"
	ReturnsNone  = "none"
)

// Builtins are the parameters every SQL statement may name without declaring them.
func Builtins() []sqldef.Param {
	return []sqldef.Param{{Name: "job_id", Type: "uuid"}, {Name: "prefix", Type: "text"}}
}

// parseSQLTool reads "-- tool: name(param type)", description lines, "-- returns:", "-- timeout:", "-- batch:",
// "-- retry:", "-- on_exhausted:", and one statement.
func parseSQLTool(name, text string) (Tool, error) {
	file, err := sqldef.Sections(text, sqldef.Layout{Keys: []string{"tool", "returns", "timeout", "batch", "retry", "on_exhausted"}})
	if err != nil {
		return Tool{}, err
	}
	header, ok, err := file.Header("tool")
	if err != nil {
		return Tool{}, err
	}
	if !ok {
		return Tool{}, lineErrorf(1, `the header "-- tool: %s(param type)" is missing`, name)
	}
	sig, err := sqldef.ParseSignature(header.Value)
	if err != nil {
		return Tool{}, lineErrorf(header.Line, "%s", err)
	}
	if sig.Name != name {
		return Tool{}, lineErrorf(header.Line, "tool %q must have its file's name, %q", sig.Name, name)
	}
	tool := Tool{
		Name: name, Kind: SQLTool, Description: file.Description, Params: []Param{},
		SQL: &SQLCall{Returns: ReturnsMany},
	}
	for _, p := range sig.Params {
		if err := checkIdentifier(p.Name); err != nil {
			return Tool{}, lineErrorf(header.Line, "parameter %s", err)
		}
		tool.Params = append(tool.Params, Param{Name: p.Name, Type: sqldef.TypeScript(p.Type)})
	}
	if err := sqlOptions(&tool, file); err != nil {
		return Tool{}, err
	}
	statement, err := file.Body.Compile(sig.Params, Builtins()...)
	if err != nil {
		return Tool{}, err
	}
	tool.SQL.Text, tool.SQL.Args, tool.SQL.Params, tool.SQL.Line = statement.SQL, statement.Args, sig.Params, statement.Line
	return tool, nil
}

func sqlOptions(tool *Tool, file sqldef.File) error {
	returns, ok, err := file.Header("returns")
	if err != nil {
		return err
	}
	if ok {
		tool.SQL.Returns = returns.Value
		if err := checkReturns(returns.Value); err != nil {
			return lineErrorf(returns.Line, "%s", err)
		}
	}
	timeout, _, err := file.Header("timeout")
	if err != nil {
		return err
	}
	tool.Timeout = timeout.Value
	if err := checkTimeout(timeout.Value); err != nil {
		return lineErrorf(timeout.Line, "%s", err)
	}
	batch, ok, err := file.Header("batch")
	if err != nil {
		return err
	}
	if ok && batch.Value != "yes" && batch.Value != "no" {
		return lineErrorf(batch.Line, "batch must be yes or no, got %q", batch.Value)
	}
	tool.SQL.Batch = batch.Value == "yes"
	return sqlRetry(tool, file)
}

func sqlRetry(tool *Tool, file sqldef.File) error {
	retry, ok, err := file.Header("retry")
	if err != nil {
		return err
	}
	if ok {
		r, err := ParseRetry(retry.Value)
		if err != nil {
			return lineErrorf(retry.Line, "retry %s", err)
		}
		tool.Retry = &r
	}
	exhausted, _, err := file.Header("on_exhausted")
	if err != nil {
		return err
	}
	tool.OnExhausted = exhausted.Value
	if err := checkExhausted(exhausted.Value); err != nil {
		return lineErrorf(exhausted.Line, "%s", err)
	}
	return nil
}

func (c *SQLCall) validate() error {
	if c.Text == "" {
		return fmt.Errorf("SQL tool has no statement")
	}
	return checkReturns(c.Returns)
}

func checkReturns(text string) error {
	if !slices.Contains([]string{ReturnsMany, ReturnsOne, ReturnsValue, ReturnsNone}, text) {
		return fmt.Errorf("returns must be many, one, value or none, got %q", text)
	}
	return nil
}
