package objects

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Merge applies a JSON merge patch (RFC 7386). What the patch does not touch keeps its bytes and its place,
// which a library that goes through maps would not give: code sees the order of members, and numbers are
// exact. A nil target is no document.
func Merge(target, patch json.RawMessage) (json.RawMessage, error) {
	if !isObject(patch) {
		return patch, nil
	}
	changes, err := parseMembers(patch)
	if err != nil {
		return nil, err
	}
	var doc members
	if isObject(target) {
		if doc, err = parseMembers(target); err != nil {
			return nil, err
		}
	}
	for _, c := range changes.list {
		if isNull(c.value) {
			doc.remove(c.id)
			continue
		}
		merged, err := Merge(doc.get(c.id), c.value)
		if err != nil {
			return nil, err
		}
		doc.set(member{c.id, c.name, merged})
	}
	return doc.text(), nil
}

func isObject(raw json.RawMessage) bool {
	trimmed := bytes.TrimLeft(raw, " \t\r\n")
	return len(trimmed) > 0 && trimmed[0] == '{'
}

// member is one member of an object: its identity, its name as it is written, its value as it is written.
type member struct {
	id    string
	name  string
	value json.RawMessage
}

// members are those of one object, in order, each name once.
type members struct {
	list  []member
	index map[string]int // of the place in list; a removed one has no value
}

func parseMembers(raw json.RawMessage) (members, error) {
	var m members
	dec := json.NewDecoder(bytes.NewReader(raw))
	if _, err := dec.Token(); err != nil {
		return m, fmt.Errorf("objects: read document: %w", err)
	}
	for dec.More() {
		from := dec.InputOffset()
		token, err := dec.Token()
		if err != nil {
			return m, fmt.Errorf("objects: read document: %w", err)
		}
		id, _ := token.(string)
		name := strings.TrimLeft(string(raw[from:dec.InputOffset()]), " \t\r\n,")
		if strings.ContainsRune(id, utf8.RuneError) {
			id = "\x00" + name // lone surrogates look alike when they are decoded
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return m, fmt.Errorf("objects: read document: %w", err)
		}
		m.set(member{id, name, value})
	}
	return m, nil
}

func (m *members) get(id string) json.RawMessage {
	if i, ok := m.index[id]; ok {
		return m.list[i].value
	}
	return nil
}

// set keeps the place of a member that is there, as JavaScript does.
func (m *members) set(x member) {
	if i, ok := m.index[x.id]; ok {
		m.list[i].value = x.value
		return
	}
	if m.index == nil {
		m.index = map[string]int{}
	}
	m.index[x.id] = len(m.list)
	m.list = append(m.list, x)
}

func (m *members) remove(id string) {
	if i, ok := m.index[id]; ok {
		m.list[i].value = nil
		delete(m.index, id)
	}
}

func (m *members) text() json.RawMessage {
	out := []byte{'{'}
	for _, x := range m.list {
		if x.value == nil {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(out, x.name...), ':'), x.value...)
	}
	return append(out, '}')
}
