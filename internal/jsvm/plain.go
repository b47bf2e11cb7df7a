package jsvm

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// PlainVariable makes a workspace variable of plain JSON, such as a submission's shared variable.
func PlainVariable(name string, value []byte) (Variable, error) {
	var b bytes.Buffer
	if err := json.Compact(&b, value); err != nil {
		return Variable{}, fmt.Errorf("is not JSON: %w", err)
	}
	plain := b.Bytes()
	if bytes.HasPrefix(plain, []byte(`{"$row":`)) { // the codec's own form; a space makes it the user's
		plain = append([]byte("{ "), plain[1:]...)
	}
	return Variable{Name: escapeName(name), Value: plain, Type: jsonType(plain)}, nil
}

func jsonType(raw []byte) string {
	switch raw[0] {
	case '"':
		return "string"
	case '{':
		return "Object"
	case '[':
		var list []json.RawMessage
		if json.Unmarshal(raw, &list) == nil {
			return fmt.Sprintf("Array(%d)", len(list))
		}
		return "Array"
	case 't', 'f':
		return "boolean"
	case 'n':
		return "null"
	default:
		return "number"
	}
}
