package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"statek/internal/app"
)

// Object reads an object, or one of its earlier versions when version is not 0.
func (c *Client) Object(ctx context.Context, name app.ObjectName, version int64) (app.Object, error) {
	query := url.Values{"prefix": {name.Prefix}}
	if version != 0 {
		query.Set("version", strconv.FormatInt(version, 10))
	}
	res, err := c.send(ctx, request{path: objectPath(name), query: query})
	if err != nil {
		return app.Object{}, err
	}
	defer func() { _ = res.Body.Close() }()
	o := app.Object{Prefix: name.Prefix, Collection: name.Collection, Key: name.Key, UpdatedBy: res.Header.Get("Statek-Updated-By")}
	if o.Version, err = strconv.ParseInt(strings.Trim(res.Header.Get("ETag"), `"`), 10, 64); err != nil {
		return app.Object{}, fmt.Errorf("read the ETag of %s: %w", objectPath(name), err)
	}
	if o.UpdatedAt, err = time.Parse(http.TimeFormat, res.Header.Get("Last-Modified")); err != nil {
		return app.Object{}, fmt.Errorf("read the time of %s: %w", objectPath(name), err)
	}
	var value bytes.Buffer
	if _, err := value.ReadFrom(res.Body); err != nil {
		return app.Object{}, fmt.Errorf("read the answer of %s: %w", objectPath(name), err)
	}
	o.Value = value.Bytes()
	return o, nil
}

// PutObject writes an object. expected is a version, app.ObjectAbsent or nil.
func (c *Client) PutObject(ctx context.Context, name app.ObjectName, value json.RawMessage, expected *int64) (ObjectWritten, error) {
	var out ObjectWritten
	err := c.do(ctx, request{method: http.MethodPut, path: objectPath(name), query: url.Values{"prefix": {name.Prefix}}, body: value, header: conditions(expected)}, &out)
	return out, err
}

// DeleteObject deletes an object.
func (c *Client) DeleteObject(ctx context.Context, name app.ObjectName, expected *int64) error {
	res, err := c.send(ctx, request{method: http.MethodDelete, path: objectPath(name), query: url.Values{"prefix": {name.Prefix}}, header: conditions(expected)})
	if err != nil {
		return err
	}
	return res.Body.Close()
}

// Objects lists a collection.
func (c *Client) Objects(ctx context.Context, name app.ObjectName, begins, after string, limit int) (app.ObjectPage, error) {
	query := url.Values{"prefix": {name.Prefix}, "begins": {begins}, "after": {after}}
	if limit != 0 {
		query.Set("limit", strconv.Itoa(limit))
	}
	var out app.ObjectPage
	err := c.do(ctx, request{path: "/v1/objects/" + url.PathEscape(name.Collection), query: query}, &out)
	return out, err
}

func conditions(expected *int64) http.Header {
	switch {
	case expected == nil:
		return nil
	case *expected == app.ObjectAbsent:
		return http.Header{"If-None-Match": {"*"}}
	default:
		return http.Header{"If-Match": {etag(*expected)}}
	}
}

func objectPath(name app.ObjectName) string {
	return "/v1/objects/" + url.PathEscape(name.Collection) + "/" + url.PathEscape(name.Key)
}
