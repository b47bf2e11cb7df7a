package config

import (
	"errors"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

var errUnusable = errors.New("unusable")

// last is the value of a setting that has one: the last flag wins.
func last(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}

// Text binds any text.
func (s *Set) Text(into *string, flag, variable, fallback, usage string) {
	s.add(&setting{flag: flag, variable: variable, kind: "string", take: func(v []string) error {
		*into = last(v)
		return nil
	}}, usage, fallback)
}

// Choice binds one of several words.
func (s *Set) Choice(into *string, flag, variable, fallback, usage string, words ...string) {
	s.add(&setting{flag: flag, variable: variable, kind: "string", want: "one of " + strings.Join(words, ", "), take: func(v []string) error {
		*into = last(v)
		if !slices.Contains(words, *into) {
			return errUnusable
		}
		return nil
	}}, usage, fallback)
}

// Count binds a whole number of at least 1.
func (s *Set) Count(into *int, flag, variable string, fallback int, usage string) {
	s.add(&setting{flag: flag, variable: variable, kind: "int", want: "a whole number of at least 1", take: func(v []string) error {
		n, err := strconv.Atoi(last(v))
		if err != nil || n < 1 {
			return errUnusable
		}
		*into = n
		return nil
	}}, usage, strconv.Itoa(fallback))
}

// Maybe binds a whole number of at least 1, or nothing: then 0.
func (s *Set) Maybe(into *int, flag, variable, usage string) {
	s.add(&setting{flag: flag, variable: variable, kind: "int", want: "a whole number of at least 1", take: func(v []string) error {
		*into = 0
		if last(v) == "" {
			return nil
		}
		n, err := strconv.Atoi(last(v))
		if err != nil || n < 1 {
			return errUnusable
		}
		*into = n
		return nil
	}}, usage, "")
}

// Switch binds yes or no; a flag without a value is yes.
func (s *Set) Switch(into *bool, flag, variable, usage string) {
	s.add(&setting{flag: flag, variable: variable, kind: "bool", want: "true or false", take: func(v []string) error {
		yes, err := strconv.ParseBool(last(v))
		if err != nil {
			return errUnusable
		}
		*into = yes
		return nil
	}}, usage, "false")
	s.flags.Lookup(flag).NoOptDefVal = "true"
}

// Duration binds a positive duration.
func (s *Set) Duration(into *time.Duration, flag, variable string, fallback time.Duration, usage string) {
	s.add(&setting{flag: flag, variable: variable, kind: "duration", want: "a positive duration such as " + fallback.String(), take: func(v []string) error {
		d, err := time.ParseDuration(last(v))
		if err != nil || d <= 0 {
			return errUnusable
		}
		*into = d
		return nil
	}}, usage, fallback.String())
}

// Secret binds a key of at least some length; empty: none. Its value is never shown.
func (s *Set) Secret(into *[]byte, flag, variable string, least int, usage string) {
	s.add(&setting{
		flag: flag, variable: variable, kind: "key", hidden: true, want: "a secret of at least " + strconv.Itoa(least) + " bytes", take: func(v []string) error {
			*into = []byte(last(v))
			if n := len(*into); n > 0 && n < least {
				return errUnusable
			}
			return nil
		},
	}, usage, "")
}

// Address binds host:port; empty is allowed when fallback is.
func (s *Set) Address(into *string, flag, variable, fallback, usage string) {
	s.add(&setting{flag: flag, variable: variable, kind: "host:port", want: "host:port, such as 127.0.0.1:8080", take: func(v []string) error {
		*into = last(v)
		if *into == "" && fallback == "" {
			return nil
		}
		_, port, err := net.SplitHostPort(*into)
		if err != nil {
			return errUnusable
		}
		if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
			return errUnusable
		}
		return nil
	}}, usage, fallback)
}

// Dir binds a folder that exists; empty: none.
func (s *Set) Dir(into *string, flag, variable, usage string) {
	s.add(&setting{flag: flag, variable: variable, kind: "dir", want: "a folder that exists", take: func(v []string) error {
		*into = last(v)
		if *into == "" {
			return nil
		}
		if info, err := os.Stat(*into); err != nil || !info.IsDir() {
			return errUnusable
		}
		return nil
	}}, usage, "")
}

// DatabaseURL binds where the database is; required or not.
func (s *Set) DatabaseURL(into *string, required bool) {
	s.add(&setting{
		flag: "database-url", variable: "DATABASE_URL", kind: "url", secret: true, fromFile: true,
		want: "the URL of a PostgreSQL database, such as postgres://user:password@host:5432/name",
		take: func(v []string) error {
			*into = last(v)
			if *into == "" && !required {
				return nil
			}
			if !databaseForm(*into) {
				return errUnusable
			}
			return nil
		},
	}, "the PostgreSQL database", "")
}

// databaseForm takes a URL or the keyword form (host=… dbname=…); the driver judges the rest.
func databaseForm(text string) bool {
	if u, err := url.Parse(text); err == nil && u.Scheme != "" {
		return u.Scheme == "postgres" || u.Scheme == "postgresql"
	}
	return strings.Contains(text, "=") && !strings.Contains(text, "://")
}

// APIURL binds where the API is.
func (s *Set) APIURL(into *string) {
	s.add(&setting{
		flag: "url", variable: "STATEK_URL", kind: "url", secret: true, fromFile: true,
		want: "the URL of a Statek API, such as http://127.0.0.1:8080",
		take: func(v []string) error {
			*into = last(v)
			u, err := url.Parse(*into)
			if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
				return errUnusable
			}
			return nil
		},
	}, "the API", "http://127.0.0.1:8080")
}
