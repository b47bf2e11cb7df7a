package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"statek/internal/agents"
	"statek/internal/providers"
)

// maxHTTPBody bounds what is read of an answer; the limit of results is smaller and says so to the script.
const maxHTTPBody = 4 << 20

var (
	placeholder = regexp.MustCompile(`\{([A-Za-z_$][\w$]*)\}`)
	environment = regexp.MustCompile(`\$\{([A-Za-z_]\w*)\}`)
)

// callHTTP sends one request. The secret parts of URL and headers come from the worker's environment and
// appear in no result, error or log.
func (e *Engine) callHTTP(ctx context.Context, key string, tool agents.Tool, values map[string]json.RawMessage) attempt {
	req, err := e.request(ctx, key, tool, values)
	if err != nil {
		return failure("ToolError", "%s", err)
	}
	var sent atomic.Bool
	req = req.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { sent.Store(true) }}))
	client := e.Client
	if tool.Once {
		client = e.fresh
	}
	resp, err := client.Do(req)
	if err != nil {
		// The transport's error holds the URL, which may hold a secret.
		a := failure("NetworkError", "%s: %s", tool.Name, reachable(err))
		a.passing, a.lost, a.unsent = true, true, !sent.Load()
		return a
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxHTTPBody+1))
	switch {
	case err != nil:
		a := failure("NetworkError", "%s: the answer broke off", tool.Name)
		a.passing, a.lost = true, true
		return a
	case len(body) > maxHTTPBody:
		a := failure("ResultTooLarge", "%s answered with more than %d bytes", tool.Name, maxHTTPBody)
		a.fault.Code = "limit"
		return a
	case resp.StatusCode >= 300:
		a := failure("HTTPError", "%s answered %d: %s", tool.Name, resp.StatusCode, shorten(strings.ToValidUTF8(string(body), "\uFFFD"), 500))
		a.fault.Code = fmt.Sprint(resp.StatusCode)
		a.passing, a.after = passingStatus(resp.StatusCode), providers.RetryAfter(resp.Header, e.Now())
		return a
	default:
		return attempt{value: jsonOrText(body)}
	}
}

// freshly is the client with a connection for each request: over a kept one that turns out to be closed, the transport
// sends a request that has an idempotency key once more by itself.
func freshly(c *http.Client) *http.Client {
	kept, ok := c.Transport.(*http.Transport)
	if !ok {
		return c
	}
	own, fresh := *c, kept.Clone()
	fresh.DisableKeepAlives = true
	own.Transport = fresh
	return &own
}

// passingStatus reports the answers that a later request may not get: the service is late, has too much to do, or is
// broken. Any other refusal is about the request.
func passingStatus(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	default:
		return status >= 500
	}
}

func (e *Engine) request(ctx context.Context, key string, tool agents.Tool, values map[string]json.RawMessage) (*http.Request, error) {
	call := tool.HTTP
	target := environment.ReplaceAllStringFunc(call.URL, func(m string) string { return e.Environ(m[2 : len(m)-1]) })
	used := map[string]bool{}
	target = placeholder.ReplaceAllStringFunc(target, func(m string) string {
		name := m[1 : len(m)-1]
		used[name] = true
		return url.PathEscape(plain(values[name]))
	})
	var body io.Reader
	if call.Body == "json" || call.Body == "" && call.Method != http.MethodGet && call.Method != http.MethodDelete && call.Method != http.MethodHead {
		rest := map[string]json.RawMessage{}
		for name, v := range values {
			if !used[name] {
				rest[name] = v
			}
		}
		text, err := json.Marshal(rest)
		if err != nil {
			return nil, fmt.Errorf("%s: write the arguments: %w", tool.Name, err)
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, call.Method, target, body)
	if err != nil {
		return nil, fmt.Errorf("%s: its URL is not usable with these arguments", tool.Name)
	}
	req.Header.Set("Idempotency-Key", key)
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range call.Headers {
		value = placeholder.ReplaceAllStringFunc(value, func(m string) string {
			if strings.Contains(call.Headers[name], "$"+m) {
				return m
			}
			return oneLine(plain(values[m[1:len(m)-1]]))
		})
		req.Header.Set(name, environment.ReplaceAllStringFunc(value, func(m string) string { return e.Environ(m[2 : len(m)-1]) }))
	}
	return req, nil
}

// plain is a value as text: strings without quotes, everything else as JSON.
func plain(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, s)
}

// jsonOrText is the body as JSON if it is, else as a JSON string.
func jsonOrText(body []byte) json.RawMessage {
	if len(bytes.TrimSpace(body)) == 0 {
		return json.RawMessage("null")
	}
	if json.Valid(body) && utf8.Valid(body) {
		return body
	}
	text, err := json.Marshal(strings.ToValidUTF8(string(body), "\uFFFD"))
	if err != nil {
		return json.RawMessage("null")
	}
	return text
}

// reachable says what went wrong without the URL.
func reachable(err error) string {
	var ue *url.Error
	if errors.As(err, &ue) {
		return ue.Err.Error()
	}
	return "the request failed"
}
