package temporal

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// What statek.schema_problem understands. A keyword that it does not would promise a check that nobody makes.
var (
	schemaTypes       = []string{"null", "boolean", "object", "array", "number", "integer", "string"}
	schemaCounts      = []string{"minLength", "maxLength", "minItems", "maxItems"}
	schemaNumbers     = []string{"minimum", "maximum"}
	schemaAnnotations = []string{"title", "description", "default", "examples", "$schema"}
)

// checkSchema refuses schemas with parts that answers would not be held to.
func checkSchema(schema any, path string) error {
	if _, ok := schema.(bool); ok {
		return nil
	}
	fields, ok := schema.(map[string]any)
	if !ok {
		return fmt.Errorf("%s must be an object such as {type: \"object\", properties: {…}}", path)
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if err := checkKeyword(name, fields[name], path); err != nil {
			return err
		}
	}
	return nil
}

func checkKeyword(name string, value any, path string) error {
	place := path + "." + name
	switch {
	case slices.Contains(schemaAnnotations, name) || name == "const":
		return nil
	case name == "type":
		return checkTypes(value, place)
	case name == "enum":
		if list, ok := value.([]any); !ok || len(list) == 0 {
			return fmt.Errorf("%s must be a list of values", place)
		}
		return nil
	case slices.Contains(schemaNumbers, name) || slices.Contains(schemaCounts, name):
		if n, ok := value.(float64); !ok || slices.Contains(schemaCounts, name) && (n < 0 || n != float64(int64(n))) {
			return fmt.Errorf("%s must be a number, got %v", place, value)
		}
		return nil
	case name == "required":
		list, ok := value.([]any)
		if !ok || slices.ContainsFunc(list, func(x any) bool { _, text := x.(string); return !text }) {
			return fmt.Errorf("%s must be a list of names", place)
		}
		return nil
	case name == "properties":
		fields, ok := value.(map[string]any)
		if !ok {
			return fmt.Errorf("%s must be an object of schemas", place)
		}
		for _, field := range slices.Sorted(maps.Keys(fields)) {
			if err := checkSchema(fields[field], place+"."+field); err != nil {
				return err
			}
		}
		return nil
	case name == "items" || name == "additionalProperties":
		return checkSchema(value, place)
	default:
		return fmt.Errorf("%s is not supported here; known are type, enum, const, properties, required, additionalProperties, items, %s",
			place, strings.Join(append(slices.Clone(schemaNumbers), schemaCounts...), ", "))
	}
}

func checkTypes(value any, place string) error {
	list, ok := value.([]any)
	if !ok {
		list = []any{value}
	}
	for _, name := range list {
		if text, ok := name.(string); !ok || !slices.Contains(schemaTypes, text) {
			return fmt.Errorf("%s must be one of %s, got %v", place, strings.Join(schemaTypes, ", "), name)
		}
	}
	if len(list) == 0 {
		return fmt.Errorf("%s must name a type", place)
	}
	return nil
}
