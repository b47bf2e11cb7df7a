package httpapi

import (
	"context"
	"encoding/json"

	"statek/internal/app"
)

// The fake has one object, acme's docs/a at version 7; how writes meet versions is tested with a database.

func (f *fakeApp) GetObject(_ context.Context, name app.ObjectName, _ int64) (app.Object, error) {
	if err := f.note("GetObject"); err != nil {
		return app.Object{}, err
	}
	if name.Key != "a" {
		return app.Object{}, &app.Error{Kind: app.KindNotFound, Message: "there is no object " + name.Key}
	}
	return app.Object{Collection: name.Collection, Key: name.Key, Version: 7, Value: json.RawMessage(`{"n": 1.0}`), UpdatedAt: createdAt, UpdatedBy: "api"}, nil
}

func (f *fakeApp) PutObject(_ context.Context, name app.ObjectName, value json.RawMessage, expected *int64) (app.Object, bool, error) {
	if err := f.note("PutObject"); err != nil {
		return app.Object{}, false, err
	}
	if expected != nil && *expected != 7 {
		return app.Object{}, false, &app.Error{Kind: app.KindPrecondition, Message: "it is at version 7"}
	}
	return app.Object{Collection: name.Collection, Key: name.Key, Version: 8, Value: value, UpdatedAt: createdAt, UpdatedBy: "api"}, false, nil
}

func (f *fakeApp) DeleteObject(_ context.Context, name app.ObjectName, _ *int64) (app.Object, error) {
	return app.Object{Collection: name.Collection, Key: name.Key, Version: 8}, f.note("DeleteObject")
}

func (f *fakeApp) ListObjects(context.Context, app.ObjectName, string, string, int) (app.ObjectPage, error) {
	return app.ObjectPage{}, f.note("ListObjects")
}

func (f *fakeApp) Retention(_ context.Context, prefix string) (app.Retention, error) {
	return app.Retention{Prefix: prefix, Succeeded: app.Kept{Keep: "30d"}}, f.note("Retention")
}

func (f *fakeApp) SetRetention(_ context.Context, prefix string, wish app.RetentionWish) (app.Retention, error) {
	return app.Retention{Prefix: prefix, Succeeded: app.Kept{Keep: wish.Succeeded, From: prefix}}, f.note("SetRetention")
}
