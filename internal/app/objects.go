package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"statek/internal/objects"
	"statek/internal/store"
)

// Object is a versioned JSON document.
type Object struct {
	Prefix     string          `json:"prefix"`
	Collection string          `json:"collection"`
	Key        string          `json:"key"`
	Version    int64           `json:"version" doc:"Grows with each write, also over a deletion."`
	Value      json.RawMessage `json:"value,omitempty"`
	UpdatedAt  time.Time       `json:"updated_at"`
	UpdatedBy  string          `json:"updated_by" doc:"Who wrote this version: job <id>/<cell>/<call>, sql <role>, or api." example:"job 01993e80-6c5e-7cc4-b5d5-0d3c0a3f6a11/3/2"`
}

// ObjectPage is a part of a collection, by key.
type ObjectPage struct {
	Objects []Object `json:"objects"`
	Next    string   `json:"next,omitempty" doc:"What after has to be for the rest."`
}

// ObjectName names an object; without a key, a collection.
type ObjectName struct{ Prefix, Collection, Key string }

// What a write may expect instead of a version.
const (
	ObjectAbsent  = objects.Absent
	ObjectPresent = objects.Present
)

// listBytes bounds a page.
const listBytes = 4 << 20

// GetObject reads an object, or one of its earlier versions when version is not 0.
func (a *App) GetObject(ctx context.Context, name ObjectName, version int64) (Object, error) {
	if err := name.check(true); err != nil {
		return Object{}, err
	}
	var o objects.Object
	var err error
	if version == 0 {
		o, err = a.store.Object(ctx, name.Prefix, name.Collection, name.Key)
	} else {
		o, err = a.store.ObjectVersion(ctx, name.Prefix, name.Collection, name.Key, version)
	}
	if errors.Is(err, store.ErrNotFound) || err == nil && o.Value == nil {
		return Object{}, name.missing(version)
	}
	return name.object(o), fail(err, "object "+name.Key)
}

// PutObject writes an object. created: there was none. With expected the current version must be that, or
// ObjectAbsent, or ObjectPresent: else the error's kind is KindPrecondition.
func (a *App) PutObject(ctx context.Context, name ObjectName, value json.RawMessage, expected *int64) (o Object, created bool, err error) {
	if err := name.check(true); err != nil {
		return Object{}, false, err
	}
	if !json.Valid(value) || !utf8.Valid(value) {
		return Object{}, false, invalid("value", nil, "is not JSON")
	}
	written, created, err := a.store.WriteObject(ctx, name.call(value, expected))
	if err != nil {
		return Object{}, false, refusedObject(err, name)
	}
	return name.object(written), created, nil
}

// DeleteObject deletes an object. expected is as for PutObject; without it an object that is not there is an error of
// kind KindNotFound.
func (a *App) DeleteObject(ctx context.Context, name ObjectName, expected *int64) (Object, error) {
	if err := name.check(true); err != nil {
		return Object{}, err
	}
	o, _, err := a.store.WriteObject(ctx, name.call(nil, expected))
	if err != nil {
		return Object{}, refusedObject(err, name)
	}
	if o.Version == 0 {
		return Object{}, name.missing(0)
	}
	return name.object(o), nil
}

// ListObjects lists a collection by key: those whose key begins with begins and comes after after.
func (a *App) ListObjects(ctx context.Context, name ObjectName, begins, after string, limit int) (ObjectPage, error) {
	if err := name.check(false); err != nil {
		return ObjectPage{}, err
	}
	if limit == 0 {
		limit = objects.DefaultLimit
	}
	if limit < 1 || limit > objects.MaxLimit {
		return ObjectPage{}, invalid("limit", limit, fmt.Sprintf("must be between 1 and %d", objects.MaxLimit))
	}
	for field, text := range map[string]string{"begins": begins, "after": after} {
		if len(text) > objects.MaxKey || !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
			return ObjectPage{}, invalid(field, text, fmt.Sprintf("must have at most %d bytes and no NUL", objects.MaxKey))
		}
	}
	page, err := a.store.ListObjects(ctx, objects.Call{
		Prefix: name.Prefix, Collection: name.Collection, Begins: begins, After: after, Limit: limit,
	}, listBytes)
	if err != nil {
		return ObjectPage{}, fail(err, "collection "+name.Collection)
	}
	out := ObjectPage{Objects: make([]Object, 0, len(page.Objects)), Next: page.Next}
	for _, o := range page.Objects {
		out.Objects = append(out.Objects, ObjectName{name.Prefix, name.Collection, o.Key}.object(o))
	}
	return out, nil
}

func (n ObjectName) check(keyed bool) error {
	if err := checkPrefix("prefix", n.Prefix); err != nil {
		return err
	}
	if err := objects.CheckCollection(n.Collection); err != nil {
		return invalid("collection", n.Collection, err.Error())
	}
	if err := objects.CheckKey(n.Key); keyed && err != nil {
		return invalid("key", n.Key, err.Error())
	}
	return nil
}

func (n ObjectName) missing(version int64) error {
	message := fmt.Sprintf("there is no object %s/%s at prefix %s", n.Collection, n.Key, n.Prefix)
	if version != 0 {
		message = fmt.Sprintf("version %d of object %s/%s at prefix %s is not kept, or is its deletion", version, n.Collection, n.Key, n.Prefix)
	}
	return &Error{Kind: KindNotFound, Message: message}
}

func (n ObjectName) object(o objects.Object) Object {
	return Object{
		Prefix: n.Prefix, Collection: n.Collection, Key: o.Key, Version: o.Version, Value: o.Value, UpdatedAt: o.UpdatedAt, UpdatedBy: o.UpdatedBy,
	}
}

func (n ObjectName) call(value json.RawMessage, expected *int64) objects.Call {
	return objects.Call{Prefix: n.Prefix, Collection: n.Collection, Key: n.Key, Value: value, Expected: expected, By: "api"}
}

// refusedObject says why a write was refused.
func refusedObject(err error, name ObjectName) error {
	conflict, wrong := (*objects.ConflictError)(nil), (*objects.InvalidError)(nil)
	switch {
	case errors.As(err, &conflict):
		return &Error{Kind: KindPrecondition, Message: conflict.Message + ": read it again and decide anew", Err: err}
	case errors.As(err, &wrong):
		return &Error{Kind: KindInvalid, Message: wrong.Message, Err: err, Fields: []FieldError{{Field: "value", Message: wrong.Message}}}
	default:
		return fail(err, "object "+name.Key)
	}
}
