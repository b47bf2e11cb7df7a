package e2e

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"statek/internal/pgtest"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == embedder {
		os.Exit(embed(os.Args[2:]))
	}
	pgtest.Main(m)
}

// programs holds the binaries under test, built when the first test asks for one.
var programs struct {
	once sync.Once
	dir  string
	err  error
	// alive is the end of a pipe that nobody writes to: it closes when this process ends.
	alive *os.File
}

// program is the path of statek-api, statek-worker, statek or demo; the embedder is this binary.
func program(t testing.TB, name string) string {
	t.Helper()
	if name == embedder {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		return self
	}
	programs.once.Do(func() { programs.dir, programs.err = build() })
	if programs.err != nil {
		t.Fatal(programs.err)
	}
	return filepath.Join(programs.dir, name)
}

// sources are the main packages by the names of their binaries.
var sources = map[string]string{
	"statek-api": "./cmd/api", "statek-worker": "./cmd/worker", "statek": "./cmd/statek", "demo": "./examples/triage/demo",
}

func build() (string, error) {
	if err := noteSources(); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "statek-e2e-")
	if err != nil {
		return "", fmt.Errorf("make the folder of binaries: %w", err)
	}
	if err := removeWithUs(dir); err != nil {
		return "", err
	}
	args := []string{"build", "-ldflags", "-s -w", "-o", dir + string(filepath.Separator)}
	for _, path := range sources {
		args = append(args, path)
	}
	cmd := exec.Command("go", args...)
	cmd.Dir, cmd.Env = "..", append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the binaries: %w\n%s", err, out)
	}
	for name, path := range sources {
		if err := os.Rename(filepath.Join(dir, filepath.Base(path)), filepath.Join(dir, name)); err != nil {
			return "", fmt.Errorf("name the binary: %w", err)
		}
	}
	return dir, nil
}

// noteSources looks at every folder of the checkout: what a test looks at, go test remembers, and does not
// answer "(cached)" when it has changed. Of what the go command reads for us it knows nothing.
func noteSources() error {
	return filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && path != ".." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "bin") {
			return fs.SkipDir
		}
		return err
	})
}

// removeWithUs has the folder removed as soon as this process is gone, also when it is killed.
func removeWithUs(dir string) error {
	read, write, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make pipe: %w", err)
	}
	cmd := exec.Command("/bin/sh", "-c", `cat >/dev/null; rm -rf "$1"`, "sh", dir)
	cmd.Stdin = read
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the remover of %s: %w", dir, err)
	}
	_ = read.Close()
	programs.alive = write
	return nil
}
