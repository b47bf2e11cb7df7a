package agents

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// ArgumentError is a call whose arguments do not fit; it is shown to the model.
type ArgumentError struct {
	Tool string
	// Field is the argument, or a path into it such as "/address/city"; empty for the call as a whole.
	Field string
	Msg   string
}

// Error implements error.
func (e *ArgumentError) Error() string {
	if e.Field == "" {
		return e.Tool + ": " + e.Msg
	}
	return fmt.Sprintf("%s: argument %s %s", e.Tool, e.Field, e.Msg)
}

// Binder binds calls of one tool; it keeps the compiled schema. It is safe for concurrent use.
type Binder struct {
	tool   Tool
	schema *jsonschema.Schema
}

// NewBinder prepares a tool's schema.
func NewBinder(tool Tool) (*Binder, error) {
	schema, err := compileSchema(tool.Input)
	if err != nil {
		return nil, fmt.Errorf("agents: input schema of %s: %w", tool.Name, err)
	}
	return &Binder{tool: tool, schema: schema}, nil
}

// BindArgs binds one call; see [Binder.Bind].
func BindArgs(tool Tool, args []json.RawMessage) (map[string]json.RawMessage, error) {
	b, err := NewBinder(tool)
	if err != nil {
		return nil, err
	}
	return b.Bind(args)
}

// Bind gives arguments their names and checks them. Arguments are positional; a single object whose keys
// are all parameter names gives them by name, unless the tool's only parameter may itself be an object.
// Failures are *ArgumentError.
func (b *Binder) Bind(args []json.RawMessage) (map[string]json.RawMessage, error) {
	bound, err := b.name(args)
	if err != nil {
		return nil, err
	}
	for _, p := range b.tool.Params {
		value, given := bound[p.Name]
		if given && p.Optional && isNull(value) {
			// undefined arrives as null: leaving an optional argument out must be possible by place.
			delete(bound, p.Name)
			continue
		}
		if !given {
			if !p.Optional {
				return nil, b.errorf(p.Name, "is missing; call %s", b.usage())
			}
			continue
		}
		if want := mismatch(p.Type, value); b.schema == nil && want != "" {
			return nil, b.errorf(p.Name, "must be %s, got %s", want, shorten(string(value)))
		}
	}
	return bound, b.validate(bound)
}

// name decides between arguments by name and by place.
func (b *Binder) name(args []json.RawMessage) (map[string]json.RawMessage, error) {
	params := b.tool.Params
	for _, arg := range args {
		if !json.Valid(arg) {
			return nil, b.errorf("", "an argument is not JSON")
		}
	}
	if len(args) == 1 && !(len(params) == 1 && mayBeObject(params[0].Type)) {
		if byName, ok, err := b.byName(args[0]); err != nil || ok {
			return byName, err
		}
	}
	// Trailing undefined arguments were not meant to be there.
	for len(args) > len(params) && isNull(args[len(args)-1]) {
		args = args[:len(args)-1]
	}
	if len(args) > len(params) {
		return nil, b.errorf("", "%d arguments were given; call %s", len(args), b.usage())
	}
	bound := make(map[string]json.RawMessage, len(params))
	for i, arg := range args {
		bound[params[i].Name] = arg
	}
	return bound, nil
}

// byName takes an object for named arguments when its keys say so. An object with only some known keys,
// in the place of a parameter that cannot be an object, has a slip in the others.
func (b *Binder) byName(arg json.RawMessage) (map[string]json.RawMessage, bool, error) {
	var object map[string]json.RawMessage
	if bytes.HasPrefix(bytes.TrimSpace(arg), []byte("{")) {
		if err := json.Unmarshal(arg, &object); err != nil {
			return nil, false, b.errorf("", "an argument is not JSON")
		}
	}
	if object == nil {
		return nil, false, nil
	}
	var unknown []string
	for key := range object {
		if !slices.ContainsFunc(b.tool.Params, func(p Param) bool { return p.Name == key }) {
			unknown = append(unknown, key)
		}
	}
	if len(unknown) == 0 {
		return object, true, nil
	}
	if len(b.tool.Params) == 0 || mayBeObject(b.tool.Params[0].Type) {
		return nil, false, nil
	}
	slices.Sort(unknown)
	return nil, false, b.errorf(strconv.Quote(unknown[0]), "is unknown; call %s", b.usage())
}

func (b *Binder) validate(bound map[string]json.RawMessage) error {
	if b.schema == nil {
		return nil
	}
	text, err := json.Marshal(bound)
	if err != nil {
		return b.errorf("", "%s", err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return b.errorf("", "%s", err)
	}
	var invalid *jsonschema.ValidationError
	if err := b.schema.Validate(value); errors.As(err, &invalid) {
		return b.explain(invalid, value)
	} else if err != nil {
		return b.errorf("", "%s", err)
	}
	return nil
}

// explain says what is wrong in the deepest place the validator points at.
func (b *Binder) explain(invalid *jsonschema.ValidationError, value any) error {
	for len(invalid.Causes) > 0 {
		invalid = invalid.Causes[0]
	}
	rule := invalid.ErrorKind.LocalizedString(message.NewPrinter(language.English))
	got := value
	for _, step := range invalid.InstanceLocation {
		switch v := got.(type) {
		case map[string]any:
			got = v[step]
		case []any:
			if i, err := strconv.Atoi(step); err == nil && i < len(v) {
				got = v[i]
			}
		}
	}
	field := strings.Join(invalid.InstanceLocation, "/")
	shown, err := json.Marshal(got)
	if err != nil || field == "" {
		return b.errorf("", "%s; call %s", rule, b.usage())
	}
	return b.errorf(field, "is %s: %s; call %s", shorten(string(shown)), rule, b.usage())
}

func (b *Binder) errorf(field, format string, args ...any) error {
	return &ArgumentError{Tool: b.tool.Name, Field: field, Msg: fmt.Sprintf(format, args...)}
}

// usage is the call as it should be.
func (b *Binder) usage() string {
	names := make([]string, len(b.tool.Params))
	for i, p := range b.tool.Params {
		names[i] = p.Name + optional(p.Optional) + ": " + orAny(p.Type)
	}
	return b.tool.Name + "(" + strings.Join(names, ", ") + ")"
}

func mayBeObject(typ string) bool {
	switch strings.TrimSuffix(typ, "[]") {
	case "string", "number", "boolean":
		return false
	default:
		return true
	}
}

func isNull(value json.RawMessage) bool { return string(bytes.TrimSpace(value)) == "null" }

// mismatch names what a value of the TypeScript type would be, when value is not one. It knows the types
// SQL parameters have; null is a value of all of them, and a numeric text is a number: some are too large
// to be written as one.
func mismatch(typ string, value json.RawMessage) string {
	text := bytes.TrimSpace(value)
	if isNull(text) {
		return ""
	}
	if item, isArray := strings.CutSuffix(typ, "[]"); isArray {
		var items []json.RawMessage
		if json.Unmarshal(text, &items) != nil {
			return "an array of " + item
		}
		for _, v := range items {
			if want := mismatch(item, v); want != "" {
				return "an array whose items are each " + want
			}
		}
		return ""
	}
	switch {
	case typ == "string" && text[0] != '"':
		return "a string"
	case typ == "boolean" && text[0] != 't' && text[0] != 'f':
		return "true or false"
	case typ == "number" && !isNumeric(text):
		return "a number"
	default:
		return ""
	}
}

func isNumeric(text []byte) bool {
	var s string
	if json.Unmarshal(text, &s) != nil {
		s = string(text)
	}
	_, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	return err == nil || errors.Is(err, strconv.ErrRange)
}
