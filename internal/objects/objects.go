package objects

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

// Global is the name under which code finds the functions.
const Global = "objects"

// The functions, as they are called and recorded.
const (
	Get     = Global + ".get"
	List    = Global + ".list"
	Put     = Global + ".put"
	Update  = Global + ".update"
	Delete  = Global + ".delete"
	Changed = Global + ".changed"
)

// Versions that a write may expect, besides that of an object.
const (
	// Absent: there must be no object.
	Absent int64 = 0
	// Present: there must be one, whatever its version.
	Present int64 = -1
)

// Object is a document as it is, or as a deletion has left it.
type Object struct {
	Key       string
	Version   int64
	Value     json.RawMessage // nil: deleted
	UpdatedAt time.Time
	UpdatedBy string
}

// JSON is the object as code sees it, the value byte for byte: encoding/json would compact and escape it.
func (o Object) JSON() json.RawMessage {
	value := o.Value
	if value == nil {
		value = json.RawMessage("null")
	}
	return fmt.Appendf(nil, `{"key":%s,"value":%s,"version":%d,"updatedAt":%q}`, quoted(o.Key), value, o.Version, Stamp(o.UpdatedAt))
}

// Receipt is what a write gives: the object without its value.
func (o Object) Receipt() json.RawMessage {
	return fmt.Appendf(nil, `{"key":%s,"version":%d,"updatedAt":%q}`, quoted(o.Key), o.Version, Stamp(o.UpdatedAt))
}

// Page is a part of a collection, in the order of keys.
type Page struct {
	Objects []Object
	// Next is what After has to be for the rest; empty: there is none.
	Next string
}

// JSON is the page as code sees it. A value of more than most bytes is left out and its size is given, so that
// code gets past it.
func (p Page) JSON(most int) json.RawMessage {
	out := []byte(`{"objects":[`)
	for i, o := range p.Objects {
		if i > 0 {
			out = append(out, ',')
		}
		if len(o.Value) > most {
			out = fmt.Appendf(out, `{"key":%s,"value":null,"bytes":%d,"version":%d,"updatedAt":%q}`,
				quoted(o.Key), len(o.Value), o.Version, Stamp(o.UpdatedAt))
			continue
		}
		out = append(out, o.JSON()...)
	}
	next := json.RawMessage("null")
	if p.Next != "" {
		next = quoted(p.Next)
	}
	return fmt.Appendf(out, `],"next":%s}`, next)
}

// ConflictError: an object was not at the version that a write expected.
type ConflictError struct {
	Message string
	// Version is where the object is; 0: there is none.
	Version int64
}

// Error implements error.
func (e *ConflictError) Error() string { return e.Message }

// InvalidError: what is to be written is not what an object may be.
type InvalidError struct{ Message string }

// Error implements error.
func (e *InvalidError) Error() string { return e.Message }

var collectionForm = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,64}$`)

// MaxKey is the longest key, in bytes.
const MaxKey = 512

// CheckCollection says what is wrong with the name of a collection; nil: nothing.
func CheckCollection(name string) error {
	if !collectionForm.MatchString(name) {
		return fmt.Errorf("must have 1 to 64 letters, digits, '_', '.' or '-', got %q", brief(name))
	}
	return nil
}

// CheckKey says what is wrong with a key; nil: nothing.
func CheckKey(key string) error {
	control := func(r rune) bool { return r < 0x20 || r == 0x7f }
	if len(key) < 1 || len(key) > MaxKey || !utf8.ValidString(key) || strings.ContainsFunc(key, control) {
		return fmt.Errorf("must have 1 to %d bytes and no control characters, got %d bytes: %q", MaxKey, len(key), brief(key))
	}
	return nil
}

func quoted(text string) json.RawMessage {
	raw, err := json.Marshal(text)
	if err != nil {
		return json.RawMessage(`""`) // a string always has JSON
	}
	return raw
}

// Stamp is a time as Date's toISOString writes it, so that texts compare as times do.
func Stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func brief(text string) string {
	if r := []rune(text); len(r) > 60 {
		return string(r[:59]) + "…"
	}
	return text
}
