package httpapi

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"html/template"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-chi/chi/v5"
)

//go:embed docs.html
var docsPage string

// docsOperation is one operation on the page.
type docsOperation struct {
	Method, Path string
	*huma.Operation
	Request   string
	Responses []docsResponse
}

type docsResponse struct{ Status, Description string }

// routeDocs serves the OpenAPI document and a page made from it that needs nothing from elsewhere.
func (s *server) routeDocs(router chi.Router) {
	document, err := json.Marshal(s.api.OpenAPI())
	if err != nil {
		panic("httpapi: encode the OpenAPI document: " + err.Error())
	}
	var page bytes.Buffer
	tmpl := template.Must(template.New("docs").Parse(docsPage))
	if err := tmpl.Execute(&page, map[string]any{"API": s.api.OpenAPI(), "Operations": s.operations()}); err != nil {
		panic("httpapi: make the page of the API: " + err.Error())
	}
	router.Get("/openapi.json", static("application/json", document))
	router.Get("/docs", static("text/html; charset=utf-8", page.Bytes()))
	router.Get("/", http.RedirectHandler("/docs", http.StatusFound).ServeHTTP)
}

func static(kind string, content []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_, _ = w.Write(content)
	}
}

// operations in the order a reader wants: by tag, then path.
func (s *server) operations() []docsOperation {
	var out []docsOperation
	for path, item := range s.api.OpenAPI().Paths {
		for _, op := range []*huma.Operation{item.Get, item.Put, item.Post} {
			if op == nil {
				continue
			}
			d := docsOperation{Method: op.Method, Path: path, Operation: op, Request: s.requestSchema(op)}
			for status, r := range op.Responses {
				d.Responses = append(d.Responses, docsResponse{status, r.Description})
			}
			slices.SortFunc(d.Responses, func(a, b docsResponse) int { return strings.Compare(a.Status, b.Status) })
			out = append(out, d)
		}
	}
	slices.SortFunc(out, func(a, b docsOperation) int {
		return strings.Compare(a.Tags[0]+" "+a.Path+" "+a.Method, b.Tags[0]+" "+b.Path+" "+b.Method)
	})
	return out
}

// requestSchema is the JSON Schema of the body an operation takes.
func (s *server) requestSchema(op *huma.Operation) string {
	if op.RequestBody == nil || op.RequestBody.Content["application/json"] == nil {
		return ""
	}
	schema := op.RequestBody.Content["application/json"].Schema
	if schema != nil && schema.Ref != "" {
		schema = s.api.OpenAPI().Components.Schemas.SchemaFromRef(schema.Ref)
	}
	text, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		return ""
	}
	return string(text)
}
