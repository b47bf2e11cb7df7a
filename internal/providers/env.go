package providers

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Secret is a key. Everything that prints or encodes it shows a placeholder.
type Secret string

// Reveal returns the key itself.
func (s Secret) Reveal() string { return string(s) }

// String implements fmt.Stringer.
func (s Secret) String() string { return "[secret]" }

// GoString implements fmt.GoStringer.
func (s Secret) GoString() string { return "[secret]" }

// MarshalText implements encoding.TextMarshaler.
func (s Secret) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue("[secret]") }

// Endpoint is a service that an environment declares.
type Endpoint struct {
	// Name is upper-case.
	Name string
	// URL is the base URL, without "/chat/completions" and without a slash at its end.
	URL string
	// Key is empty for services that want none, such as local ones.
	Key Secret
}

const (
	urlSuffix = "_API_URL"
	keySuffix = "_API_KEY"
)

// defaultURL is where a provider lives whose URL need not be given.
func defaultURL(name string) string {
	switch name {
	case "OPENROUTER":
		return "https://openrouter.ai/api/v1"
	case "OPENAI":
		return "https://api.openai.com/v1"
	default:
		return ""
	}
}

var endpointName = regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`)

// FromEnv reads the providers that an environment ("NAME=value" items) declares: X_API_URL and X_API_KEY
// make provider X, in any case. A key alone makes OPENROUTER and OPENAI, whose URLs are known; for others
// it is somebody else's variable. STATEK_* is Statek's own. Endpoints come sorted by name; the error joins
// what is wrong with the ones left out, so that a caller may warn and go on.
func FromEnv(environ []string) ([]Endpoint, error) {
	urls, keys := map[string]string{}, map[string]Secret{}
	for _, item := range environ {
		name, value, _ := strings.Cut(item, "=")
		name, value = strings.ToUpper(name), strings.TrimSpace(value)
		if value == "" {
			continue
		}
		if x, ok := strings.CutSuffix(name, urlSuffix); ok {
			urls[x] = value
		} else if x, ok := strings.CutSuffix(name, keySuffix); ok {
			keys[x] = Secret(value)
			urls[x] = cmp.Or(urls[x], defaultURL(x))
		}
	}
	var endpoints []Endpoint
	var problems []error
	for name, text := range urls {
		if text == "" || name == "STATEK" || !endpointName.MatchString(name) {
			continue
		}
		base, err := BaseURL(text)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s%s: %w", name, urlSuffix, err))
			continue
		}
		endpoints = append(endpoints, Endpoint{Name: name, URL: base, Key: keys[name]})
	}
	slices.SortFunc(endpoints, func(a, b Endpoint) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(problems, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
	return endpoints, errors.Join(problems...)
}

var (
	errURLForm   = errors.New("must be an http or https URL, such as https://host/v1")
	errURLSecret = errors.New("must hold no user, password or query; the key belongs into the _API_KEY variable")
)

// BaseURL takes a base URL or the full URL of chat completions and returns the base. Its errors do not
// repeat the URL, which may hold what should not be shown.
func BaseURL(text string) (string, error) {
	u, err := url.Parse(strings.TrimSpace(text))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", errURLForm
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", errURLSecret
	}
	path := strings.TrimSuffix(strings.TrimRight(u.Path, "/"), "/chat/completions")
	u.Path, u.RawPath = strings.TrimRight(path, "/"), ""
	return u.String(), nil
}
