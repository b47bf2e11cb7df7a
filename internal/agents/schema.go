package agents

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// noLoader keeps schemas from reaching for files or the network.
type noLoader struct{}

// Load implements jsonschema.URLLoader.
func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("%s is outside the schema; only references within it are followed", url)
}

// compileSchema compiles a JSON Schema (2020-12 unless it says otherwise); nil for none.
func compileSchema(raw json.RawMessage) (*jsonschema.Schema, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(noLoader{})
	if err := compiler.AddResource("schema:tool", doc); err != nil {
		return nil, err
	}
	schema, err := compiler.Compile("schema:tool")
	if err != nil {
		return nil, errors.New(oneLine(err.Error()))
	}
	return schema, nil
}

// schemaParams reads parameters off an object schema, in the order of its properties.
func schemaParams(raw json.RawMessage) ([]Param, error) {
	params := []Param{}
	if raw == nil {
		return params, nil
	}
	var schema struct {
		Properties orderedObject `json:"properties"`
		Required   []string      `json:"required"`
	}
	if err := json.Unmarshal(raw, &schema); err != nil {
		return nil, fmt.Errorf("must be a schema of an object: %w", err)
	}
	for _, property := range schema.Properties {
		params = append(params, Param{
			Name: property.name, Type: schemaType(property.value, 0),
			Optional: !slices.Contains(schema.Required, property.name),
		})
	}
	// Code that passes arguments by place cannot skip one: the optional ones come last.
	slices.SortStableFunc(params, func(a, b Param) int { return rank(a) - rank(b) })
	return params, nil
}

func rank(p Param) int {
	if p.Optional {
		return 1
	}
	return 0
}

// orderedObject is a JSON object with its keys in the order of the text.
type orderedObject []orderedProperty

type orderedProperty struct {
	name  string
	value json.RawMessage
}

// UnmarshalJSON implements json.Unmarshaler.
func (o *orderedObject) UnmarshalJSON(text []byte) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	if tok, err := dec.Token(); err != nil || tok != json.Delim('{') {
		return fmt.Errorf("expected an object, got %s", shorten(string(text)))
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return err
		}
		*o = append(*o, orderedProperty{name: fmt.Sprint(name), value: value})
	}
	return nil
}

// maxDefinitionJSON bounds what YAML's aliases can blow a schema up to.
const maxDefinitionJSON = 256_000

var errTooMuchJSON = fmt.Errorf("becomes more than %d bytes of JSON", maxDefinitionJSON)

// orderedJSON writes what YAML held as JSON, keys in the order of the file. Nothing becomes nil.
func orderedJSON(value any) (json.RawMessage, error) {
	if value == nil {
		return nil, nil
	}
	var out bytes.Buffer
	if err := writeJSON(&out, value); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func writeJSON(out *bytes.Buffer, value any) error {
	if out.Len() > maxDefinitionJSON {
		return errTooMuchJSON
	}
	switch v := value.(type) {
	case yaml.MapSlice:
		out.WriteByte('{')
		for i, item := range v {
			if i > 0 {
				out.WriteByte(',')
			}
			if err := writeJSON(out, fmt.Sprint(item.Key)); err != nil {
				return err
			}
			out.WriteByte(':')
			if err := writeJSON(out, item.Value); err != nil {
				return err
			}
		}
		out.WriteByte('}')
	case []any:
		out.WriteByte('[')
		for i, item := range v {
			if i > 0 {
				out.WriteByte(',')
			}
			if err := writeJSON(out, item); err != nil {
				return err
			}
		}
		out.WriteByte(']')
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return errors.New("JSON has no such number")
		}
		return appendJSON(out, v)
	default:
		return appendJSON(out, v)
	}
	return nil
}

func appendJSON(out *bytes.Buffer, value any) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		return err
	}
	out.Truncate(out.Len() - 1)
	return nil
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

func orAny(typ string) string {
	if strings.TrimSpace(typ) == "" {
		return "any"
	}
	return typ
}

// shorten cuts a value for a message.
func shorten(text string) string {
	const most = 80
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}
