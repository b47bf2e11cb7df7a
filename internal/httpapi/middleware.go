package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
)

const (
	longestTarget = 8 << 10
	// bodyTime is how long a client may take to send a body.
	bodyTime = time.Minute
)

// logRequests logs each request at debug, when it is over.
func (s *server) logRequests(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started := time.Now()
		ww := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		defer func() {
			s.log.DebugContext(r.Context(), "request", "method", r.Method, "path", logged(r.URL.Path), "status", ww.Status(),
				"bytes", ww.BytesWritten(), "duration", time.Since(started))
		}()
		next.ServeHTTP(ww, r)
	})
}

// logged is a path without what may not be in a log: the token of a link is a right.
func logged(path string) string {
	if strings.HasPrefix(path, linkPrefix) {
		return linkPrefix + "…"
	}
	return clip(path)
}

// recoverPanics answers 500, or ends the connection when an answer has begun.
func (s *server) recoverPanics(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			cause := recover()
			if cause == nil {
				return
			}
			if cause == http.ErrAbortHandler { //nolint:errorlint // it is compared as net/http does
				panic(cause)
			}
			p := s.internal(r.Context(), cause, "method", r.Method, "path", logged(r.URL.Path), "stack", string(debug.Stack()))
			if ww, ok := w.(middleware.WrapResponseWriter); ok && ww.Status() != 0 {
				panic(http.ErrAbortHandler)
			}
			writeProblem(w, p)
		}()
		next.ServeHTTP(w, r)
	})
}

// checkTarget refuses addresses that cannot mean anything, before a router or a database meets them.
func checkTarget(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.RequestURI) > longestTarget {
			writeProblem(w, newProblem(http.StatusRequestURITooLong,
				fmt.Sprintf("the address has %d bytes; at most %d are taken", len(r.RequestURI), longestTarget)))
			return
		}
		if !printable(r.URL.Path) {
			writeProblem(w, newProblem(http.StatusBadRequest, "the path holds a control character or is not UTF-8"))
			return
		}
		query, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			writeProblem(w, newProblem(http.StatusBadRequest, "the query cannot be read: "+err.Error()))
			return
		}
		for name, values := range query {
			if !printable(name) || slices.ContainsFunc(values, func(v string) bool { return !printable(v) }) {
				writeProblem(w, newProblem(http.StatusBadRequest, "the query holds a control character or is not UTF-8",
					&huma.ErrorDetail{Location: "query." + strings.ToValidUTF8(name, "\uFFFD"), Message: "must be printable UTF-8 text"}))
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

func printable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return r < 0x20 || r == 0x7f })
}

func notFound(w http.ResponseWriter, r *http.Request) {
	writeProblem(w, newProblem(http.StatusNotFound, fmt.Sprintf("there is no %s; /docs lists what there is", clip(r.URL.Path))))
}

// methodNotAllowed lists in Allow what the path does take.
func methodNotAllowed(router chi.Routes) http.HandlerFunc {
	methods := []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}
	return func(w http.ResponseWriter, r *http.Request) {
		var allowed []string
		for _, m := range methods {
			if router.Match(chi.NewRouteContext(), m, r.URL.Path) {
				allowed = append(allowed, m)
			}
		}
		allow := strings.Join(allowed, ", ")
		w.Header().Set("Allow", allow)
		writeProblem(w, newProblem(http.StatusMethodNotAllowed,
			fmt.Sprintf("%s is not possible here; %s takes %s", r.Method, clip(r.URL.Path), allow)))
	}
}

// readBody reads the body of operations that take one, whole, and checks what every body must be.
func (s *server) readBody(ctx huma.Context, next func(huma.Context)) {
	if ctx.Operation().RequestBody == nil {
		next(ctx)
		return
	}
	r, w := humachi.Unwrap(ctx)
	limit := s.opts.MaxBody
	if ctx.Operation().OperationID == submitBatchID {
		limit *= 8
	}
	body, p := takeBody(w, r, limit)
	if p != nil {
		writeProblem(w, p)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	next(huma.WithValue(ctx, bodyKey{}, body))
}

type bodyKey struct{}

// bodyOf is the request's body as it was sent.
func bodyOf(ctx context.Context) []byte {
	body, _ := ctx.Value(bodyKey{}).([]byte)
	return body
}

func takeBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, *Problem) {
	if p := checkBodyHeaders(r, limit); p != nil {
		return nil, p
	}
	control := http.NewResponseController(w)
	// Recorders in tests have no deadlines, and need none.
	_ = control.SetReadDeadline(time.Now().Add(bodyTime))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	_ = control.SetReadDeadline(time.Time{})
	tooLarge := (*http.MaxBytesError)(nil)
	switch {
	case errors.As(err, &tooLarge):
		return nil, oversize(limit)
	case err != nil:
		return nil, newProblem(http.StatusBadRequest, "the body ended before it was whole")
	case len(bytes.TrimSpace(body)) == 0:
		return nil, nil
	}
	return body, checkJSON(body)
}

func checkBodyHeaders(r *http.Request, limit int64) *Problem {
	if r.ContentLength > limit {
		return oversize(limit)
	}
	if text := r.Header.Get("Content-Encoding"); text != "" && text != "identity" {
		return newProblem(http.StatusUnsupportedMediaType, "bodies are taken as they are, without Content-Encoding",
			&huma.ErrorDetail{Location: "header.Content-Encoding", Message: "must be absent", Value: clip(text)})
	}
	given := r.Header.Get("Content-Type")
	if given == "" || r.ContentLength == 0 {
		return nil
	}
	kind, _, err := mime.ParseMediaType(given)
	if err != nil || kind != "application/json" {
		return newProblem(http.StatusUnsupportedMediaType, "bodies are JSON: send Content-Type: application/json",
			&huma.ErrorDetail{Location: "header.Content-Type", Message: "expected application/json", Value: clip(given)})
	}
	return nil
}

func oversize(limit int64) *Problem {
	return newProblem(http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than the limit of %d bytes", limit),
		&huma.ErrorDetail{Location: "body", Message: fmt.Sprintf("must have at most %d bytes", limit)})
}

// checkJSON says where a body stops being JSON.
func checkJSON(body []byte) *Problem {
	if !utf8.Valid(body) {
		return malformed(body, firstInvalid(body)+1, "not UTF-8")
	}
	var whole json.RawMessage
	err := json.Unmarshal(body, &whole)
	if err == nil {
		return nil
	}
	offset := len(body)
	if e := (*json.SyntaxError)(nil); errors.As(err, &e) {
		offset = int(e.Offset)
	}
	return malformed(body, offset, err.Error())
}

func firstInvalid(text []byte) int {
	at := 0
	for at < len(text) {
		r, size := utf8.DecodeRune(text[at:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		at += size
	}
	return at
}

// malformed describes a fault that was noticed behind offset bytes.
func malformed(body []byte, offset int, what string) *Problem {
	offset = min(max(offset, 0), len(body))
	line := 1 + bytes.Count(body[:offset], []byte("\n"))
	column := offset - (bytes.LastIndexByte(body[:offset], '\n') + 1)
	near := body[max(0, offset-20):min(len(body), offset+20)]
	return newProblem(http.StatusBadRequest, fmt.Sprintf("the body is not JSON: %s at byte %d (line %d, column %d)", what, offset, line, column),
		&huma.ErrorDetail{Location: "body", Message: what, Value: strings.ToValidUTF8(string(near), "\uFFFD")})
}
