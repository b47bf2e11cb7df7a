package jsvm

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/dop251/goja"
)

const maxJSONDepth = 2000

// decodeJSON parses exactly the recorded bytes.
func (s *session) decodeJSON(text []byte) (goja.Value, error) {
	if depth := jsonDepth(string(text)); depth > maxJSONDepth {
		return nil, fmt.Errorf("nested %d deep; the limit is %d", depth, maxJSONDepth)
	}
	if v := s.parseScalar(text); v != nil {
		return v, nil
	}
	return s.js.call(callParse, s.vm.ToValue(string(text)))
}

// longestScalar bounds the texts that are read and written here. Most of what tools take and give are such, and a cell
// that has no other JSON need not make the built-in.
const longestScalar = 256

// parseScalar reads what JSON.parse would, if it is a short number or text without surprises; else it is nil.
func (s *session) parseScalar(text []byte) goja.Value {
	switch {
	case len(text) == 0 || len(text) > longestScalar:
		return nil
	case text[0] == '"':
		if inner := string(text[1:]); strings.HasSuffix(inner, `"`) && unescaped(inner[:len(inner)-1]) {
			return s.vm.ToValue(inner[:len(inner)-1])
		}
		return nil
	}
	switch word := string(text); word {
	case "null":
		return goja.Null()
	case "true", "false":
		return s.vm.ToValue(word == "true")
	default:
		n, err := strconv.ParseInt(word, 10, 32)
		if err != nil || strconv.FormatInt(n, 10) != word { // +1, 01, -0
			return nil
		}
		return s.vm.ToValue(n)
	}
}

// formatScalar writes what JSON.stringify would, likewise.
func formatScalar(v goja.Value) (text string, ok bool) {
	if _, isObject := v.(*goja.Object); isObject {
		return "", false
	}
	switch x := v.Export().(type) {
	case nil:
		return "null", goja.IsNull(v)
	case bool:
		return strconv.FormatBool(x), true
	case int64:
		return strconv.FormatInt(x, 10), true
	case string: // or a symbol
		if goja.IsString(v) && len(x) <= longestScalar && unescaped(x) {
			return `"` + x + `"`, true
		}
	}
	return "", false
}

// unescaped tells texts that JSON writes as they are.
func unescaped(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// stringify is JSON.stringify as no script can have changed it.
func (s *session) stringify(v goja.Value) (goja.Value, error) {
	if text, ok := formatScalar(v); ok {
		return s.vm.ToValue(text), nil
	}
	return s.js.call(callStringify, v)
}

// stringifyAll does so for a list.
func (s *session) stringifyAll(values []goja.Value) (goja.Value, error) {
	texts := make([]string, 0, len(values))
	for _, v := range values {
		text, ok := formatScalar(v)
		if !ok {
			break
		}
		texts = append(texts, text)
	}
	if len(texts) == len(values) {
		return s.vm.ToValue("[" + strings.Join(texts, ",") + "]"), nil
	}
	list := make([]any, len(values))
	for i, v := range values {
		list[i] = v
	}
	return s.js.call(callStringify, s.vm.NewArray(list...))
}

// jsonDepth is an upper bound of the nesting of JSON text, found without recursion.
func jsonDepth(text string) int {
	depth, deepest := 0, 0
	quoted := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			depth++
			deepest = max(deepest, depth)
		case c == ']' || c == '}':
			depth = max(0, depth-1)
		}
	}
	return min(deepest, math.MaxInt32)
}
