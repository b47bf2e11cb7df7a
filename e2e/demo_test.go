package e2e

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestQuickstartDemo runs what `make demo ONCE=1` runs, and leaves nothing behind.
func TestQuickstartDemo(t *testing.T) {
	t.Parallel()
	data := openFolder(t)
	demo := start(t, "demo", nil, "-once", "-listen", freeAddress(t), "-data", data, "-bin", program(t, "statek"))
	if code := demo.code(); code != 0 {
		t.Fatalf("got exit %d, want 0", code)
	}
	out := demo.out.String()
	for _, want := range []string{
		"Invoice total looks wrong", `"team":"billing"`, "one plain INSERT wakes exactly one of them",
		"picked", "the other 2 still wait", "stopped",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the demo did not say %q:\n%s", want, out)
		}
	}
	for line := range strings.Lines(out) {
		if strings.Contains(line, "after the INSERT") || strings.Contains(line, "level=") || strings.Contains(line, `"level"`) {
			t.Log(strings.TrimSpace(line))
		}
	}
	for _, left := range processesNaming(t, data) {
		t.Errorf("the demo left a process behind: %s", left)
	}
	env, err := os.ReadFile(filepath.Join(data, "env"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(env), "DATABASE_URL=postgres://postgres:")
	if password, _, ok := strings.Cut(rest, "@"); !ok || strings.Contains(out, password) {
		t.Error("the demo wrote the database's password, or its env file has none")
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// processesNaming lists the command lines that hold a path, where the system shows them.
func processesNaming(t *testing.T, path string) []string {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(lines) == 0 {
		t.Log("this system has no /proc: nobody looked for processes left behind")
	}
	var found []string
	for _, file := range lines {
		text, _ := os.ReadFile(file) // the process may be gone
		if line := strings.ReplaceAll(string(text), "\x00", " "); strings.Contains(line, path) {
			found = append(found, line)
		}
	}
	return found
}
