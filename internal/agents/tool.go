package agents

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"statek/internal/sqldef"
)

// ParseTool reads tools/<name>.sql or tools/<name>.http.yaml. The tool's name is the file's. Failures are
// *FileError.
func ParseTool(file, text string) (Tool, error) {
	base := path.Base(file)
	var tool Tool
	var err error
	switch {
	case strings.HasSuffix(base, ".sql"):
		tool, err = parseSQLTool(strings.TrimSuffix(base, ".sql"), text)
	case strings.HasSuffix(base, ".http.yaml"):
		tool, err = parseHTTPTool(strings.TrimSuffix(base, ".http.yaml"), text)
	default:
		err = lineErrorf(1, "a tool is a file such as name.sql or name.http.yaml")
	}
	if err == nil {
		if err = tool.Validate(); err == nil {
			return tool, nil
		}
	}
	line := 1
	var le *lineError
	var se *sqldef.Error
	switch {
	case errors.As(err, &le):
		line, err = le.line, errors.New(le.msg)
	case errors.As(err, &se):
		line, err = se.Line, errors.New(se.Msg)
	}
	return Tool{}, &FileError{File: file, Line: line, Msg: err.Error()}
}

// Validate reports the first thing that would keep the tool from being called.
func (t Tool) Validate() error {
	if err := CheckName(t.Name); err != nil {
		return fmt.Errorf("tool %w", err)
	}
	seen := map[string]bool{}
	for _, p := range t.Params {
		if err := checkIdentifier(p.Name); err != nil {
			return fmt.Errorf("parameter %w", err)
		}
		if seen[p.Name] {
			return fmt.Errorf("parameter %q is declared twice", p.Name)
		}
		seen[p.Name] = true
	}
	if err := checkTimeout(t.Timeout); err != nil {
		return err
	}
	if err := t.validateRetry(); err != nil {
		return err
	}
	for what, schema := range map[string][]byte{"input": t.Input, "output": t.Output} {
		if _, err := compileSchema(schema); err != nil {
			return fmt.Errorf("%s schema: %w", what, err)
		}
	}
	switch {
	case t.Kind == SQLTool && t.SQL != nil:
		return t.SQL.validate()
	case t.Kind == HTTPTool && t.HTTP != nil:
		return t.HTTP.validate(t.Params)
	case t.Kind == GoTool:
		return nil
	default:
		return fmt.Errorf("tool %s has kind %q and no definition of that kind", t.Name, t.Kind)
	}
}

// Limit is the time one attempt may take.
func (t Tool) Limit() time.Duration {
	if d, err := time.ParseDuration(t.Timeout); err == nil && d > 0 {
		return d
	}
	if t.Kind == SQLTool {
		return 10 * time.Second
	}
	return 30 * time.Second
}

const maxToolTimeout = 15 * time.Minute

func checkTimeout(text string) error {
	if text == "" {
		return nil
	}
	if d, err := time.ParseDuration(text); err != nil || d <= 0 || d > maxToolTimeout {
		return fmt.Errorf("timeout must be a duration up to 15m, such as 5s, got %q", text)
	}
	return nil
}

type lineError struct {
	line int
	msg  string
}

func (e *lineError) Error() string { return fmt.Sprintf("line %d: %s", e.line, e.msg) }

func lineErrorf(line int, format string, args ...any) error {
	return &lineError{line: line, msg: fmt.Sprintf(format, args...)}
}
