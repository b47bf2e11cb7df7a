package jsvm

import (
	"fmt"
	"math"

	"github.com/dop251/goja"
)

const maxJSONDepth = 2000

// decodeJSON parses exactly the recorded bytes.
func (s *session) decodeJSON(text []byte) (goja.Value, error) {
	if depth := jsonDepth(string(text)); depth > maxJSONDepth {
		return nil, fmt.Errorf("nested %d deep; the limit is %d", depth, maxJSONDepth)
	}
	return s.js.call(callParse, s.vm.ToValue(string(text)))
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
