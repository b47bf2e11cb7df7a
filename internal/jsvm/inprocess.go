package jsvm

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/dop251/goja"
	"github.com/dop251/goja/parser"
)

//go:embed prelude_v1.js
var preludeV1 string

// InProcess is the Machine that runs cells in this process. It bounds what can be bounded from inside; a
// hostile script can still exhaust the process (see doc.go), which is what the sandbox child is for.
type InProcess struct {
	// Clock measures what a drain costs, for the limits of time. The default is the time of day; a process
	// that runs one cell at a time can give its own CPU time, which a busy machine does not use up.
	Clock func() time.Duration

	engines  map[int]func() (*engine, error)
	globals  func() (map[string]bool, error)
	programs *programs
}

// engine is what all sessions under one prelude share.
type engine struct {
	realm    *realm
	pristine func() (*pristine, error)
}

// NewInProcess returns a machine. Call PinUTC first when the process may run in another time zone.
func NewInProcess() *InProcess {
	began := time.Now()
	m := &InProcess{Clock: func() time.Duration { return time.Since(began) }, programs: &programs{}}
	m.engines = map[int]func() (*engine, error){
		1: sync.OnceValues(func() (*engine, error) { return m.load(1, "prelude_v1", preludeV1) }),
	}
	m.globals = sync.OnceValues(m.globalNames)
	return m
}

// PinUTC makes UTC the time zone of the process. goja takes the zone of local dates from time.Local and
// nowhere else, so a machine in another zone would not replay. Call it first in main, before anything
// reads the clock.
func PinUTC() { time.Local = time.UTC }

// ErrTimeZone: the process does not run in UTC, so replays on other machines would differ.
var ErrTimeZone = errors.New("jsvm: process is not in UTC: call jsvm.PinUTC first in main")

func (m *InProcess) load(number int, name, source string) (*engine, error) {
	ast, err := parser.ParseFile(nil, name, source, 0, parser.WithDisableSourceMaps)
	if err != nil {
		return nil, fmt.Errorf("jsvm: parse %s: %w", name, err)
	}
	program, err := goja.CompileAST(ast, true)
	if err != nil {
		return nil, fmt.Errorf("jsvm: compile %s: %w", name, err)
	}
	layout, err := newLayout()
	if err != nil {
		return nil, err
	}
	realm, err := newRealm(layout, program)
	if err != nil {
		return nil, err
	}
	return &engine{realm: realm, pristine: m.survey(number)}, nil
}

// Open implements Machine.
func (m *InProcess) Open(ctx context.Context, setup Setup) (Session, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("jsvm: open session: %w", context.Cause(ctx))
	}
	s, err := m.open(setup)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (m *InProcess) open(setup Setup) (s *session, err error) {
	if !inUTC() {
		return nil, ErrTimeZone
	}
	number := setup.Engine
	if number == 0 {
		number = Engine
	}
	load, ok := m.engines[number]
	if !ok {
		return nil, fmt.Errorf("%w: engine %d, this binary has 1 to %d", ErrEngine, number, Engine)
	}
	e, err := load()
	if err != nil {
		return nil, err
	}
	defer func() {
		if x := recover(); x != nil {
			s, err = nil, fmt.Errorf("jsvm: open session: %v", x)
		}
	}()
	return newSession(setup, e, m)
}

func inUTC() bool {
	for _, month := range []time.Month{time.January, time.July} {
		if _, offset := time.Date(2024, month, 1, 0, 0, 0, 0, time.Local).Zone(); offset != 0 {
			return false
		}
	}
	return true
}

// Analyze implements Machine.
func (m *InProcess) Analyze(ctx context.Context, _, source string, limits Limits) (a Analysis, err error) {
	if err := ctx.Err(); err != nil {
		return Analysis{}, fmt.Errorf("jsvm: analyze cell: %w", context.Cause(ctx))
	}
	defer func() {
		if x := recover(); x != nil {
			a, err = Analysis{}, &SyntaxError{Message: fmt.Sprintf("the parser failed: %v", x), Line: 1, Column: 1}
		}
	}()
	cell, err := compileCell(source, "", limits.WithDefaults(), func(string) bool { return false })
	if err != nil {
		return Analysis{}, err
	}
	known, err := m.globals()
	if err != nil {
		return Analysis{}, err
	}
	a = cell.analysis
	given := func(name string) bool { return known[name] || helperName.MatchString(name) }
	a.Free = slices.DeleteFunc(slices.Clone(a.Free), given)
	a.Called = slices.DeleteFunc(slices.Clone(a.Called), given)
	a.Declared = slices.DeleteFunc(slices.Clone(a.Declared), helperName.MatchString)
	return a, nil
}

// helperName matches the variables of esbuild's runtime.
var helperName = regexp.MustCompile(`^__[a-zA-Z]+$`)

// globalNames lists what every session has: JavaScript's own globals, the prelude's and the built-ins.
func (m *InProcess) globalNames() (map[string]bool, error) {
	s, err := m.open(Setup{})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	names := map[string]bool{}
	for _, name := range s.vm.GlobalObject().GetOwnPropertyNames() {
		names[name] = true
	}
	return names, nil
}
