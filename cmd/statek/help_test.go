package main

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

var update = flag.Bool("update", false, "write the golden files")

// call runs the command line as a shell would.
func call(t *testing.T, env []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, env, strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

func TestHelp(t *testing.T) {
	t.Parallel()
	var got strings.Builder
	var walk func(c *cobra.Command, path []string)
	walk = func(c *cobra.Command, path []string) {
		code, stdout, stderr := call(t, nil, append(path, "--help")...)
		if code != exitOK || stderr != "" {
			t.Errorf("%v --help: got exit %d and %q", path, code, stderr)
		}
		if c.Name() != "completion" && c.Name() != "help" && !strings.Contains(stdout, "Examples:") {
			t.Errorf("%v --help shows no example", path)
		}
		got.WriteString("$ statek " + strings.Join(append(path, "--help"), " ") + "\n" + stdout + "\n")
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() {
				walk(sub, append(path[:len(path):len(path)], sub.Name()))
			}
		}
	}
	walk((&program{}).root(), nil)
	const golden = "testdata/help.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatalf("%v; go test ./cmd/statek -update writes it", err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("help (-want +got):\n%s", diff)
	}
}

func TestMisuse(t *testing.T) {
	t.Parallel()
	const id = "01993e80-6c5e-7cc4-b5d5-0d3c0a3f6a11"
	for _, c := range []struct {
		name string
		args []string
		env  []string
		says string
	}{
		{"unknown command", []string{"lss"}, nil, "Did you mean this?\n\tls"},
		{"unknown flag", []string{"ls", "--staus", "DONE"}, nil, "did you mean --status?"},
		{"far-off flag", []string{"ls", "--quux"}, nil, "unknown flag: --quux\n"},
		{"missing argument", []string{"show"}, nil, "expected `statek show ID`, got 0 arguments"},
		{"too many arguments", []string{"version", "now"}, nil, "got 1 arguments"},
		{"short id", []string{"show", "01993e80"}, nil, `expected ID to be the whole id of a job, 36 characters as ` + "`statek ls`" + ` shows them, got "01993e80"`},
		{"id in another form", []string{"cancel", "{" + id + "}"}, nil, "expected ID"},
		{"variable without value", []string{"submit", "clerk", "--var", "event"}, nil, `expected --var to be name=JSON or name=@file, got "event"`},
		{"variable that is no JSON", []string{"submit", "clerk", "--var", "queue=triage"}, nil, `text needs quotes: 'queue="text"'), got "triage"`},
		{"file that is not there", []string{"submit", "clerk", "--var", "event=@/nowhere"}, nil, "no such file"},
		{"message that is nearly JSON", []string{"push", id, `{"a":`}, nil, "begins like JSON"},
		{"event that is no JSON", []string{"emit", "paid", "yes"}, nil, `expected the event's value to be JSON, got "yes"`},
		{"cell", []string{"vars", id, "--cell", "x"}, nil, "expected --cell"},
		{"workers", []string{"dev", "--workers", "0"}, nil, `expected --workers to be a whole number of at least 1, got "0"`},
		{"url in a variable", []string{"ls"}, []string{"STATEK_URL=localhost:8080"}, `expected STATEK_URL to be the URL of a Statek API, such as http://127.0.0.1:8080, got "localhost:8080"`},
		{"no database", []string{"apply", "."}, nil, "expected --database-url to be the URL of a PostgreSQL database"},
		{"no folder", []string{"apply", "/nowhere", "--database-url", "postgres://h/d"}, nil, `expected DIR to be a folder`},
		{"steps", []string{"migrate", "down", "0", "--database-url", "postgres://h/d"}, nil, `expected N to be a whole number of at least 1, got "0"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			args := append(c.args, "--data", t.TempDir())
			code, stdout, stderr := call(t, c.env, args...)
			if code != exitUsage || stdout != "" || !strings.Contains(stderr, c.says) {
				t.Errorf("got exit %d, %q and %q; want exit 2 and %q", code, stdout, stderr, c.says)
			}
		})
	}
}

func TestUnreachableAPI(t *testing.T) {
	t.Parallel()
	code, _, stderr := call(t, nil, "ls", "--url", "http://user:secret@127.0.0.1:1", "--data", t.TempDir())
	if code != exitFailure || !strings.Contains(stderr, "`statek dev` starts one") || strings.Contains(stderr, "secret") {
		t.Errorf("got exit %d and %q, want exit 1 and a remedy without the password", code, stderr)
	}
}

func TestModelsCannotMoveTheCursor(t *testing.T) {
	t.Parallel()
	if got, want := plain("a\x1b[2Jb\tc\nd\u0085"), "a [2Jb c⏎d "; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
