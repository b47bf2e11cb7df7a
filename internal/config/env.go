package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"
)

// Env looks up a variable; [ProcessEnv] is the process's.
type Env func(name string) (string, bool)

// ProcessEnv is the environment of the process.
func ProcessEnv(name string) (string, bool) { return os.LookupEnv(name) }

// EnvOf makes an Env of "NAME=value" items, as os.Environ gives.
func EnvOf(items []string) Env {
	values := map[string]string{}
	for _, item := range items {
		if name, value, ok := strings.Cut(item, "="); ok {
			values[name] = value
		}
	}
	return func(name string) (string, bool) {
		value, ok := values[name]
		return value, ok
	}
}

// Get returns the value, empty when there is none.
func (e Env) Get(name string) string {
	value, _ := e.lookup(name)
	return value
}

// lookup treats an empty variable as absent: `NAME= command` is how people switch one off.
func (e Env) lookup(name string) (string, bool) {
	if e == nil || name == "" {
		return "", false
	}
	value, ok := e(name)
	return value, ok && value != ""
}

// ReadFile reads the file that `statek dev` writes: lines NAME=value, # comments. No file is no values.
func ReadFile(path string) (map[string]string, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("config: read %s: %w", path, err)
	}
	values := map[string]string{}
	for i, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			return nil, fmt.Errorf("config: read %s: line %d: expected NAME=value", path, i+1)
		}
		values[strings.TrimSpace(name)] = strings.Trim(strings.TrimSpace(value), `"'`)
	}
	return values, nil
}

var (
	urlPassword = regexp.MustCompile(`(://[^/?#\s:@]*:)[^/?#\s]*@`)
	keyPassword = regexp.MustCompile(`(?i)(password\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s&]+)`)
)

// Redact replaces passwords in URLs and connection strings.
func Redact(text string) string {
	text = urlPassword.ReplaceAllString(text, "${1}xxxxx@")
	return keyPassword.ReplaceAllString(text, "${1}xxxxx")
}
