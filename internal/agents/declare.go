package agents

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"statek/internal/sqldef"
)

// Declare writes a tool as a TypeScript declaration with its description.
func Declare(t Tool) string {
	return comment(t.Description) + t.Signature()
}

// Signature is the tool's TypeScript declaration, on one line.
func (t Tool) Signature() string {
	params := make([]string, len(t.Params))
	for i, p := range t.Params {
		params[i] = p.Name + optional(p.Optional) + ": " + orAny(p.Type)
	}
	return declaration(t.Name, params, t.result())
}

// DeclareWait writes a temporal as a TypeScript declaration: every wait takes a timeout, too.
func DeclareWait(name string, params []sqldef.Param, doc string) string {
	return comment(doc) + WaitSignature(name, params)
}

// WaitSignature is a temporal's TypeScript declaration, on one line.
func WaitSignature(name string, params []sqldef.Param) string {
	list := make([]string, 0, len(params)+1)
	for _, p := range params {
		list = append(list, p.Name+": "+sqldef.TypeScript(p.Type))
	}
	list = append(list, "options?: { timeout?: number | string }")
	return declaration(name, list, "any")
}

func declaration(name string, params []string, result string) string {
	return "declare function " + name + "(" + strings.Join(params, ", ") + "): Promise<" + result + ">;"
}

func (t Tool) result() string {
	if len(t.Output) > 0 {
		return schemaType(t.Output, 0)
	}
	if t.SQL == nil {
		return "any"
	}
	switch t.SQL.Returns {
	case ReturnsOne:
		return "Record<string, any> | null"
	case ReturnsMany:
		return "Record<string, any>[]"
	case ReturnsNone:
		return "number"
	default:
		return "any"
	}
}

func comment(doc string) string {
	doc = strings.ReplaceAll(strings.TrimSpace(doc), "*/", "* /")
	if doc == "" {
		return ""
	}
	if !strings.Contains(doc, "\n") {
		return "/** " + doc + " */\n"
	}
	return "/**\n * " + strings.ReplaceAll(doc, "\n", "\n * ") + "\n */\n"
}

func optional(is bool) string {
	if is {
		return "?"
	}
	return ""
}

// maxTypeDepth keeps declarations readable; anything deeper is any.
const maxTypeDepth = 5

// schemaType is the TypeScript type of what a JSON Schema describes, as far as a model needs it.
func schemaType(raw json.RawMessage, depth int) string {
	var s struct {
		Type       any               `json:"type"`
		Enum       []json.RawMessage `json:"enum"`
		Const      json.RawMessage   `json:"const"`
		Properties orderedObject     `json:"properties"`
		Required   []string          `json:"required"`
		Items      json.RawMessage   `json:"items"`
		AnyOf      []json.RawMessage `json:"anyOf"`
		OneOf      []json.RawMessage `json:"oneOf"`
	}
	if depth > maxTypeDepth || json.Unmarshal(raw, &s) != nil {
		return "any"
	}
	switch {
	case len(s.Const) > 0:
		return string(s.Const)
	case len(s.Enum) > 0:
		return union(s.Enum, func(v json.RawMessage) string { return string(v) })
	case len(s.AnyOf)+len(s.OneOf) > 0:
		return union(append(s.AnyOf, s.OneOf...), func(v json.RawMessage) string { return schemaType(v, depth+1) })
	}
	names := []string{}
	switch v := s.Type.(type) {
	case string:
		names = []string{v}
	case []any:
		for _, name := range v {
			names = append(names, fmt.Sprint(name))
		}
	}
	if len(names) == 0 && s.Properties != nil {
		names = []string{"object"}
	}
	return union(names, func(name string) string {
		switch name {
		case "string", "boolean", "null", "number":
			return name
		case "integer":
			return "number"
		case "array":
			return arrayOf(schemaType(s.Items, depth+1))
		case "object":
			return objectType(s.Properties, s.Required, depth)
		default:
			return "any"
		}
	})
}

func union[T any](parts []T, name func(T) string) string {
	var names []string
	for _, part := range parts {
		if n := name(part); !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	if len(names) == 0 || slices.Contains(names, "any") {
		return "any"
	}
	return strings.Join(names, " | ")
}

func arrayOf(item string) string {
	if strings.Contains(item, "|") {
		return "(" + item + ")[]"
	}
	return item + "[]"
}

func objectType(properties orderedObject, required []string, depth int) string {
	if len(properties) == 0 {
		return "Record<string, any>"
	}
	fields := make([]string, len(properties))
	for i, p := range properties {
		name := p.name
		if !jsName.MatchString(name) {
			quoted, _ := json.Marshal(name)
			name = string(quoted)
		}
		missing := !slices.Contains(required, p.name)
		fields[i] = name + optional(missing) + ": " + schemaType(p.value, depth+1)
	}
	return "{ " + strings.Join(fields, "; ") + " }"
}
