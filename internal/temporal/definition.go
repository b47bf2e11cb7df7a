package temporal

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"statek/internal/sqldef"
)

// SyntaxError is a definition file that cannot be used, with its place.
type SyntaxError struct {
	File string
	Line int
	Msg  string
}

// Error implements error.
func (e *SyntaxError) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Msg) }

// Warning is something in a definition file that works but is probably not meant.
type Warning struct {
	File string
	Line int
	Msg  string
}

// String renders the warning like a compiler does.
func (w Warning) String() string { return fmt.Sprintf("%s:%d: %s", w.File, w.Line, w.Msg) }

// ShortestRecheck bounds how often a group may ask the database on its own.
const ShortestRecheck = time.Second

// ParseDefinition reads temporals/<name>.sql. Errors are *SyntaxError, joined when there are several.
func ParseDefinition(file, text string) (Definition, []Warning, error) {
	p := &parser{name: file}
	layout := sqldef.Layout{
		Keys:  []string{"temporal", "watch", "recheck"},
		Names: []string{"condition", "complement", "release"},
	}
	var err error
	if p.file, err = sqldef.Sections(text, layout); err != nil {
		return Definition{}, nil, p.place(1, err)
	}
	if err := p.signature(); err != nil { // the rest would only complain of parameters that it declares
		return Definition{}, nil, err
	}
	if err := errors.Join(p.watches(), p.recheck(), p.statements()); err != nil {
		return Definition{}, nil, err
	}
	if err := p.check(); err != nil {
		return Definition{}, nil, err
	}
	return p.def, p.warnings, nil
}

type parser struct {
	name     string
	file     sqldef.File
	def      Definition
	warnings []Warning
}

func (p *parser) signature() error {
	head, ok, err := p.file.Header("temporal")
	if err != nil {
		return p.place(1, err)
	}
	if !ok {
		return p.errorf(1, `a line such as "-- temporal: pickNextTask(queue text)" is missing`)
	}
	sig, err := sqldef.ParseSignature(head.Value)
	if err != nil {
		return p.place(head.Line, err)
	}
	if BuiltIn(sig.Name) {
		return p.errorf(head.Line, "%s is a built-in wait: choose another name", sig.Name)
	}
	for _, param := range sig.Params {
		if param.Name == "job_id" || param.Name == "prefix" || param.Name == "value" {
			return p.errorf(head.Line, "parameter %s: :job_id, :prefix and :value have a meaning of their own", param.Name)
		}
	}
	p.def.Name, p.def.Params, p.def.Description = sig.Name, sig.Params, p.file.Description
	return nil
}

const ident = `(?:[A-Za-z_][A-Za-z0-9_$]*|"[^".:]+")`

var watchForm = regexp.MustCompile(`^(` + ident + `)\.(` + ident + `)(?:\s+key\s+(` + ident + `)(?:\s*=\s*:([A-Za-z_][A-Za-z0-9_]*))?)?$`)

func (p *parser) watches() error {
	var wrong []error
	for _, head := range p.file.All("watch") {
		m := watchForm.FindStringSubmatch(head.Value)
		if m == nil {
			wrong = append(wrong, p.errorf(head.Line, `watch %q must look like "app.tasks key queue", "app.tasks key queue = :name" or "app.tasks" (with its schema)`, head.Value))
			continue
		}
		w := Watch{Relation: folded(m[1]) + "." + folded(m[2]), Line: head.Line}
		if m[3] != "" {
			w.Column, w.Param = folded(m[3]), m[4]
			if w.Param == "" {
				w.Param = w.Column
			}
			if err := p.keyParam(head.Line, w); err != nil {
				wrong = append(wrong, err)
			}
		}
		p.def.Watches = append(p.def.Watches, w)
	}
	return errors.Join(wrong...)
}

func (p *parser) keyParam(line int, w Watch) error {
	for _, param := range p.def.Params {
		if param.Name != w.Param {
			continue
		}
		if family(param.Type) == "ambiguous" {
			return p.errorf(line, "parameter %s has type %s, which cannot be a key, because equal values may be written differently: "+
				"use text, an integer, uuid, boolean or an enum, or watch the whole table", w.Param, param.Type)
		}
		return nil
	}
	return p.errorf(line, `key %s is no parameter of %s: name one, as in "key %s = :queue"`, w.Param, p.def.Name, w.Column)
}

func (p *parser) recheck() error {
	head, ok, err := p.file.Header("recheck")
	if err != nil {
		return p.place(1, err)
	}
	if !ok {
		return nil
	}
	ms, err := durationText(head.Value)
	if err != nil {
		return p.errorf(head.Line, `recheck must be a time such as "5s", got %q`, head.Value)
	}
	d := time.Duration(ms * float64(time.Millisecond))
	if d < ShortestRecheck || d > 24*time.Hour {
		return p.errorf(head.Line, "recheck must be between %s and 24h, got %s", ShortestRecheck, head.Value)
	}
	p.def.Recheck = d.String()
	return nil
}

func (p *parser) statements() error {
	own := []sqldef.Param{{Name: "job_id", Type: "uuid"}, {Name: "prefix", Type: "text"}}
	var condition, complement, release error
	p.def.Condition, condition = p.statement("condition", p.def.Params)
	p.def.Complement, complement = p.statement("complement", p.def.Params, own...)
	if _, ok := p.file.Section("release"); ok {
		var st sqldef.Statement
		st, release = p.statement("release", p.def.Params, append(own, sqldef.Param{Name: "value", Type: "jsonb"})...)
		p.def.Release = &st
	}
	return errors.Join(condition, complement, release)
}

func (p *parser) statement(name string, params []sqldef.Param, builtins ...sqldef.Param) (sqldef.Statement, error) {
	section, ok := p.file.Section(name)
	if !ok || section.SQL == "" {
		return sqldef.Statement{}, p.errorf(max(section.Line, 1), `the section "-- %s" is missing or empty`, name)
	}
	st, err := section.Compile(params, builtins...)
	if err != nil {
		return sqldef.Statement{}, p.place(section.Line, err)
	}
	return st, nil
}

// place gives an error its file, and its line when it knows none.
func (p *parser) place(line int, err error) error {
	var e *sqldef.Error
	if errors.As(err, &e) {
		return &SyntaxError{File: p.name, Line: e.Line, Msg: e.Msg}
	}
	return &SyntaxError{File: p.name, Line: line, Msg: err.Error()}
}

func (p *parser) errorf(line int, format string, args ...any) error {
	return &SyntaxError{File: p.name, Line: line, Msg: fmt.Sprintf(format, args...)}
}

func (p *parser) warnf(line int, format string, args ...any) {
	p.warnings = append(p.warnings, Warning{File: p.name, Line: line, Msg: fmt.Sprintf(format, args...)})
}

// folded is an identifier as the catalogue knows it.
func folded(name string) string {
	if strings.HasPrefix(name, `"`) {
		return strings.Trim(name, `"`)
	}
	return strings.ToLower(name)
}
