package temporal

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"statek/internal/objects"
)

// ObjectArgs are the arguments of a wait for a change: of one object, or of a collection when Key is nil. Since is
// what must be exceeded: a version, or the snapshot that a collection was last seen in.
type ObjectArgs struct {
	Collection string          `json:"collection"`
	Key        *string         `json:"key,omitempty"`
	Since      json.RawMessage `json:"since,omitempty"`
}

// snapshotForm is how Postgres writes a snapshot: xmin, xmax, and who ran between them.
var snapshotForm = regexp.MustCompile(`^[0-9]{1,19}:[0-9]{1,19}:[0-9,]*$`)

// object plans objects.changed(collection, key, {since, timeout}); the key may be left out.
func (p *planner) object() error {
	const usage = "objects.changed(collection, key, {since, timeout})"
	p.spec.Kind = Object
	if err := p.count(1, 3, usage); err != nil {
		return err
	}
	var args ObjectArgs
	var err error
	if args.Collection, err = p.objectName(0, "collection", objects.CheckCollection); err != nil {
		return err
	}
	at := 1
	if _, isOptions := object(p.arg(1)); !isOptions && len(p.args) > 1 {
		if !isNull(p.args[1]) {
			key, err := p.objectName(1, "key", objects.CheckKey)
			if err != nil {
				return err
			}
			args.Key = &key
		}
		at = 2
	}
	if len(p.args) > at+1 {
		return p.wrong("", "called with %d arguments; write %s", len(p.args), usage)
	}
	options, err := p.options(at, "since", "timeout")
	if err != nil {
		return err
	}
	if args.Since, err = p.objectSince(args.Key != nil, options["since"]); err != nil {
		return err
	}
	p.spec.Group = objectGroup(p.scope.Prefix, args)
	return nil
}

func (p *planner) arg(i int) json.RawMessage {
	if i < len(p.args) {
		return p.args[i]
	}
	return nil
}

func (p *planner) objectName(i int, field string, check func(string) error) (string, error) {
	var name string
	if isNull(p.args[i]) || json.Unmarshal(p.args[i], &name) != nil {
		return "", p.wrong(field, "must be a string, got %s", brief(p.args[i]))
	}
	if err := check(name); err != nil {
		return "", p.wrong(field, "%s", err)
	}
	return name, nil
}

// objectSince checks since: nil when it was not given.
func (p *planner) objectSince(keyed bool, raw json.RawMessage) (json.RawMessage, error) {
	if raw == nil {
		return nil, nil
	}
	if keyed {
		version, err := strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 64)
		if err != nil || version < 0 {
			return nil, p.wrong("options.since", "must be a version of the object, 0 for none; got %s", brief(raw))
		}
		return json.RawMessage(strconv.FormatInt(version, 10)), nil
	}
	var snapshot string
	if json.Unmarshal(raw, &snapshot) != nil || checkSnapshot(snapshot) != nil {
		return nil, p.wrong("options.since", "must be the since of an earlier result, as it was; got %s", brief(raw))
	}
	return marshal(snapshot), nil
}

// checkSnapshot refuses what Postgres would: a condition must not fail for what a cell has written.
func checkSnapshot(text string) error {
	wrong := errors.New("no snapshot")
	if !snapshotForm.MatchString(text) {
		return wrong
	}
	parts := strings.SplitN(text, ":", 3)
	xmin, err1 := strconv.ParseInt(parts[0], 10, 64)
	xmax, err2 := strconv.ParseInt(parts[1], 10, 64)
	if err := errors.Join(err1, err2); err != nil || xmin < 1 || xmax < xmin {
		return wrong
	}
	last := xmin - 1
	for _, one := range strings.Split(parts[2], ",") {
		if one == "" && parts[2] == "" {
			break
		}
		xid, err := strconv.ParseInt(one, 10, 64)
		if err != nil || xid <= last || xid >= xmax {
			return wrong
		}
		last = xid
	}
	return nil
}

// Unmarked returns the arguments of a wait for a change that does not say since when. The caller reads where the
// object or the collection is now, and registers the wait that Marked makes of it: what is read before the
// registration can only be older, so nothing is missed.
func Unmarked(s Spec) (ObjectArgs, bool) {
	if s.Kind != Object || s.Group == nil {
		return ObjectArgs{}, false
	}
	args, err := ReadObjectArgs(s.Group.Args)
	return args, err == nil && args.Since == nil
}

// Marked completes a wait that Unmarked has found.
func Marked(s Spec, args ObjectArgs, since json.RawMessage) Spec {
	args.Since = since
	s.Group = objectGroup(s.Group.Prefix, args)
	return s
}

// ReadObjectArgs reads the arguments of a group of waits for a change.
func ReadObjectArgs(raw json.RawMessage) (ObjectArgs, error) {
	var args ObjectArgs
	if err := json.Unmarshal(raw, &args); err != nil {
		return args, fmt.Errorf("temporal: read arguments: %w", err)
	}
	return args, nil
}

// objectGroup is keyed by since too: those who saw the same version wait together, and are all told at once.
func objectGroup(prefix string, args ObjectArgs) *Group {
	dep := "object:" + prefix + ":" + args.Collection
	if args.Key != nil {
		dep += ":" + DepKey(*args.Key)
	}
	return &Group{Prefix: prefix, Kind: Object, Name: objects.Changed, Args: marshal(args), Deps: []string{dep}}
}
