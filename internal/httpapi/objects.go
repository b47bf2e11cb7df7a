package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"statek/internal/app"
)

// CollectionPath is the collection a request is about.
type CollectionPath struct {
	Collection string `path:"collection" doc:"1 to 64 letters, digits, '_', '.' and '-'." example:"customers"`
}

// ObjectPath is the object a request is about.
type ObjectPath struct {
	CollectionPath
	Key string `path:"key" doc:"1 to 512 bytes without control characters; a slash is written %2F." example:"4711"`
}

// Resolve decodes what the router leaves encoded when the path holds an encoded slash.
func (p *ObjectPath) Resolve(ctx huma.Context) []error {
	u := ctx.URL()
	if u.RawPath == "" {
		return nil
	}
	for _, part := range []*string{&p.Collection, &p.Key} {
		if text, err := url.PathUnescape(*part); err == nil {
			*part = text
		}
	}
	return nil
}

// Preconditions make a write depend on what is there.
type Preconditions struct {
	IfMatch     string `header:"If-Match" doc:"The ETag that the object must have, or * for any." example:"\"7\""`
	IfNoneMatch string `header:"If-None-Match" doc:"* when there must be no object."`
}

// ObjectWritten is an object after a write.
type ObjectWritten struct {
	app.Object
	Created bool `json:"created" doc:"True when there was none."`
}

type (
	objectGetIn struct {
		ObjectPath
		PrefixQuery
		Version     int64  `query:"version" minimum:"1" doc:"An earlier version. Default: the current one"`
		IfNoneMatch string `header:"If-None-Match" doc:"An ETag: 304 when the object still has it."`
	}
	objectGetOut struct {
		Status       int
		ContentType  string `header:"Content-Type"`
		ETag         string `header:"ETag" doc:"The version, quoted."`
		LastModified string `header:"Last-Modified"`
		UpdatedBy    string `header:"Statek-Updated-By" doc:"Who wrote it: job <id>/<cell>/<call>, sql <role>, or api."`
		Body         []byte
	}
	objectPutIn struct {
		ObjectPath
		PrefixQuery
		Preconditions
		Body json.RawMessage `doc:"Any JSON. It is kept byte for byte."`
	}
	objectPutOut struct {
		Status int
		ETag   string `header:"ETag" doc:"The new version, quoted."`
		Body   ObjectWritten
	}
	objectDeleteIn struct {
		ObjectPath
		PrefixQuery
		Preconditions
	}
	objectDeleteOut struct {
		ETag string `header:"ETag" doc:"The version of the deletion, quoted."`
	}
	objectListIn struct {
		CollectionPath
		PrefixQuery
		Begins string `query:"begins" doc:"Only keys that begin so." example:"eu/"`
		After  string `query:"after" doc:"Only keys after this one: next of the previous page."`
		Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"At most this many; a page of large values has fewer."`
	}
	objectListOut struct{ Body app.ObjectPage }
)

func (s *server) routeObjects() {
	const path = "/v1/objects/{collection}/{key}"
	refusals := []int{http.StatusUnprocessableEntity}
	writing := append(refusals, http.StatusPreconditionFailed)
	huma.Register(s.api, s.operation(huma.Operation{
		OperationID: "list-objects", Method: http.MethodGet, Path: "/v1/objects/{collection}", Tags: []string{"objects"},
		Summary: "List objects", Description: "The objects of a collection at exactly this prefix, in the byte order of their keys.",
		Errors: refusals,
	}), s.listObjects)
	huma.Register(s.api, s.operation(huma.Operation{
		OperationID: "get-object", Method: http.MethodGet, Path: path, Tags: []string{"objects"},
		Summary: "Read an object", Description: "The body is the value, byte for byte as it was written; its version is the ETag.",
		Responses: map[string]*huma.Response{"200": {Description: "The value", Content: map[string]*huma.MediaType{"application/json": {Schema: &huma.Schema{}}}}},
		Errors:    append(refusals, http.StatusNotModified, http.StatusNotFound),
	}), s.getObject)
	huma.Register(s.api, s.operation(huma.Operation{
		OperationID: "put-object", Method: http.MethodPut, Path: path, Tags: []string{"objects"},
		Summary: "Write an object",
		Description: "The body is the value. With If-Match only the version that it names is replaced, with If-None-Match: * none is: else 412. " +
			"201 when there was none. Wakes jobs that wait for objects.changed.",
		Errors: append(writing, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType),
	}), s.putObject)
	huma.Register(s.api, s.operation(huma.Operation{
		OperationID: "delete-object", Method: http.MethodDelete, Path: path, Tags: []string{"objects"},
		Summary: "Delete an object", Description: "Versions go on from here when it is made again. With If-Match only the version that it names is deleted, else 412.",
		DefaultStatus: http.StatusNoContent, Errors: append(writing, http.StatusNotFound),
	}), s.deleteObject)
}

func (s *server) listObjects(ctx context.Context, in *objectListIn) (*objectListOut, error) {
	name := app.ObjectName{Prefix: rooted(in.Prefix), Collection: in.Collection}
	page, err := s.app.ListObjects(ctx, name, in.Begins, in.After, in.Limit)
	if err != nil {
		return nil, s.objectProblem(ctx, err)
	}
	page.Objects = notNil(page.Objects)
	return &objectListOut{Body: page}, nil
}

func (s *server) getObject(ctx context.Context, in *objectGetIn) (*objectGetOut, error) {
	o, err := s.app.GetObject(ctx, in.name(in.Prefix), in.Version)
	if err != nil {
		return nil, s.objectProblem(ctx, err)
	}
	out := &objectGetOut{
		Status: http.StatusOK, ContentType: "application/json", ETag: etag(o.Version),
		LastModified: o.UpdatedAt.UTC().Format(http.TimeFormat), UpdatedBy: o.UpdatedBy, Body: o.Value,
	}
	for tag := range strings.SplitSeq(in.IfNoneMatch, ",") {
		if tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/"); tag == out.ETag || tag == "*" {
			out.Status, out.ContentType, out.Body = http.StatusNotModified, "", nil
		}
	}
	return out, nil
}

func (s *server) putObject(ctx context.Context, in *objectPutIn) (*objectPutOut, error) {
	expected, err := in.expected()
	if err != nil {
		return nil, err
	}
	o, created, err := s.app.PutObject(ctx, in.name(in.Prefix), bytes.TrimSpace(bodyOf(ctx)), expected)
	if err != nil {
		return nil, s.objectProblem(ctx, err)
	}
	out := &objectPutOut{Status: http.StatusOK, ETag: etag(o.Version), Body: ObjectWritten{Object: o, Created: created}}
	out.Body.Value = nil // the client has just sent it
	if created {
		out.Status = http.StatusCreated
	}
	return out, nil
}

func (s *server) deleteObject(ctx context.Context, in *objectDeleteIn) (*objectDeleteOut, error) {
	expected, err := in.expected()
	if err != nil {
		return nil, err
	}
	o, err := s.app.DeleteObject(ctx, in.name(in.Prefix), expected)
	if err != nil {
		return nil, s.objectProblem(ctx, err)
	}
	return &objectDeleteOut{ETag: etag(o.Version)}, nil
}

func (p ObjectPath) name(prefix string) app.ObjectName {
	return app.ObjectName{Prefix: rooted(prefix), Collection: p.Collection, Key: p.Key}
}

func etag(version int64) string { return fmt.Sprintf(`"%d"`, version) }

// expected is the version that a write depends on; nil: none.
func (p Preconditions) expected() (*int64, error) {
	match, none := strings.TrimSpace(p.IfMatch), strings.TrimSpace(p.IfNoneMatch)
	version := app.ObjectAbsent
	switch {
	case match != "" && none != "":
		return nil, precondition("If-None-Match", none, "must be absent when there is If-Match")
	case none == "*":
		return &version, nil
	case none != "":
		return nil, precondition("If-None-Match", none, "must be * on a write")
	case match == "":
		return nil, nil //nolint:nilnil // documented: it depends on nothing
	case match == "*":
		version = app.ObjectPresent
		return &version, nil
	}
	text, quoted := strings.CutPrefix(match, `"`)
	text, closed := strings.CutSuffix(text, `"`)
	version, err := strconv.ParseInt(text, 10, 64)
	if !quoted || !closed || err != nil || version < 1 || etag(version) != match {
		return nil, precondition("If-Match", match, `must be one ETag of the object, such as "7", or *`)
	}
	return &version, nil
}

func precondition(header, value, message string) error {
	return newProblem(http.StatusUnprocessableEntity, "header."+header+": "+message,
		&huma.ErrorDetail{Location: "header." + header, Message: message, Value: clip(value)})
}

// objectProblem is problem with the places of an object's parts: its names are in the path, its value is the body.
func (s *server) objectProblem(ctx context.Context, err error) error {
	refused := (*app.Error)(nil)
	if !errors.As(err, &refused) || len(refused.Fields) == 0 {
		return s.problem(ctx, "query", err)
	}
	switch field := refused.Fields[0].Field; field {
	case "collection", "key":
		return s.problem(ctx, "path", err)
	case "value":
		clone := *refused
		clone.Fields = []app.FieldError{{Message: refused.Fields[0].Message, Value: refused.Fields[0].Value}}
		return s.problem(ctx, "body", &clone)
	default:
		return s.problem(ctx, "query", err)
	}
}
