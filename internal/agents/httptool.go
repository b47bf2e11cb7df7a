package agents

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// httpFile is tools/<name>.http.yaml.
type httpFile struct {
	Tool        string            `yaml:"tool"`
	Description string            `yaml:"description"`
	Method      string            `yaml:"method"`
	URL         string            `yaml:"url"`
	Headers     map[string]string `yaml:"headers"`
	Body        string            `yaml:"body"`
	Params      []httpParam       `yaml:"params"`
	Input       any               `yaml:"input"`
	Output      any               `yaml:"output"`
	Timeout     string            `yaml:"timeout"`
	Once        bool              `yaml:"once"`
	Retry       *Retry            `yaml:"retry"`
	OnExhausted string            `yaml:"on_exhausted"`
}

type httpParam struct {
	Name     string `yaml:"name"`
	Type     string `yaml:"type"`
	Optional bool   `yaml:"optional"`
}

// What an HTTP tool sends.
const (
	BodyJSON = "json"
	BodyNone = "none"
)

// parseHTTPTool reads a YAML file. Parameters are listed under params, or are the properties of input in
// their order.
func parseHTTPTool(name, text string) (Tool, error) {
	text = normalize(text)
	var f httpFile
	err := yaml.UnmarshalWithOptions([]byte(text), &f, yaml.DisallowUnknownField(), yaml.UseOrderedMap())
	if err != nil {
		return Tool{}, yamlError(err)
	}
	if f.Tool != "" && f.Tool != name {
		return Tool{}, lineErrorf(keyLine(text, "tool"), "tool %q must have its file's name, %q", f.Tool, name)
	}
	tool := Tool{
		Name: name, Kind: HTTPTool, Description: strings.TrimSpace(f.Description), Params: []Param{},
		Once: f.Once, Timeout: f.Timeout, Retry: f.Retry, OnExhausted: f.OnExhausted,
		HTTP: &HTTPCall{Method: strings.ToUpper(f.Method), URL: f.URL, Headers: f.Headers, Body: f.Body},
	}
	tool.HTTP.setDefaults()
	if tool.Input, err = orderedJSON(f.Input); err != nil {
		return Tool{}, lineErrorf(keyLine(text, "input"), "input: %s", err)
	}
	if tool.Output, err = orderedJSON(f.Output); err != nil {
		return Tool{}, lineErrorf(keyLine(text, "output"), "output: %s", err)
	}
	for _, p := range f.Params {
		tool.Params = append(tool.Params, Param{Name: p.Name, Type: orAny(p.Type), Optional: p.Optional})
	}
	if f.Params == nil {
		if tool.Params, err = schemaParams(tool.Input); err != nil {
			return Tool{}, lineErrorf(keyLine(text, "input"), "input: %s", err)
		}
	}
	if err := tool.Validate(); err != nil {
		return Tool{}, lineErrorf(keyLine(text, guiltyKey(err)), "%s", err)
	}
	return tool, nil
}

func (c *HTTPCall) setDefaults() {
	if c.Method == "" {
		c.Method = "GET"
	}
	if c.Body == "" {
		c.Body = BodyNone
		if c.takesBody() {
			c.Body = BodyJSON
		}
	}
}

func (c *HTTPCall) takesBody() bool {
	return slices.Contains([]string{"POST", "PUT", "PATCH"}, c.Method)
}

// fieldError names the key of the file that is wrong, so that its line can be found.
type fieldError struct{ key, msg string }

func (e *fieldError) Error() string { return e.key + " " + e.msg }

func guiltyKey(err error) string {
	var fe *fieldError
	if errors.As(err, &fe) {
		return fe.key
	}
	key, _, _ := strings.Cut(err.Error(), " ")
	return strings.ReplaceAll(key, "parameter", "params")
}

var (
	headerName   = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")
	placeholder  = regexp.MustCompile(`\$?\{([^{}]*)\}`)
	environName  = regexp.MustCompile(`^[A-Z_][A-Z0-9_]*$`)
	ownedHeaders = regexp.MustCompile(`(?i)^(host|content-length|transfer-encoding|connection|idempotency-key)$`)
)

func (c *HTTPCall) validate(params []Param) error {
	if !slices.Contains([]string{"GET", "HEAD", "DELETE", "POST", "PUT", "PATCH"}, c.Method) {
		return &fieldError{"method", fmt.Sprintf("must be GET, HEAD, DELETE, POST, PUT or PATCH, got %q", c.Method)}
	}
	if c.Body != BodyJSON && c.Body != BodyNone {
		return &fieldError{"body", fmt.Sprintf("must be json or none, got %q", c.Body)}
	}
	if c.Body == BodyJSON && !c.takesBody() {
		return &fieldError{"body", fmt.Sprintf("cannot be json for %s", c.Method)}
	}
	if err := c.validateURL(params); err != nil {
		return err
	}
	for name, value := range c.Headers {
		if !headerName.MatchString(name) || ownedHeaders.MatchString(name) {
			return &fieldError{"headers", fmt.Sprintf("cannot set %q", name)}
		}
		if strings.ContainsAny(value, "\r\n\x00") {
			return &fieldError{"headers", fmt.Sprintf("value of %s holds a line break", name)}
		}
		if err := checkPlaceholders(value, params, true); err != nil {
			return &fieldError{"headers", fmt.Sprintf("value of %s: %s", name, err)}
		}
	}
	return nil
}

// validateURL lets the environment choose the host and the arguments everything behind it, never the
// other way round: a model that could choose the host could send secrets anywhere.
func (c *HTTPCall) validateURL(params []Param) error {
	scheme, rest, found := strings.Cut(c.URL, "://")
	if !found || scheme != "http" && scheme != "https" {
		return &fieldError{"url", fmt.Sprintf("must start with https:// or http://, got %q", c.URL)}
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	if err := checkPlaceholders(rest[:end], nil, true); err != nil {
		return &fieldError{"url", "host: " + err.Error()}
	}
	if strings.Contains(rest[:end], "@") {
		return &fieldError{"url", "must hold no user or password; use a header with ${NAME}"}
	}
	if err := checkPlaceholders(rest[end:], params, false); err != nil {
		return &fieldError{"url", err.Error()}
	}
	if u, err := url.Parse(placeholder.ReplaceAllString(c.URL, "x")); err != nil || u.Host == "" {
		return &fieldError{"url", fmt.Sprintf("must be a URL, got %q", c.URL)}
	}
	return nil
}

func checkPlaceholders(text string, params []Param, environ bool) error {
	for _, m := range placeholder.FindAllStringSubmatch(text, -1) {
		if strings.HasPrefix(m[0], "$") {
			if !environ || !environName.MatchString(m[1]) {
				return fmt.Errorf("%s cannot be read here; ${NAME} stands in header values and the host", m[0])
			}
			continue
		}
		if !slices.ContainsFunc(params, func(p Param) bool { return p.Name == m[1] }) {
			return fmt.Errorf("%s is no parameter that may stand here", m[0])
		}
	}
	return nil
}

// yamlError gives a parser's failure its line.
func yamlError(err error) error {
	var ye yaml.Error
	if errors.As(err, &ye) {
		line := 1
		if tok := ye.GetToken(); tok != nil && tok.Position != nil {
			line = tok.Position.Line
		}
		return lineErrorf(line, "%s", ye.GetMessage())
	}
	return lineErrorf(1, "%s", err)
}

// keyLine finds the line of a top-level key.
func keyLine(text, key string) int {
	for i, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(line, key+":") {
			return i + 1
		}
	}
	return 1
}
