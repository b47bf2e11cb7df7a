package objects

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Sizes of a page.
const (
	DefaultLimit = 50
	MaxLimit     = 200
)

// Call is one call of a function other than Changed, checked.
type Call struct {
	Name       string
	Prefix     string // the job's
	Collection string
	Key        string
	// Value is what Put writes, and the patch of Update.
	Value json.RawMessage
	// Expected is the version that must be there; nil: whatever.
	Expected *int64
	// Begins, After and Limit say what List lists.
	Begins, After string
	Limit         int
	// By is who writes.
	By string
}

// Reads reports whether the call leaves everything as it is.
func (c Call) Reads() bool { return c.Name == Get || c.Name == List }

// ArgumentError is a call whose arguments are not what they must be.
type ArgumentError struct{ Call, Field, Msg string }

// Error implements error.
func (e *ArgumentError) Error() string {
	if e.Field == "" {
		return e.Call + ": " + e.Msg
	}
	return e.Call + ": " + e.Field + " " + e.Msg
}

// usages say how each function is called, and with how many arguments.
var usages = map[string]struct {
	text        string
	least, most int
}{
	Get:    {"objects.get(collection, key)", 2, 2},
	List:   {"objects.list(collection, {prefix, after, limit})", 1, 2},
	Put:    {"objects.put(collection, key, value, {version})", 3, 4},
	Update: {"objects.update(collection, key, patch, {version})", 3, 4},
	Delete: {"objects.delete(collection, key, {version})", 2, 3},
}

// Parse checks a call's arguments.
func Parse(name string, args []json.RawMessage) (Call, error) {
	usage, ok := usages[name]
	if !ok {
		return Call{}, &ArgumentError{Call: name, Msg: "is no function on objects"}
	}
	p := parser{call: Call{Name: name, Limit: DefaultLimit}, args: args}
	if n := len(args); n < usage.least || n > usage.most {
		return Call{}, p.wrong("", "called with %d arguments; write %s", n, usage.text)
	}
	var err error
	if p.call.Collection, err = p.text(0, "collection", CheckCollection); err != nil {
		return Call{}, err
	}
	if name == List {
		return p.call, p.page()
	}
	if p.call.Key, err = p.text(1, "key", CheckKey); err != nil {
		return Call{}, err
	}
	if name == Put || name == Update {
		p.call.Value = args[2]
	}
	return p.call, p.version(usage.least)
}

type parser struct {
	call Call
	args []json.RawMessage
}

func (p *parser) text(i int, field string, check func(string) error) (string, error) {
	var text string
	if isNull(p.args[i]) || json.Unmarshal(p.args[i], &text) != nil {
		return "", p.wrong(field, "must be a string, got %s", brief(string(p.args[i])))
	}
	if !utf8.Valid(p.args[i]) || strings.ContainsRune(text, utf8.RuneError) && lone.Match(p.args[i]) {
		return "", p.wrong(field, "must not hold half of a surrogate pair")
	}
	if err := check(text); err != nil {
		return "", p.wrong(field, "%s", err)
	}
	return text, nil
}

// lone finds escapes that JSON text can hold and text cannot.
var lone = regexp.MustCompile(`(?i)\\ud[89a-f][0-9a-f]{2}`)

// version reads the options of a write.
func (p *parser) version(i int) error {
	options, err := p.options(i, "version")
	raw, given := options["version"]
	if err != nil || !given {
		return err
	}
	version := Absent
	if !isNull(raw) {
		if version, err = strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 64); err != nil || version < 0 {
			return p.wrong("options.version", "must be a version, 0 or null for an object that must not exist; got %s", brief(string(raw)))
		}
	}
	p.call.Expected = &version
	return nil
}

// page reads the options of List.
func (p *parser) page() error {
	options, err := p.options(1, "prefix", "after", "limit")
	if err != nil {
		return err
	}
	anything := func(string) error { return nil }
	for field, target := range map[string]*string{"prefix": &p.call.Begins, "after": &p.call.After} {
		raw, given := options[field]
		if !given || isNull(raw) {
			continue
		}
		q := parser{p.call, []json.RawMessage{raw}}
		if *target, err = q.text(0, "options."+field, anything); err != nil {
			return err
		}
		if len(*target) > MaxKey || strings.ContainsRune(*target, 0) {
			return p.wrong("options."+field, "must have at most %d bytes and no NUL", MaxKey)
		}
	}
	if raw, given := options["limit"]; given && !isNull(raw) {
		if p.call.Limit, err = strconv.Atoi(strings.TrimSpace(string(raw))); err != nil || p.call.Limit < 1 || p.call.Limit > MaxLimit {
			return p.wrong("options.limit", "must be between 1 and %d, got %s", MaxLimit, brief(string(raw)))
		}
	}
	return nil
}

func (p *parser) options(i int, known ...string) (map[string]json.RawMessage, error) {
	if i >= len(p.args) || isNull(p.args[i]) {
		return nil, nil
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(p.args[i], &fields) != nil {
		return nil, p.wrong("options", "must be an object such as {%s}, got %s", strings.Join(known, ", "), brief(string(p.args[i])))
	}
	for name := range fields {
		if !slices.Contains(known, name) {
			return nil, p.wrong("options", "has an unknown field %q; known are %s", brief(name), strings.Join(known, ", "))
		}
	}
	return fields, nil
}

func (p *parser) wrong(field, format string, args ...any) error {
	return &ArgumentError{Call: p.call.Name, Field: field, Msg: fmt.Sprintf(format, args...)}
}

func isNull(raw json.RawMessage) bool { return strings.TrimSpace(string(raw)) == "null" }
