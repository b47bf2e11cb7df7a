package openai

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	sdk "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"statek/internal/providers"
)

var decimal = regexp.MustCompile(`^\d+(\.\d+)?([eE][-+]?\d+)?$`)

// readWhole reads the body within its bound and lets only JSON through to the client's parser.
func (p *Provider) readWhole(req *http.Request, next option.MiddlewareNext) (*http.Response, error) {
	res, err := next(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, p.config.MaxResponse+1))
	closeErr := res.Body.Close()
	switch {
	case err != nil || closeErr != nil:
		return nil, p.error(0, true, "the response broke off: "+errors.Join(err, closeErr).Error(), err)
	case int64(len(body)) > p.config.MaxResponse:
		return nil, p.error(res.StatusCode, false, fmt.Sprintf("the response is larger than %d bytes", p.config.MaxResponse), nil)
	case res.StatusCode >= 300:
		return nil, p.refused(res, body)
	case !json.Valid(body):
		return nil, p.error(res.StatusCode, true, "the response is not JSON: "+excerpt(body), nil)
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	// Some servers label JSON as text, which the client would not parse.
	res.Header.Set("Content-Type", "application/json")
	return res, nil
}

// refused describes an answer with an error status.
func (p *Provider) refused(res *http.Response, body []byte) error {
	message, _ := serviceError(body)
	if message == "" {
		message = cmp.Or(excerpt(body), http.StatusText(res.StatusCode))
	}
	err := p.error(res.StatusCode, providers.RetryableStatus(res.StatusCode), message, nil)
	err.RetryAfter = providers.RetryAfter(res.Header, p.config.Now())
	return err
}

// withoutChoice describes a 200 that holds no reply; gateways put errors of the services behind them
// there.
func (p *Provider) withoutChoice(completion *sdk.ChatCompletion) error {
	raw := ""
	if completion != nil {
		raw = completion.RawJSON()
	}
	if message, code := serviceError([]byte(raw)); message != "" || code != 0 {
		return p.error(code, code == 0 || providers.RetryableStatus(code), cmp.Or(message, "error without a message"), nil)
	}
	return p.error(http.StatusOK, true, "the response has no choices", nil)
}

// failure sorts what went wrong. Whoever cancelled knows it and wants no retry.
func (p *Provider) failure(outer, inner context.Context, err error) error {
	var pe *providers.Error
	switch {
	case outer.Err() != nil:
		return p.error(0, false, "the request was cancelled", context.Cause(outer))
	case errors.Is(context.Cause(inner), errTimeout):
		return p.error(0, true, fmt.Sprintf("no answer within %s", p.config.Timeout), errTimeout)
	case errors.As(err, &pe):
		return pe
	}
	cause := unwrapURL(err)
	return p.error(0, true, cause.Error(), cause)
}

func (p *Provider) error(status int, retryable bool, message string, cause error) *providers.Error {
	if key := p.config.Key.Reveal(); key != "" {
		// Services like to repeat the key they did not like.
		message = strings.ReplaceAll(message, key, "[secret]")
	}
	return &providers.Error{
		Provider: p.config.Name, Status: status, Retryable: retryable, Message: excerpt([]byte(message)), Err: cause,
	}
}

// serviceError reads {"error": {"message", "code"}} and {"error": "text"}; code is an HTTP status or 0.
func serviceError(body []byte) (message string, code int) {
	var doc struct {
		Error   json.RawMessage `json:"error"`
		Message string          `json:"message"`
	}
	if json.Unmarshal(body, &doc) != nil {
		return "", 0
	}
	var text string
	if json.Unmarshal(doc.Error, &text) == nil && text != "" {
		return text, 0
	}
	var inner struct {
		Message string          `json:"message"`
		Code    json.RawMessage `json:"code"`
	}
	if len(doc.Error) > 0 && json.Unmarshal(doc.Error, &inner) == nil {
		if n, err := strconv.Atoi(strings.Trim(string(inner.Code), `"`)); err == nil && n >= 400 && n < 600 {
			code = n
		}
	}
	return cmp.Or(inner.Message, doc.Message), code
}

// excerpt puts text on one line of bounded length.
func excerpt(text []byte) string {
	const most = 300
	line := strings.Join(strings.Fields(strings.ToValidUTF8(string(text), "?")), " ")
	if runes := []rune(line); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return line
}
