package httpapi

import (
	"context"
	"net/http"
	"net/url"

	"statek/internal/app"
)

// Retention says how long ended jobs at a prefix are kept.
func (c *Client) Retention(ctx context.Context, prefix string) (app.Retention, error) {
	var out app.Retention
	err := c.do(ctx, request{path: "/v1/retention", query: url.Values{"prefix": {prefix}}}, &out)
	return out, err
}

// SetRetention changes it.
func (c *Client) SetRetention(ctx context.Context, prefix string, wish app.RetentionWish) (app.Retention, error) {
	var out app.Retention
	err := c.do(ctx, request{method: http.MethodPut, path: "/v1/retention", query: url.Values{"prefix": {prefix}}, body: wish}, &out)
	return out, err
}
