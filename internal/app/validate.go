package app

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

var (
	prefixForm   = regexp.MustCompile(`^(/[a-zA-Z0-9_.-]{1,64})+$`)
	variableForm = regexp.MustCompile(`^[\p{L}_$][\p{L}\p{N}_$]*$`)
)

func invalid(field string, value any, message string) *Error {
	return &Error{Kind: KindInvalid, Fields: []FieldError{{Field: field, Value: value, Message: message}}}
}

// maxParts is how deep a prefix may be; statek.prefix_path says the same.
const maxParts = 16

func isPrefix(text string) bool {
	return text == "/" || prefixForm.MatchString(text) && strings.Count(text, "/") <= maxParts
}

func checkPrefix(field, prefix string) error {
	if !isPrefix(prefix) {
		return invalid(field, prefix, "must be / or a path such as /acme/triage/dev: up to 16 parts of letters, digits, '_', '.' and '-'")
	}
	return nil
}

// Limits of a submission.
const (
	maxTags      = 32
	maxTagLength = 64
	maxKeyLength = 255
	maxWarmup    = 256 << 10
	maxShared    = 1 << 20
	// MaxBatch is how many jobs one SubmitBatch may make.
	MaxBatch = 10_000
)

// storable reports text that Postgres can hold.
func storable(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// checkRequest collects everything that is wrong with the parts of a submission that need no database.
func checkRequest(req SubmitRequest) []FieldError {
	var wrong []FieldError
	add := func(field string, value any, format string, args ...any) {
		wrong = append(wrong, FieldError{Field: field, Value: value, Message: fmt.Sprintf(format, args...)})
	}
	if !isPrefix(req.Prefix) {
		add("prefix", req.Prefix, "must be / or a path such as /acme/triage/dev")
	}
	if req.Priority < 1 || req.Priority > 4 {
		add("priority", req.Priority, "must be 1 (first) to 4")
	}
	if len(req.Tags) > maxTags {
		add("tags", len(req.Tags), "are too many: at most %d", maxTags)
	}
	for i, t := range req.Tags {
		if t == "" || utf8.RuneCountInString(t) > maxTagLength || !storable(t) {
			add(fmt.Sprintf("tags[%d]", i), t, "must have 1 to %d characters, and no NUL", maxTagLength)
		}
	}
	if len(req.Key) > maxKeyLength {
		add("key", nil, "has %d bytes; at most %d are accepted", len(req.Key), maxKeyLength)
	}
	if !storable(req.Key) {
		add("key", nil, "must be UTF-8 without NUL")
	}
	if req.OnConflict != "reject" && req.OnConflict != "existing" {
		add("on_conflict", req.OnConflict, `must be "reject" or "existing"`)
	}
	if utf8.RuneCountInString(req.Source) > 200 {
		add("source", nil, "must have at most 200 characters")
	}
	if len(req.Warmup) > maxWarmup {
		add("warmup", nil, "has %d bytes; at most %d are accepted", len(req.Warmup), maxWarmup)
	}
	for name, value := range req.SharedVars {
		field := "shared_vars." + name
		switch {
		case !variableForm.MatchString(name):
			add(field, name, "is no variable name: use letters, digits, '_' and '$', not beginning with a digit")
		case len(value) > maxShared:
			add(field, nil, "has %d bytes; at most %d are accepted", len(value), maxShared)
		case !json.Valid(value) || !utf8.Valid(value):
			add(field, nil, "is not JSON")
		}
	}
	limits := map[string]int{"turns": req.Limits.Turns, "exceptions": req.Limits.Exceptions, "consecutive": req.Limits.Consecutive, "attempts": req.Limits.Attempts}
	for _, name := range []string{"turns", "exceptions", "consecutive", "attempts"} {
		if v := limits[name]; v < 0 || v > 10_000 {
			add("limits."+name, v, "must be between 1 and 10000, or left out")
		}
	}
	return wrong
}
