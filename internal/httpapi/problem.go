package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"
	"github.com/google/uuid"

	"statek/internal/app"
)

// Problem is an RFC 9457 problem: what every refusal's body holds.
type Problem = huma.ErrorModel

const problemType = "application/problem+json"

// longestValue bounds how much of a wrong value is repeated to the client.
const longestValue = 200

// newProblem makes a problem; detail is a sentence that helps.
func newProblem(status int, detail string, fields ...*huma.ErrorDetail) *Problem {
	return &Problem{Title: http.StatusText(status), Status: status, Detail: detail, Errors: fields}
}

// writeProblem answers outside of huma.
func writeProblem(w http.ResponseWriter, p *Problem) {
	w.Header().Set("Content-Type", problemType)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(p.Status)
	// A client that is gone needs no answer.
	_ = json.NewEncoder(w).Encode(p)
}

// problem turns an error of the use cases into an answer. place finds the part of the request that holds a
// field: "query" for the parameters of a list, "body" otherwise.
func (s *server) problem(ctx context.Context, place string, err error) error {
	if known := (*Problem)(nil); errors.As(err, &known) {
		return known
	}
	refused := (*app.Error)(nil)
	switch {
	case errors.As(err, &refused):
		return s.refusal(ctx, place, refused)
	case ctx.Err() != nil:
		return unavailable("the request was given up before it was done")
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return unavailable("the operation took too long; try again")
	default:
		return s.internal(ctx, err)
	}
}

func (s *server) refusal(ctx context.Context, place string, err *app.Error) error {
	var fields []*huma.ErrorDetail
	for _, f := range err.Fields {
		fields = append(fields, &huma.ErrorDetail{Location: location(place, f.Field), Message: f.Message, Value: shorten(f.Value)})
	}
	detail := err.Message
	if detail == "" {
		detail = err.Error()
	}
	switch err.Kind {
	case app.KindInvalid:
		return newProblem(http.StatusUnprocessableEntity, detail, fields...)
	case app.KindNotFound:
		return newProblem(http.StatusNotFound, detail, fields...)
	case app.KindConflict:
		return newProblem(http.StatusConflict, detail, fields...)
	case app.KindPrecondition:
		return newProblem(http.StatusPreconditionFailed, detail, fields...)
	case app.KindGone:
		return newProblem(http.StatusGone, detail, fields...)
	case app.KindBusy:
		return huma.ErrorWithHeaders(newProblem(http.StatusTooManyRequests, detail, fields...),
			http.Header{"Retry-After": {strconv.Itoa(int(math.Ceil(err.RetryAfter.Seconds())))}})
	case app.KindUnavailable:
		s.log.WarnContext(ctx, "request refused: the database is away", "err", err.Err)
		return unavailable(detail)
	default:
		return s.internal(ctx, err)
	}
}

// unavailable asks the client to try again.
func unavailable(detail string) error {
	return huma.ErrorWithHeaders(newProblem(http.StatusServiceUnavailable, detail), http.Header{"Retry-After": {"1"}})
}

// internal logs err and answers with nothing but the name it was logged under.
func (s *server) internal(ctx context.Context, err any, attrs ...any) *Problem {
	p := newProblem(http.StatusInternalServerError, "something went wrong inside; the log has the details under the instance given here")
	p.Instance = "urn:uuid:" + uuid.NewString()
	s.log.ErrorContext(ctx, "request failed", append([]any{"err", err, "instance", p.Instance}, attrs...)...)
	return p
}

// location is where a field of a use case stands in the request.
func location(place, field string) string {
	switch {
	case field == "":
		return place
	case field == "Idempotency-Key":
		return "header." + field
	case field == "role" || field == "id" || field == "name":
		return "path." + field
	default:
		return place + "." + field
	}
}

// clarify is huma's last step before an answer is written: it says in problems which field is meant, and
// keeps them short.
func (s *server) clarify(_ huma.Context, _ string, v any) (any, error) {
	p, ok := v.(*Problem)
	if !ok {
		return v, nil
	}
	for _, e := range p.Errors {
		clarifyField(e)
	}
	if p.Detail == "validation failed" && len(p.Errors) > 0 {
		p.Detail = summary(p.Errors)
	}
	return p, nil
}

func summary(fields []*huma.ErrorDetail) string {
	text := fields[0].Location + ": " + fields[0].Message
	if more := len(fields) - 1; more > 0 {
		text += fmt.Sprintf(" (and %d more)", more)
	}
	return text
}

func clarifyField(e *huma.ErrorDetail) {
	object, _ := e.Value.(map[string]any)
	before, after, _ := strings.Cut(validation.MsgExpectedRequiredProperty, "%s")
	if name, ok := strings.CutPrefix(e.Message, before); ok && strings.HasSuffix(name, after) {
		// huma points at the object that lacks the field, and repeats all of it.
		e.Location += "." + strings.TrimSuffix(name, after)
		e.Message, e.Value = "is missing", nil
		return
	}
	if e.Message == validation.MsgUnexpectedProperty {
		e.Message = "is not a field of this request"
		// The name may itself hold dots: the longest ending that is a field is the one.
		for name, value := range object {
			if strings.HasSuffix(e.Location, "."+name) {
				e.Value = value
			}
		}
	}
	e.Value = shorten(e.Value)
}

// shorten bounds a value that is repeated to the client.
func shorten(v any) any {
	if v == nil {
		return nil
	}
	if raw, ok := v.(json.RawMessage); ok && !json.Valid(raw) {
		v = string(raw)
	}
	if text, ok := v.(string); ok {
		return clip(text)
	}
	switch reflect.ValueOf(v).Kind() {
	case reflect.Map, reflect.Slice, reflect.Array, reflect.Struct, reflect.Pointer:
		text, err := json.Marshal(v)
		if err != nil || len(text) > longestValue {
			return clip(string(text))
		}
	}
	return v
}

func clip(text string) string {
	if len(text) <= longestValue {
		return text
	}
	cut := longestValue
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}

// schemaName names the schemas of the OpenAPI document after their Go types.
func schemaName(t reflect.Type, hint string) string {
	switch t {
	case reflect.TypeFor[huma.ErrorModel]():
		return "Problem"
	case reflect.TypeFor[huma.ErrorDetail]():
		return "ProblemField"
	}
	return huma.DefaultSchemaNamer(t, hint)
}
