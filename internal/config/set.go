package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

// Set is the settings of one command.
type Set struct {
	flags    *pflag.FlagSet
	env      Env
	settings []*setting
}

// setting is one value: where it may come from, and what it must be.
type setting struct {
	flag, variable string
	kind           string // shown in --help
	want           string // ends "expected X to be …"
	secret         bool   // its value is shown redacted
	hidden         bool   // its value is never shown
	fromFile       bool
	values         []string
	given          bool // by flag
	take           func([]string) error
}

// NewSet binds settings to flags and the environment. env nil means no variables.
func NewSet(flags *pflag.FlagSet, env Env) *Set {
	return &Set{flags: flags, env: env}
}

// String implements pflag.Value.
func (s *setting) String() string { return strings.Join(s.values, ",") }

// Type implements pflag.Value.
func (s *setting) Type() string { return s.kind }

// Set implements pflag.Value. It judges nothing: Resolve does.
func (s *setting) Set(text string) error {
	if s.given {
		s.values = append(s.values, text)
		return nil
	}
	s.values, s.given = []string{text}, true
	return nil
}

func (s *Set) add(x *setting, usage, fallback string) {
	if fallback != "" {
		x.values = []string{fallback}
	}
	if x.variable != "" {
		usage += " (or " + x.variable + ")"
	}
	s.flags.Var(x, x.flag, usage)
	s.settings = append(s.settings, x)
}

// Resolve decides every setting; file holds what the file says. The error joins all that is wrong.
func (s *Set) Resolve(file map[string]string) error {
	var problems []error
	for _, x := range s.settings {
		name := "--" + x.flag
		switch text, ok := s.env.lookup(x.variable); {
		case x.given:
		case ok:
			name, x.values = x.variable, []string{text}
			if x.kind == "strings" {
				x.values = strings.Split(text, ",")
			}
		case x.fromFile && file[x.variable] != "":
			name, x.values = x.variable+" in the env file", []string{file[x.variable]}
		}
		if err := x.take(x.values); err != nil {
			problems = append(problems, x.complaint(name))
		}
	}
	return errors.Join(problems...)
}

func (x *setting) complaint(name string) error {
	text := x.String()
	if x.secret {
		text = Redact(text)
	}
	if text == "" || x.hidden {
		return fmt.Errorf("expected %s to be %s", name, x.want)
	}
	return fmt.Errorf("expected %s to be %s, got %q", name, x.want, text)
}
