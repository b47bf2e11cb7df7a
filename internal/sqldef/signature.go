package sqldef

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// ParseSignature reads a declaration such as "pickNextTask(queue text, limit int)".
func ParseSignature(text string) (Signature, error) {
	text = strings.TrimSpace(text)
	name, rest, found := strings.Cut(text, "(")
	name = strings.TrimSpace(name)
	if !found || !strings.HasSuffix(rest, ")") {
		return Signature{}, fmt.Errorf("signature %q must look like pickNextTask(queue text)", text)
	}
	if !isName(name) {
		return Signature{}, fmt.Errorf("name %q must be letters, digits and underscores, a letter first", name)
	}
	params, err := ParseParams(strings.TrimSuffix(rest, ")"))
	if err != nil {
		return Signature{}, fmt.Errorf("signature of %s: %w", name, err)
	}
	return Signature{Name: name, Params: params}, nil
}

// ParseParams reads what stands between a signature's parentheses, such as "queue text, limit int".
func ParseParams(text string) ([]Param, error) {
	params := []Param{}
	if strings.TrimSpace(text) == "" {
		return params, nil
	}
	seen := map[string]bool{}
	for _, part := range splitTop(text) {
		fields := strings.Fields(part)
		if len(fields) < 2 {
			return nil, fmt.Errorf("parameter %q must be a name and a type, as in queue text",
				strings.TrimSpace(part))
		}
		if !isName(fields[0]) {
			return nil, fmt.Errorf("parameter name %q must be letters, digits and underscores", fields[0])
		}
		if seen[fields[0]] {
			return nil, fmt.Errorf("parameter %q is declared twice", fields[0])
		}
		seen[fields[0]] = true
		typ, err := parseType(strings.Join(fields[1:], " "))
		if err != nil {
			return nil, fmt.Errorf("parameter %q: %w", fields[0], err)
		}
		params = append(params, Param{Name: fields[0], Type: typ})
	}
	return params, nil
}

// splitTop splits at commas outside parentheses and double quotes.
func splitTop(text string) []string {
	var parts []string
	depth, start, inQuotes := 0, 0, false
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"':
			inQuotes = !inQuotes
		case inQuotes:
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth == 0:
			parts = append(parts, text[start:i])
			start = i + 1
		}
	}
	return append(parts, text[start:])
}

const (
	identPattern = `(?:[A-Za-z_][A-Za-z0-9_]*|"[^"\x00]+")`
	typePattern  = `(?i)^(?:double precision` +
		`|(?:character|bit) varying(?: ?\(\d+\))?` +
		`|(?:time|timestamp)(?: ?\(\d\))? (?:with|without) time zone` +
		`|` + identPattern + `(?:\.` + identPattern + `)?(?: ?\(\d+(?: ?, ?-?\d+)?\))?` +
		`)(?: ?\[\d*\])*$`
)

var (
	typeForm = regexp.MustCompile(typePattern)
	nameForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

var errTypeForm = errors.New("not the form of a type name")

// parseType checks that text has the form of a type name; whether the type exists is for Postgres to say.
func parseType(text string) (string, error) {
	text = strings.Join(strings.Fields(text), " ")
	if !typeForm.MatchString(text) {
		return "", fmt.Errorf("%q is %w (as in text, numeric(10,2), app.priority, uuid[])", text, errTypeForm)
	}
	return text, nil
}

func isName(text string) bool { return nameForm.MatchString(text) }
