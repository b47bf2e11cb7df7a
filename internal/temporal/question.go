package temporal

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Question is what an approval asks a person. Its JSON parts are canonical; nil: not given.
type Question struct {
	Title string
	// Options are {value, label, description}; an answer without text names one of the values.
	Options  json.RawMessage
	FreeText bool
	// Args are proposed arguments that the answer may change, within Schema.
	Args, Schema, Data json.RawMessage
	Assignee           string
}

// Option is one possible answer.
type Option struct {
	Value       string `json:"value"`
	Label       string `json:"label,omitempty"`
	Description string `json:"description,omitempty"`
}

const approvalUsage = "approval({title, options, freeText, args, schema, data, assignee, timeout})"

// approval asks a person.
func (p *planner) approval() error {
	p.spec.Kind = Approval
	if err := p.count(1, 1, approvalUsage); err != nil {
		return err
	}
	if text := scalarText(p.args[0]); text != nil { // approval("Pay?")
		p.args[0] = mustObject("title", marshal(*text))
	}
	fields, err := p.options(0, "title", "question", "options", "freeText", "args", "schema", "data", "assignee", "timeout", "expires")
	if err != nil {
		return err
	}
	q := &Question{Args: fields["args"], Data: fields["data"]}
	for _, read := range []func(*Question, map[string]json.RawMessage) error{p.title, p.choices, p.schema, p.expiry} {
		if err := read(q, fields); err != nil {
			return err
		}
	}
	p.spec.Question = q
	return nil
}

func (p *planner) title(q *Question, fields map[string]json.RawMessage) error {
	name := "title"
	if fields["question"] != nil {
		if fields["title"] != nil {
			return p.wrong("question", "means the same as title: give one of them")
		}
		name = "question"
	}
	if fields[name] == nil {
		return p.wrong("title", "is missing; write %s", approvalUsage)
	}
	var err error
	if q.Title, err = boundedText(fields[name], 2000); err != nil {
		return p.wrong(name, "%s", err)
	}
	if raw := fields["assignee"]; raw != nil {
		if q.Assignee, err = boundedText(raw, 200); err != nil {
			return p.wrong("assignee", "%s", err)
		}
	}
	return nil
}

// choices reads what may be answered. Without options it is approve or reject, or free text alone.
func (p *planner) choices(q *Question, fields map[string]json.RawMessage) error {
	if raw := fields["freeText"]; raw != nil && json.Unmarshal(raw, &q.FreeText) != nil {
		return p.wrong("freeText", "must be true or false, got %s", brief(raw))
	}
	options := []Option{{Value: "approve"}, {Value: "reject"}}
	if q.FreeText {
		options = []Option{}
	}
	if raw := fields["options"]; raw != nil {
		var list []json.RawMessage
		if json.Unmarshal(raw, &list) != nil || len(list) == 0 || len(list) > 50 {
			return p.wrong("options", "must be a list of 1 to 50 texts or {value, label, description}, got %s", brief(raw))
		}
		options = options[:0]
		for i, item := range list {
			o, err := option(item)
			if err == nil && slices.ContainsFunc(options, func(x Option) bool { return x.Value == o.Value }) {
				err = fmt.Errorf("%q is there twice", o.Value)
			}
			if err != nil {
				return p.wrong(fmt.Sprintf("options[%d]", i), "%s", err)
			}
			options = append(options, o)
		}
	}
	q.Options = marshal(options)
	return nil
}

func option(raw json.RawMessage) (Option, error) {
	const form = `must be a text, or an object such as {value: "pay", label: "Pay now"}, got %s`
	fields, ok := object(raw)
	if !ok {
		value, err := boundedText(raw, 200)
		if err != nil {
			return Option{}, fmt.Errorf(form, brief(raw))
		}
		return Option{Value: value}, nil
	}
	var o Option
	for name, value := range fields {
		into, ok := map[string]*string{"value": &o.Value, "label": &o.Label, "description": &o.Description}[name]
		if !ok {
			return Option{}, fmt.Errorf("has an unknown field %q; known are value, label, description", shorten(name))
		}
		var err error
		if *into, err = boundedText(value, 2000); err != nil {
			return Option{}, fmt.Errorf("%s %w", name, err)
		}
	}
	if o.Value == "" || len([]rune(o.Value)) > 200 {
		return Option{}, fmt.Errorf("needs a value of 1 to 200 characters, got %s", brief(raw))
	}
	return o, nil
}

func (p *planner) schema(q *Question, fields map[string]json.RawMessage) error {
	raw := fields["schema"]
	if raw == nil {
		return nil
	}
	if q.Args == nil {
		return p.wrong("schema", "is about args, which are missing: propose some")
	}
	var schema any
	if json.Unmarshal(raw, &schema) != nil || strings.Contains(string(raw), `\u0000`) {
		return p.wrong("schema", "is not a JSON Schema, got %s", brief(raw))
	}
	if err := checkSchema(schema, "schema"); err != nil {
		return p.wrong("", "%s", err)
	}
	q.Schema = marshal(schema) // lone surrogates become U+FFFD: Postgres reads it as jsonb
	return nil
}

// expiry takes expires for timeout: questions expire.
func (p *planner) expiry(_ *Question, fields map[string]json.RawMessage) error {
	raw := fields["expires"]
	if raw == nil {
		return nil
	}
	if fields["timeout"] != nil {
		return p.wrong("expires", "means the same as timeout: give one of them")
	}
	d, err := Duration(raw)
	if err != nil {
		return p.wrong("expires", "%s", err)
	}
	due := p.scope.Now.Add(d)
	p.spec.Due = &due
	return nil
}

// boundedText reads a text that a column can hold.
func boundedText(raw json.RawMessage, most int) (string, error) {
	var text string
	if json.Unmarshal(raw, &text) != nil || isNull(raw) {
		return "", fmt.Errorf("must be a text, got %s", brief(raw))
	}
	if n := len([]rune(text)); n < 1 || n > most || strings.ContainsRune(text, 0) {
		return "", fmt.Errorf("must have 1 to %d characters and no NUL, got %q", most, shorten(text))
	}
	return text, nil
}
