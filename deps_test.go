package statek_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// arrow says what the packages of one folder (and of folders below it without a line of their own) may
// import of this module, and why. "…" means everything below.
type arrow struct {
	from string
	to   []string
	why  string
}

// arrows is the architecture. Changing it is a commit of its own, with a reason.
var arrows = []arrow{
	{".", []string{"internal/app"}, "the public API is thin: what it does, the use cases do"},
	{"statekhttp", []string{".", "internal/httpapi", "internal/app"}, "the handler for embedders hands the embedder's client to httpapi"},
	{"cmd/api", []string{".", "internal/app", "internal/config", "internal/httpapi"}, "a main is wiring"},
	{"cmd/worker", []string{".", "internal/app", "internal/config", "internal/httpapi"}, "a main is wiring; the worker serves its health over httpapi"},
	{"cmd/statek", []string{".", "internal/app", "internal/config", "internal/devdb", "internal/httpapi"}, "the dev server wires all, and finds a database"},
	{"internal/httpapi", []string{"internal/app", "web"}, "the API can do what the use cases offer and cannot reach past them"},
	{"internal/app", []string{
		"internal/agents", "internal/config", "internal/engine", "internal/failpoint", "internal/jobs", "internal/jsvm/…", "internal/objects", "internal/providers/…",
		"internal/queue", "internal/sqldef", "internal/store/…", "internal/temporal", "migrations",
	}, "use cases and wiring: everything but who calls them"},
	{"internal/engine", []string{
		"internal/agents", "internal/jobs", "internal/jsvm", "internal/objects", "internal/providers", "internal/temporal",
	}, "the shell acts on types of the core; store and queue come to it as interfaces it declares"},
	{"internal/agents", []string{"internal/providers", "internal/sqldef"}, "pure; a prompt is a provider's request"},
	{"internal/temporal", []string{"internal/objects", "internal/sqldef"}, "pure; an object can be waited for"},
	{"internal/jobs", []string{"internal/temporal"}, "pure; a commit registers waits"},
	{"internal/sqldef", nil, "pure; a leaf"},
	{"internal/jsvm/sandbox", []string{"internal/jsvm", "internal/jsvm/lockdown"}, "a machine whose cells run in other processes"},
	{"internal/objects", nil, "pure; a leaf"},
	{"internal/jsvm", nil, "a leaf: it turns a snapshot and deliveries into a step and knows nobody"},
	{"internal/jsvm/lockdown", nil, "a leaf: it takes rights from its own process and does not know what for"},
	{"internal/jsvm/jsvmtest", []string{"internal/jsvm"}, "tests any machine of the contract"},
	{"internal/providers", nil, "a leaf: the contract and nothing else"},
	{"internal/providers/openai", []string{"internal/providers"}, "an implementation of the contract"},
	{"internal/providers/scripted", []string{"internal/providers"}, "an implementation of the contract"},
	{"internal/providers/providertest", []string{"internal/providers"}, "tests any implementation of the contract"},
	{"internal/store", []string{
		"internal/agents", "internal/failpoint", "internal/jobs", "internal/objects", "internal/sqldef", "internal/store/db", "internal/temporal", "migrations",
	}, "rows to types of the core and back; it never decides, so never imports the engine"},
	{"internal/store/db", nil, "generated"},
	{"internal/store/storetest", []string{"internal/agents", "internal/engine", "internal/jobs", "internal/sqldef", "internal/temporal"}, "tests any store of the engine's interfaces"},
	{"internal/queue", []string{"internal/jobs"}, "doorbells carry an id"},
	{"internal/failpoint", nil, "a leaf: it announces places and knows nobody who passes them"},
	{"internal/config", nil, "flags and environment to structs"},
	{"internal/devdb", nil, "finds or starts a PostgreSQL server; knows nothing of ours"},
	{"internal/pgtest", []string{"internal/devdb", "internal/queue", "internal/store", "migrations"}, "migrated databases for tests"},
	{"internal/sim", []string{"internal/…"}, "drives the engine through simulated worlds, in tests"},
	{"migrations", nil, "a leaf: numbered files and how to step through them"},
	{"web", nil, "a leaf: embedded assets"},
	{"e2e", []string{"…"}, "tests the whole from outside, and may prepare it from inside"},
	{"examples", []string{"…"}, "programs for people, run by tests"},
	{"scripts", nil, "tools of the repository"},
	{"bench", []string{"…"}, "a module of its own, so that the peers' packages are not the product's; it may also measure parts from inside"},
}

// homes say which folders may import a third-party module. In test files everything but goja and river is free.
var homes = map[string][]string{
	"github.com/dop251/goja":                      {"internal/jsvm"},
	"github.com/evanw/esbuild":                    {"internal/jsvm"},
	"github.com/go-sourcemap/sourcemap":           {"internal/jsvm"},
	"github.com/fxamacker/cbor/v2":                {"internal/jsvm/sandbox"},
	"github.com/dlclark/regexp2":                  {"internal/jsvm"},
	"github.com/riverqueue/river":                 {"internal/queue", "e2e", "bench"},
	"github.com/jackc/pgx/v5":                     {".", "cmd/statek", "internal/app", "internal/store", "internal/queue", "internal/pgtest", "internal/devdb", "internal/config", "migrations", "e2e", "examples", "bench"},
	"github.com/jackc/pgerrcode":                  {"internal/store", "internal/app", "migrations"},
	"github.com/golang-migrate/migrate/v4":        {"migrations"},
	"github.com/testcontainers/testcontainers-go": {"internal/pgtest"},
	"github.com/danielgtaylor/huma/v2":            {"internal/httpapi"},
	"github.com/go-chi/chi/v5":                    {"internal/httpapi", "statekhttp"},
	"github.com/openai/openai-go/v3":              {"internal/providers/openai"},
	"github.com/spf13/cobra":                      {"cmd"},
	"github.com/spf13/pflag":                      {"cmd", "internal/config"},
	"github.com/prometheus/client_golang":         {"internal/app", "internal/httpapi"},
	"github.com/santhosh-tekuri/jsonschema/v6":    {"internal/agents"},
	"github.com/goccy/go-yaml":                    {"internal/agents"},
	"golang.org/x/text":                           {"internal/agents", "internal/jsvm"},
	"golang.org/x/sync":                           {".", "cmd", "internal/app", "internal/engine", "internal/queue", "internal/store", "internal/devdb", "examples"},
	"golang.org/x/sys":                            {"internal/devdb", "internal/jsvm"},
	"github.com/google/uuid":                      {"."},
	"github.com/vgarvardt/pgx-google-uuid/v5":     {"internal/app"},
	"github.com/dbos-inc/dbos-transact-golang":    {"bench"},
	"go.temporal.io/sdk":                          {"bench/temporal"},
	"go.temporal.io/server":                       {"bench/temporal"},
	"github.com/google/go-cmp":                    {"internal/providers/providertest", "internal/jsvm/jsvmtest", "internal/store/storetest"},
	"go.uber.org/goleak":                          {"internal/pgtest"},

	"github.com/landlock-lsm/go-landlock":           {"internal/jsvm/lockdown"},
	"golang.org/x/net":                              {"internal/jsvm/lockdown"},
	"kernel.org/pub/linux/libs/security/libcap/psx": {"internal/jsvm/lockdown"},
	"pgregory.net/rapid":                            {"internal/jsvm/jsvmtest"},
}

// TestArrows holds every file to the two tables above.
func TestArrows(t *testing.T) {
	t.Parallel()
	for _, f := range parseTree(t, parser.ImportsOnly) {
		for _, spec := range f.ast.Imports {
			target := strings.Trim(spec.Path.Value, `"`)
			switch {
			case target == "statek" || strings.HasPrefix(target, "statek/"):
				checkArrow(t, f, path.Clean(strings.TrimPrefix(strings.TrimPrefix(target, "statek"), "/")))
			case strings.Contains(strings.Split(target, "/")[0], "."):
				checkHome(t, f, target)
			}
		}
	}
}

func checkArrow(t *testing.T, f file, target string) {
	t.Helper()
	if testOnly(target) && !f.test && !testOnly(f.dir) && !below(f.dir, "e2e") {
		t.Errorf("%s imports %s, which is for tests alone", f.name, target)
		return
	}
	if f.test || f.dir == target {
		return
	}
	rule, ok := ruleFor(f.dir)
	if !ok {
		t.Errorf("%s: %s has no line in the table of arrows; give it one, with a reason", f.name, f.dir)
		return
	}
	if !slices.ContainsFunc(rule.to, func(to string) bool {
		tree, all := strings.CutSuffix(to, "…")
		return to == target || all && below(target, strings.TrimSuffix(tree, "/"))
	}) {
		t.Errorf("%s imports %s, but %s may import only %v: %s", f.name, target, rule.from, rule.to, rule.why)
	}
}

func checkHome(t *testing.T, f file, target string) {
	t.Helper()
	module := moduleOf(target)
	allowed, known := homes[module]
	confined := module == "github.com/dop251/goja" || module == "github.com/riverqueue/river"
	switch {
	case !known:
		t.Errorf("%s imports %s: give it a home in this table and a line in docs/dependencies.md", f.name, target)
	case f.test && !confined:
	case !slices.ContainsFunc(allowed, func(home string) bool {
		return home == "." && module != "github.com/jackc/pgx/v5" || below(f.dir, home)
	}):
		t.Errorf("%s imports %s, which is only for %v", f.name, target, allowed)
	}
}

// moduleOf finds the longest key of homes that the import is below; else the import itself.
func moduleOf(target string) string {
	best := target
	for module := range homes {
		if below(target, module) && (best == target || len(module) > len(best)) {
			best = module
		}
	}
	return best
}

// ruleFor finds the arrow of the folder or of the nearest one above it.
func ruleFor(dir string) (arrow, bool) {
	for at := dir; ; at = path.Dir(at) {
		for _, a := range arrows {
			if a.from == at && (at != "." || dir == ".") {
				return a, true
			}
		}
		if at == "." {
			return arrow{}, false
		}
	}
}

// testOnly reports whether a package exists for tests.
func testOnly(dir string) bool {
	return strings.HasSuffix(path.Base(dir), "test") || below(dir, "internal/sim")
}

// below reports whether a path is a folder or something in it.
func below(p, folder string) bool {
	return folder == "" || p == folder || strings.HasPrefix(p, folder+"/")
}

// TestDependenciesAreDocumented: every third-party module that is imported has a line that says what for and why
// it is not our own code.
func TestDependenciesAreDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, f := range parseTree(t, parser.ImportsOnly) {
		for _, spec := range f.ast.Imports {
			if target := strings.Trim(spec.Path.Value, `"`); strings.Contains(strings.Split(target, "/")[0], ".") {
				used[moduleOf(target)] = true
			}
		}
	}
	for _, module := range slices.Sorted(maps.Keys(used)) {
		if !strings.Contains(string(page), "`"+module+"`") {
			t.Errorf("docs/dependencies.md does not say what `%s` is for", module)
		}
	}
}

// file is one parsed Go file of the module.
type file struct {
	name, dir string
	test      bool
	ast       *ast.File
	fset      *token.FileSet
}

// parseTree parses every Go file here and below. It does so in this process: the go command's answer would be
// cached by go test, and a violation would stay green.
func parseTree(t *testing.T, mode parser.Mode) []file {
	t.Helper()
	var files []file
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if base := d.Name(); name != "." && (strings.HasPrefix(base, ".") || base == "testdata" || base == "bin") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		fset := token.NewFileSet()
		parsed, err := parser.ParseFile(fset, name, nil, mode)
		if err != nil {
			return err
		}
		slash := filepath.ToSlash(name)
		files = append(files, file{slash, path.Dir(slash), strings.HasSuffix(slash, "_test.go"), parsed, fset})
		return nil
	})
	if err != nil || len(files) < 20 {
		t.Fatalf("parsed %d files: %v", len(files), err)
	}
	return files
}
