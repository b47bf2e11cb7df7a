package temporal

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"statek/internal/objects"
)

// Scope is what Plan knows about the call besides its arguments.
type Scope struct {
	Cell int
	Call int
	// Now is the recorded clock of the call.
	Now        time.Time
	Prefix     string
	Job        string
	JobCreated time.Time
	// Def and TemporalID are the temporal behind a name that is not built in.
	Def        *Definition
	TemporalID string
}

// ArgumentError is a call with wrong arguments; the code that made it gets a TypeError with its text.
type ArgumentError struct {
	Call  string // what was called
	Field string // the argument: "duration", "options.timeout"
	Msg   string
}

// Error implements error.
func (e *ArgumentError) Error() string {
	if e.Field == "" {
		return e.Call + ": " + e.Msg
	}
	return fmt.Sprintf("%s: %s %s", e.Call, e.Field, e.Msg)
}

// ErrUnknown is a name that is neither built in nor came with a definition.
var ErrUnknown = errors.New("temporal: unknown wait")

// BuiltIn reports whether a name is one of the waits that need no definition.
func BuiltIn(name string) bool {
	switch Kind(name) {
	case Sleep, Until, Event, Message, Approval, Job:
		return true
	default:
		return name == objects.Changed
	}
}

// Plan turns a call into the wait it asks for. Wrong arguments are an *ArgumentError.
func Plan(name string, args []json.RawMessage, scope Scope) (Spec, error) {
	p := planner{Spec{Cell: scope.Cell, Call: scope.Call, Name: name}, scope, trim(args)}
	var err error
	switch {
	case scope.Def != nil:
		err = p.defined()
	case Kind(name) == Sleep:
		err = p.sleep()
	case Kind(name) == Until:
		err = p.until()
	case Kind(name) == Event:
		err = p.event()
	case Kind(name) == Message:
		err = p.message()
	case name == objects.Changed:
		err = p.object()
	case Kind(name) == Approval:
		err = p.approval()
	case Kind(name) == Job:
		err = p.job()
	default:
		return Spec{}, fmt.Errorf("%w: %q", ErrUnknown, name)
	}
	if err != nil {
		return Spec{}, err
	}
	return p.spec, nil
}

type planner struct {
	spec  Spec
	scope Scope
	args  []json.RawMessage
}

func (p *planner) sleep() error {
	p.spec.Kind = Sleep
	if err := p.count(1, 1, "sleep(duration)"); err != nil {
		return err
	}
	d, err := Duration(p.args[0])
	if err != nil {
		return p.wrong("duration", "%s", err)
	}
	due := p.scope.Now.Add(d)
	p.spec.Due = &due
	return nil
}

func (p *planner) until() error {
	p.spec.Kind = Until
	if err := p.count(1, 1, "until(time)"); err != nil {
		return err
	}
	due, err := instant(p.args[0])
	if err != nil {
		return p.wrong("time", "%s", err)
	}
	if due.After(p.scope.Now.Add(Longest)) {
		return p.wrong("time", "must be within ten years, got %s", brief(p.args[0]))
	}
	p.spec.Due = &due
	return nil
}

func (p *planner) message() error {
	p.spec.Kind = Message
	if err := p.count(0, 1, "message({timeout})"); err != nil {
		return err
	}
	_, err := p.options(0, "timeout")
	return err
}

func (p *planner) event() error {
	p.spec.Kind = Event
	if err := p.count(1, 2, "event(name, {key, since, timeout})"); err != nil {
		return err
	}
	var name string
	if json.Unmarshal(p.args[0], &name) != nil || isNull(p.args[0]) {
		return p.wrong("name", "must be a string, got %s", brief(p.args[0]))
	}
	if n := len([]rune(name)); n < 1 || n > 200 || strings.ContainsRune(name, 0) {
		return p.wrong("name", "must have 1 to 200 characters and no NUL, got %q", shorten(name))
	}
	options, err := p.options(1, "key", "since", "timeout")
	if err != nil {
		return err
	}
	since := p.scope.JobCreated
	if raw, ok := options["since"]; ok {
		if since, err = instant(raw); err != nil {
			return p.wrong("options.since", "%s", err)
		}
	}
	if !since.IsZero() {
		p.spec.Since = &since
	}
	identity := eventArgs{Name: name}
	if raw, ok := options["key"]; ok {
		var key string
		if json.Unmarshal(raw, &key) != nil {
			return p.wrong("options.key", "must be a string, got %s", brief(raw))
		}
		if n := len([]rune(key)); n < 1 || n > 1000 || strings.ContainsRune(key, 0) {
			return p.wrong("options.key", "must have 1 to 1000 characters and no NUL, got %q", shorten(key))
		}
		identity.Key = &key
	}
	p.spec.Group = eventGroup(p.scope.Prefix, identity)
	return nil
}

// job waits for the end of another job.
func (p *planner) job() error {
	p.spec.Kind = Job
	if err := p.count(1, 2, "job(id, {timeout})"); err != nil {
		return err
	}
	var text string
	_ = json.Unmarshal(p.args[0], &text) // no string: no id
	id, err := uuid.Parse(text)
	switch {
	case err != nil || len(text) != 36:
		return p.wrong("id", "must be the id of a job, 36 characters, got %s", brief(p.args[0]))
	case id.String() == p.scope.Job:
		return p.wrong("id", "is this job's own: it cannot wait for its own end")
	}
	p.spec.Group = &Group{
		Prefix: p.scope.Prefix, Kind: Job, Name: string(Job), Args: marshal(map[string]string{"id": id.String()}),
		Deps: []string{"job:" + id.String()},
	}
	_, err = p.options(1, "timeout")
	return err
}

// defined is a wait that the application defines.
func (p *planner) defined() error {
	def := p.scope.Def
	p.spec.Kind = SQL
	if def.Go {
		p.spec.Kind = Go
	}
	args, err := p.sqlArgs(def.Params)
	if err != nil {
		return err
	}
	group, err := definedGroup(p.spec.Kind, p.scope, args)
	if err != nil {
		var e *ArgumentError
		if errors.As(err, &e) {
			e.Call = p.spec.Name
		}
		return err
	}
	p.spec.Group = group
	return nil
}

// options reads the object at place i, sets the timeout, and refuses names that mean nothing.
func (p *planner) options(i int, known ...string) (map[string]json.RawMessage, error) {
	if i >= len(p.args) || isNull(p.args[i]) {
		return nil, nil
	}
	fields, ok := object(p.args[i])
	if !ok {
		return nil, p.wrong("options", "must be an object such as {%s}, got %s", strings.Join(known, ", "), brief(p.args[i]))
	}
	for _, name := range sortedKeys(fields) {
		if !slices.Contains(known, name) {
			return nil, p.wrong("options", "has an unknown field %q; known are %s", shorten(name), strings.Join(known, ", "))
		}
		if isNull(fields[name]) {
			delete(fields, name)
		}
	}
	if raw, ok := fields["timeout"]; ok {
		d, err := Duration(raw)
		if err != nil {
			return nil, p.wrong("options.timeout", "%s", err)
		}
		due := p.scope.Now.Add(d)
		p.spec.Due = &due
	}
	return fields, nil
}

func (p *planner) count(least, most int, usage string) error {
	if n := len(p.args); n < least || n > most {
		return p.wrong("", "called with %d arguments; write %s", n, usage)
	}
	return nil
}

func (p *planner) wrong(field, format string, args ...any) error {
	return &ArgumentError{Call: p.spec.Name, Field: field, Msg: fmt.Sprintf(format, args...)}
}

// trim drops trailing nulls: sleep(1, undefined) is sleep(1).
func trim(args []json.RawMessage) []json.RawMessage {
	for len(args) > 0 && isNull(args[len(args)-1]) {
		args = args[:len(args)-1]
	}
	return args
}
