package temporal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"statek/internal/sqldef"
)

// sqlArgs maps a call's arguments to the temporal's parameters: positional, or one object with their names;
// options with a timeout may follow.
func (p *planner) sqlArgs(params []sqldef.Param) (map[string]json.RawMessage, error) {
	usage := usage(p.spec.Name, params)
	if named, ok := p.named(params); ok {
		if err := p.count(1, 2, usage); err != nil {
			return nil, err
		}
		if _, err := p.options(1, "timeout"); err != nil {
			return nil, err
		}
		if raw, ok := named["timeout"]; ok && !declares(params, "timeout") {
			delete(named, "timeout")
			p.args = []json.RawMessage{mustObject("timeout", raw)}
			if _, err := p.options(0, "timeout"); err != nil {
				return nil, err
			}
		}
		return p.complete(params, named)
	}
	if len(p.args) > len(params)+1 {
		return nil, p.wrong("", "called with %d arguments; write %s", len(p.args), usage)
	}
	if _, err := p.options(len(params), "timeout"); err != nil {
		return nil, err
	}
	values := map[string]json.RawMessage{}
	for i, param := range params {
		if i < len(p.args) {
			values[param.Name] = p.args[i]
		}
	}
	return p.complete(params, values)
}

// named returns the arguments when they come as one object of parameter names. An object given to a json
// parameter, or one with other fields, is positional.
func (p *planner) named(params []sqldef.Param) (map[string]json.RawMessage, bool) {
	if len(p.args) == 0 || len(params) == 0 || isJSON(params[0].Type) {
		return nil, false
	}
	fields, ok := object(p.args[0])
	if !ok || len(fields) == 0 {
		return nil, false
	}
	for name := range fields {
		if name != "timeout" && !declares(params, name) {
			return nil, false
		}
	}
	return fields, true
}

// complete checks every parameter and brings its value to canonical form.
func (p *planner) complete(params []sqldef.Param, values map[string]json.RawMessage) (map[string]json.RawMessage, error) {
	for _, param := range params {
		raw, ok := values[param.Name]
		if !ok {
			return nil, p.wrong(param.Name, "is missing; write %s", usage(p.spec.Name, params))
		}
		value, err := canonical(raw, param.Type)
		if err != nil {
			return nil, p.wrong(param.Name, "%s", err)
		}
		values[param.Name] = value
	}
	return values, nil
}

var integer = regexp.MustCompile(`^-?\d+$`)

// canonical checks a value against a parameter's type and gives equal values equal text. Types that it does
// not know are left to Postgres.
func canonical(raw json.RawMessage, pgType string) (json.RawMessage, error) {
	if isNull(raw) {
		return json.RawMessage("null"), nil
	}
	var text string
	isText := json.Unmarshal(raw, &text) == nil
	if isText && strings.ContainsRune(text, 0) {
		return nil, fmt.Errorf("must not hold a NUL character")
	}
	switch family(pgType) {
	case "text":
		if !isText {
			return nil, fmt.Errorf("must be a string, got %s", brief(raw))
		}
		return marshal(text), nil
	case "int":
		digits := strings.TrimSpace(string(raw))
		if isText {
			digits = strings.TrimSpace(text)
		} else if f, err := strconv.ParseFloat(digits, 64); err == nil && f == float64(int64(f)) && f < 1<<53 && f > -1<<53 {
			digits = strconv.FormatInt(int64(f), 10) // 5.0 and 5e0 are 5
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || !integer.MatchString(digits) {
			return nil, fmt.Errorf("must be an integer, got %s", brief(raw))
		}
		return json.RawMessage(strconv.FormatInt(n, 10)), nil
	case "bool":
		if s := strings.TrimSpace(string(raw)); s == "true" || s == "false" {
			return json.RawMessage(s), nil
		}
		return nil, fmt.Errorf("must be true or false, got %s", brief(raw))
	case "uuid":
		id, err := uuid.Parse(text)
		if !isText || err != nil {
			return nil, fmt.Errorf("must be a UUID, got %s", brief(raw))
		}
		return marshal(id.String()), nil
	}
	var out bytes.Buffer
	if err := json.Compact(&out, raw); err != nil {
		return nil, fmt.Errorf("is not JSON")
	}
	return out.Bytes(), nil
}

// family groups the types whose values have one text; "other" are enums, domains and the rest.
func family(pgType string) string {
	name := strings.ToLower(strings.Join(strings.Fields(pgType), " "))
	if i := strings.IndexByte(name, '('); i >= 0 && !strings.Contains(name, "[") {
		name = strings.TrimSpace(name[:i])
	}
	switch strings.TrimPrefix(name, "pg_catalog.") {
	case "text", "varchar", "character varying", "char", "character", "bpchar", "name":
		return "text"
	case "smallint", "int2", "integer", "int", "int4", "bigint", "int8":
		return "int"
	case "boolean", "bool":
		return "bool"
	case "uuid":
		return "uuid"
	case "numeric", "decimal", "real", "float4", "double precision", "float8", "float", "date", "time", "timetz",
		"timestamp", "timestamptz", "interval", "json", "jsonb", "bytea", "citext", "money", "inet", "cidr", "xml",
		"timestamp with time zone", "timestamp without time zone", "time with time zone", "time without time zone":
		return "ambiguous"
	default:
		if strings.HasSuffix(name, "]") || strings.Contains(name, "time zone") {
			return "ambiguous"
		}
		return "other"
	}
}

func isJSON(pgType string) bool {
	name := strings.ToLower(strings.TrimSpace(pgType))
	return name == "json" || name == "jsonb"
}

func declares(params []sqldef.Param, name string) bool {
	return slices.ContainsFunc(params, func(p sqldef.Param) bool { return p.Name == name })
}

func usage(name string, params []sqldef.Param) string {
	names := make([]string, 0, len(params)+1)
	for _, p := range params {
		names = append(names, p.Name)
	}
	return name + "(" + strings.Join(append(names, "{timeout}"), ", ") + ")"
}

func object(raw json.RawMessage) (map[string]json.RawMessage, bool) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil || fields == nil {
		return nil, false
	}
	return fields, true
}

func sortedKeys(fields map[string]json.RawMessage) []string {
	keys := make([]string, 0, len(fields))
	for key := range fields {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func isNull(raw json.RawMessage) bool {
	return strings.TrimSpace(string(raw)) == "null" || len(raw) == 0
}

func mustObject(name string, value json.RawMessage) json.RawMessage {
	return marshal(map[string]json.RawMessage{name: value})
}

// marshal writes values that cannot fail: strings, and objects of values that were read from JSON.
func marshal(value any) json.RawMessage {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		return json.RawMessage("null")
	}
	return bytes.TrimSpace(out.Bytes())
}
