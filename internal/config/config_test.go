package config_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"statek/internal/config"
)

type all struct {
	text, choice, address, dir, database, api string
	count                                     int
	duration                                  time.Duration
}

func bind(flags *pflag.FlagSet, env config.Env, required bool) (*all, *config.Set) {
	v, s := &all{}, config.NewSet(flags, env)
	s.Text(&v.text, "text", "STATEK_TEXT", "fallback", "")
	s.Choice(&v.choice, "choice", "STATEK_CHOICE", "one", "", "one", "two")
	s.Count(&v.count, "count", "STATEK_COUNT", 2, "")
	s.Duration(&v.duration, "grace", "STATEK_GRACE", 20*time.Second, "")
	s.Address(&v.address, "listen", "STATEK_LISTEN", "127.0.0.1:8080", "")
	s.Dir(&v.dir, "definitions", "STATEK_DEFINITIONS", "")
	s.DatabaseURL(&v.database, required)
	s.APIURL(&v.api)
	return v, s
}

func TestPrecedence(t *testing.T) {
	t.Parallel()
	defaults := all{
		text: "fallback", choice: "one", address: "127.0.0.1:8080", api: "http://127.0.0.1:8080", count: 2,
		duration: 20 * time.Second,
	}
	with := func(change func(*all)) all {
		v := defaults
		change(&v)
		return v
	}
	file := map[string]string{"DATABASE_URL": "postgres://file/db", "STATEK_URL": "http://file", "STATEK_TEXT": "file"}
	for _, c := range []struct {
		name      string
		args, env []string
		file      map[string]string
		want      all
	}{
		{"nothing", nil, nil, nil, defaults},
		{"file over default, for URLs only", nil, nil, file, with(func(v *all) { v.database, v.api = "postgres://file/db", "http://file" })},
		{"environment over file", nil, []string{"DATABASE_URL=postgres://env/db", "STATEK_TEXT=env", "STATEK_COUNT=7"}, file, with(func(v *all) {
			v.database, v.api, v.text, v.count = "postgres://env/db", "http://file", "env", 7
		})},
		{"flag over environment", []string{"--text=flag", "--database-url", "postgres://flag/db"}, []string{"STATEK_TEXT=env", "DATABASE_URL=postgres://env/db"}, nil, with(func(v *all) {
			v.text, v.database = "flag", "postgres://flag/db"
		})},
		{"empty variable is absent", nil, []string{"STATEK_TEXT=", "STATEK_GRACE="}, nil, defaults},
		{"last flag wins", []string{"--text=a", "--text=b"}, nil, nil, with(func(v *all) { v.text = "b" })},
		{"flag that repeats the default", []string{"--text=fallback"}, []string{"STATEK_TEXT=env"}, nil, defaults},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
			got, set := bind(flags, config.EnvOf(c.env), false)
			if err := errors.Join(flags.Parse(c.args), set.Resolve(c.file)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, *got, cmp.AllowUnexported(all{})); diff != "" {
				t.Errorf("settings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestComplaints(t *testing.T) {
	t.Parallel()
	const database = "a PostgreSQL database, such as postgres://user:password@host:5432/name"
	for _, c := range []struct {
		name      string
		args, env []string
		file      map[string]string
		want      string
	}{
		{"negative duration", []string{"--grace=-1s"}, nil, nil, `expected --grace to be a positive duration such as 20s, got "-1s"`},
		{"duration in a variable", nil, []string{"STATEK_GRACE=soon"}, nil, `expected STATEK_GRACE to be a positive duration such as 20s, got "soon"`},
		{"count", []string{"--count=0"}, nil, nil, `expected --count to be a whole number of at least 1, got "0"`},
		{"choice", []string{"--choice=three"}, nil, nil, `expected --choice to be one of one, two, got "three"`},
		{"address", []string{"--listen=8080"}, nil, nil, `expected --listen to be host:port, such as 127.0.0.1:8080, got "8080"`},
		{"port", []string{"--listen=:http"}, nil, nil, `expected --listen to be host:port, such as 127.0.0.1:8080, got ":http"`},
		{"folder", []string{"--definitions=/nowhere/at/all"}, nil, nil, `expected --definitions to be a folder that exists, got "/nowhere/at/all"`},
		{"api", []string{"--url=localhost"}, nil, nil, `expected --url to be the URL of a Statek API, such as http://127.0.0.1:8080, got "localhost"`},
		{"database without password", []string{"--database-url=mysql://u:secret@h/d"}, nil, nil, `expected --database-url to be the URL of ` + database + `, got "mysql://u:xxxxx@h/d"`},
		{"file", nil, nil, map[string]string{"STATEK_URL": "ftp://x"}, `expected STATEK_URL in the env file to be the URL of a Statek API, such as http://127.0.0.1:8080, got "ftp://x"`},
		{"several", []string{"--count=x", "--grace=x"}, nil, nil, "expected --count to be a whole number of at least 1, got \"x\"\n" +
			"expected --grace to be a positive duration such as 20s, got \"x\""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
			_, set := bind(flags, config.EnvOf(c.env), false)
			if err := flags.Parse(c.args); err != nil {
				t.Fatal(err)
			}
			got := ""
			if err := set.Resolve(c.file); err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRequiredDatabase(t *testing.T) {
	t.Parallel()
	_, set := bind(pflag.NewFlagSet("test", pflag.ContinueOnError), nil, true)
	want := "expected --database-url to be the URL of a PostgreSQL database, such as postgres://user:password@host:5432/name"
	if err := set.Resolve(nil); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestRedact(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"postgres://u:p@h:5432/d?sslmode=disable":         "postgres://u:xxxxx@h:5432/d?sslmode=disable",
		"postgres://u@h/d":                                "postgres://u@h/d",
		"postgres://u:p%40x@h/d and http://a:b@c/":        "postgres://u:xxxxx@h/d and http://a:xxxxx@c/",
		"postgres://u:p@ss:w@h/d":                         "postgres://u:xxxxx@h/d",
		"host=h password=secret dbname=d":                 "host=h password=xxxxx dbname=d",
		"host=h password = 'two words' dbname=d":          "host=h password = xxxxx dbname=d",
		"postgres://h/d?user=u&password=secret&port=5432": "postgres://h/d?user=u&password=xxxxx&port=5432",
		"http://127.0.0.1:8080/a@b":                       "http://127.0.0.1:8080/a@b",
		"":                                                "",
	} {
		if got := config.Redact(text); got != want {
			t.Errorf("Redact(%q): got %q, want %q", text, got, want)
		}
	}
}

func TestReadFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	got, err := config.ReadFile(write("env", "# written by statek dev\nDATABASE_URL=postgres://h/d?a=b\n\nSTATEK_URL=\"http://h\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"DATABASE_URL": "postgres://h/d?a=b", "STATEK_URL": "http://h"}, got); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
	if got, err := config.ReadFile(filepath.Join(dir, "none")); got != nil || err != nil {
		t.Errorf("got %v, %v for no file, want nothing", got, err)
	}
	if _, err := config.ReadFile(write("broken", "A=1\nnonsense\n")); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("got %v, want an error that names line 2", err)
	}
	if _, err := config.ReadFile(dir); err == nil {
		t.Error("a folder was read as a file")
	}
}

func TestLogger(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := config.Logging{Level: "warn", Format: "auto"}.Logger(&out)
	log.Info("unseen")
	log.Warn("seen", "url", "postgres://u:secret@h/d", "err", errors.New("dial postgres://u:secret@h/d"), slog.Group("g", "dsn", "password=secret"))
	text := out.String()
	if !strings.HasPrefix(text, "{") || strings.Contains(text, "unseen") || strings.Contains(text, "secret") || strings.Count(text, "xxxxx") != 3 {
		t.Errorf("got %s, want one JSON line without the password", text)
	}
}
