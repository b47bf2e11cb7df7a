package devdb

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fake is a docker command that answers with cases of a shell script. It is linked, not written: a file that was
// just written may still be open in a process that another test starts, and then cannot be run.
func fake(t *testing.T, answers string) (c container, calls func() []string) {
	t.Helper()
	script, err := filepath.Abs("testdata/docker")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	c = newContainer(filepath.Join(dir, "docker"))
	c.name = "box"
	if err := os.Symlink(script, c.docker); err != nil {
		t.Fatal(err)
	}
	answers = "case \"$1\" in\n" + answers + "\nesac\n"
	if err := os.WriteFile(filepath.Join(dir, "answers"), []byte(answers), 0o600); err != nil {
		t.Fatal(err)
	}
	return c, func() []string {
		text, err := os.ReadFile(filepath.Join(dir, "calls"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSpace(string(text)), "\n")
	}
}

const wantRun = "run --detach --rm --name box --publish 127.0.0.1::5432 --env POSTGRES_USER=postgres --env POSTGRES_PASSWORD" +
	" postgres:17-alpine postgres -c fsync=off -c full_page_writes=off -c max_connections=300"

func quiet() Config {
	return Config{Logger: slog.New(slog.DiscardHandler), Settings: map[string]string{"max_connections": "300"}}
}

// A real server stands where the engine would have put one.
func TestContainerAnswersAndIsStopped(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "statek-devdb-test-") // t.TempDir's parent is closed to the server's user
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cfg := quiet()
	cfg.Dir = dir
	real, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = real.Stop() })

	c, calls := fake(t, "info) echo 28.2.2 ;;\nport) echo 127.0.0.1:"+strconv.Itoa(real.port)+" ;;\nlogs) exec sleep 60 ;;")
	c.password = real.password
	var log strings.Builder
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	s, err := c.start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if s.URL("x") != real.URL("x") {
		t.Errorf("got URL %s, want %s", s.URL("x"), real.URL("x"))
	}
	for range 2 {
		if err := s.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	}
	got := calls()
	want := []string{"info --format {{.ServerVersion}}", wantRun, "port box 5432/tcp", "logs --follow box", "stop box"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
	given, err := os.ReadFile(filepath.Join(filepath.Dir(c.docker), "password"))
	if err != nil || string(given) != c.password {
		t.Errorf("the container was given password %q, want %q: %v", given, c.password, err)
	}
	if strings.Contains(log.String()+strings.Join(got, "\n"), c.password) {
		t.Errorf("the password can be read in the log or on a command line:\n%s%q", log.String(), got)
	}
}

func TestContainerThatFailsIsExplainedAndCleared(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "port) echo " + listener.Addr().String() + " ;;\n"
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, answers, want, last string }{
		{"no image", "info) echo 28 ;;\nrun) echo 'pull access denied' >&2; exit 125 ;;", "docker run: exit status 125: pull access denied", "rm --force --volumes box"},
		{"ended", "info) echo 28 ;;\n" + closed + "logs) echo 'FATAL: no such setting' >&2 ;;", "container box ended; the end of its log: FATAL: no such setting", "stop box"},
		{"no port", "info) echo 28 ;;\nport) echo 'no public port' >&2; exit 1 ;;", "docker port: exit status 1: no public port", "stop box"},
		{"odd port", "info) echo 28 ;;\nport) echo nonsense ;;", `port from "nonsense"`, "stop box"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c, calls := fake(t, test.answers)
			_, err := c.start(t.Context(), quiet())
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want one with %q", err, test.want)
			}
			if got := calls(); got[len(got)-1] != test.last {
				t.Errorf("the last command is %q, want %q", got[len(got)-1], test.last)
			}
		})
	}
}

func TestStopTellsWhatDockerSays(t *testing.T) {
	t.Parallel()
	c, _ := fake(t, "stop) echo 'engine is gone' >&2; exit 1 ;;")
	stop, err := c.keep()
	if err != nil {
		t.Fatal(err)
	}
	if err := stop(); err == nil || !strings.Contains(err.Error(), "engine is gone") {
		t.Errorf("got %v, want an error with docker's words", err)
	}
}

func TestNoEngine(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, answers string }{
		{"refused", "info) echo 'Cannot connect to the Docker daemon' >&2; exit 1 ;;"},
		{"no version", "info) echo ;;"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c, calls := fake(t, test.answers)
			if _, err := c.start(t.Context(), quiet()); !errors.Is(err, ErrNoPostgres) {
				t.Errorf("got %v, want ErrNoPostgres", err)
			}
			if got := calls(); len(got) != 1 {
				t.Errorf("got commands %q, want only the question", got)
			}
		})
	}
	t.Run("no command", func(t *testing.T) {
		t.Parallel()
		c := newContainer(filepath.Join(t.TempDir(), "docker"))
		if _, err := c.start(t.Context(), quiet()); !errors.Is(err, ErrNoPostgres) {
			t.Errorf("got %v, want ErrNoPostgres", err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		t.Parallel()
		c, _ := fake(t, "info) exec sleep 60 ;;")
		ctx, cancel := context.WithCancelCause(t.Context())
		reason := errors.New("no more time")
		cancel(reason)
		if _, err := c.start(ctx, quiet()); !errors.Is(err, reason) {
			t.Errorf("got %v, want %v", err, reason)
		}
	})
}

func TestParsePort(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		out  string
		want int
	}{
		{"127.0.0.1:49153", 49153},
		{"127.0.0.1:49153\n[::1]:49154\n", 49153},
		{"", 0},
		{"49153", 0},
		{"127.0.0.1:0", 0},
		{"127.0.0.1:65536", 0},
	} {
		got, err := parsePort(test.out)
		if got != test.want || (err == nil) != (test.want != 0) {
			t.Errorf("parsePort(%q) = %d, %v, want %d", test.out, got, err, test.want)
		}
	}
}
