package devdb

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// oldest is the oldest major version that Statek runs on.
const oldest = 14

// binaries is a folder with initdb and postgres.
type binaries struct {
	dir   string
	major int
}

// findBinaries lists what there is, the best choice first: STATEK_PG_BIN alone when it is set, else the
// newest version of all known places.
func findBinaries(ctx context.Context) ([]binaries, error) {
	if dir := os.Getenv("STATEK_PG_BIN"); dir != "" {
		b, ok := inspect(ctx, dir)
		if !ok {
			return nil, fmt.Errorf("devdb: STATEK_PG_BIN is %s: no initdb and postgres of version %d or newer there", dir, oldest)
		}
		return []binaries{b}, nil
	}
	var found []binaries
	for _, dir := range candidates() {
		if slices.ContainsFunc(found, func(b binaries) bool { return b.dir == dir }) {
			continue
		}
		if b, ok := inspect(ctx, dir); ok {
			found = append(found, b)
		}
	}
	slices.SortStableFunc(found, func(a, b binaries) int { return cmp.Compare(b.major, a.major) })
	return found, nil
}

// Installed names the local binaries that Start would use for a new folder; "" when there are none.
func Installed(ctx context.Context) (string, error) {
	found, err := findBinaries(ctx)
	if err != nil || len(found) == 0 {
		return "", err
	}
	return fmt.Sprintf("PostgreSQL %d in %s", found[0].major, found[0].dir), nil
}

func candidates() []string {
	var dirs []string
	for _, tool := range []string{"postgres", "pg_ctl", "initdb"} {
		if path, err := exec.LookPath(tool); err == nil {
			// Debian links some tools into PATH, but never postgres itself.
			if real, err := filepath.EvalSymlinks(path); err == nil {
				dirs = append(dirs, filepath.Dir(real))
			}
		}
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin",
		"/usr/pgsql-*/bin",
		"/usr/libexec/postgresql*",
		"/opt/homebrew/opt/postgresql*/bin",
		"/usr/local/opt/postgresql*/bin",
		"/Applications/Postgres.app/Contents/Versions/*/bin",
	} {
		if found, err := filepath.Glob(pattern); err == nil {
			dirs = append(dirs, found...)
		}
	}
	return dirs
}

// inspect asks the postgres of a folder for its version.
func inspect(ctx context.Context, dir string) (binaries, bool) {
	if _, err := os.Stat(filepath.Join(dir, "initdb")); err != nil {
		return binaries{}, false
	}
	out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		return binaries{}, false
	}
	major := majorVersion(string(out))
	return binaries{dir: dir, major: major}, major >= oldest
}

// majorVersion reads "postgres (PostgreSQL) 15.18 (Debian …)"; 0: not understood.
func majorVersion(text string) int {
	m := regexp.MustCompile(`\(PostgreSQL\) (\d+)`).FindStringSubmatch(text)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1])
	return n
}

// choose takes the binaries that fit the data folder; the best when it is new.
func choose(found []binaries, data string) (binaries, error) {
	text, err := os.ReadFile(filepath.Join(data, "PG_VERSION"))
	if err != nil {
		return found[0], nil
	}
	major, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	for _, b := range found {
		if b.major == major {
			return b, nil
		}
	}
	return binaries{}, fmt.Errorf("devdb: %s was made by PostgreSQL %d, but only version %d is installed: install %d, or remove the folder",
		data, major, found[0].major, major)
}
