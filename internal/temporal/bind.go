package temporal

import (
	"encoding/json"
	"fmt"
	"strings"

	"statek/internal/sqldef"
)

// Bind lists the values of a statement's parameters, in order, as texts for Postgres; nil is NULL. args is
// a group's Args; extra holds the built-in parameters.
func Bind(st sqldef.Statement, params []sqldef.Param, args json.RawMessage, extra map[string]string) ([][]byte, error) {
	var values map[string]json.RawMessage
	if err := json.Unmarshal(args, &values); err != nil {
		return nil, fmt.Errorf("temporal: read arguments: %w", err)
	}
	types := make(map[string]string, len(params))
	for _, p := range params {
		types[p.Name] = p.Type
	}
	list := make([][]byte, len(st.Args))
	for i, name := range st.Args {
		if pgType, ok := types[name]; ok {
			list[i] = parameter(values[name], pgType)
		} else if text, ok := extra[name]; ok {
			list[i] = []byte(text)
		} else {
			return nil, fmt.Errorf("temporal: bind :%s: it has no value here", name)
		}
	}
	return list, nil
}

// parameter renders a JSON value as the text of a Postgres value.
func parameter(raw json.RawMessage, pgType string) []byte {
	if isNull(raw) {
		return nil
	}
	if isJSON(pgType) {
		return raw
	}
	if text := scalarText(raw); text != nil {
		return []byte(*text)
	}
	var list []json.RawMessage
	if strings.HasSuffix(strings.TrimSpace(pgType), "]") && json.Unmarshal(raw, &list) == nil {
		return []byte(arrayText(list))
	}
	return raw
}

func arrayText(list []json.RawMessage) string {
	parts := make([]string, len(list))
	for i, raw := range list {
		var nested []json.RawMessage
		switch {
		case isNull(raw):
			parts[i] = "NULL"
		case json.Unmarshal(raw, &nested) == nil:
			parts[i] = arrayText(nested)
		default:
			text := string(raw)
			if s := scalarText(raw); s != nil {
				text = *s
			}
			parts[i] = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
		}
	}
	return "{" + strings.Join(parts, ",") + "}"
}
