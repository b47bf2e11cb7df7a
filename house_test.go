package statek_test

import (
	"go/ast"
	"go/parser"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// pure are the packages in which nothing happens: time, ids and randomness come in as values.
var pure = []string{"internal/jobs", "internal/temporal", "internal/agents", "internal/objects", "internal/sqldef"}

// deeds are packages that do something. What is below them is meant too, but for the exceptions in harmless.
var (
	deeds    = []string{"os", "io/ioutil", "net", "sync", "log", "syscall", "runtime", "math/rand", "crypto/rand", "database/sql", "testing"}
	harmless = []string{"net/url"}
)

// impure are functions that read the clock or make something up.
var impure = map[string][]string{
	"time": {"Now", "Since", "Until", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker", "Sleep"},
	"uuid": {"New", "NewString", "NewRandom", "NewUUID", "NewV6", "NewV7"},
}

// TestPurity: the core imports nothing that does something, starts no goroutine and reads no clock.
func TestPurity(t *testing.T) {
	t.Parallel()
	checked := 0
	for _, f := range parseTree(t, parser.SkipObjectResolution) {
		if f.test || !slices.Contains(pure, f.dir) {
			continue
		}
		checked++
		for _, spec := range f.ast.Imports {
			target := strings.Trim(spec.Path.Value, `"`)
			for _, deed := range deeds {
				if below(target, deed) && !slices.Contains(harmless, target) {
					t.Errorf("%s is pure and imports %s", f.name, target)
				}
			}
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s: a pure package starts no goroutine", f.fset.Position(n.Pos()))
			case *ast.SelectorExpr:
				if pkg, ok := n.X.(*ast.Ident); ok && slices.Contains(impure[pkg.Name], n.Sel.Name) {
					t.Errorf("%s: a pure package uses %s.%s; take it as a value", f.fset.Position(n.Pos()), pkg.Name, n.Sel.Name)
				}
			}
			return true
		})
	}
	if checked < len(pure) {
		t.Fatalf("checked only %d files", checked)
	}
}

// TestFileSizes: a file is one idea. Past 400 lines it should be looked at, past 450 it must be cut.
func TestFileSizes(t *testing.T) {
	t.Parallel()
	for _, f := range parseTree(t, parser.ParseComments|parser.SkipObjectResolution) {
		if f.test || ast.IsGenerated(f.ast) {
			continue
		}
		switch lines := f.fset.File(f.ast.Pos()).LineCount(); {
		case lines > 450:
			t.Errorf("%s has %d lines; cut it into ideas of at most 400", f.name, lines)
		case lines > 400:
			t.Logf("%s has %d lines: is it one idea?", f.name, lines)
		}
	}
}

// TestPackagesAreExplained: every package has a comment, and one under internal ends by saying what it must not do.
func TestPackagesAreExplained(t *testing.T) {
	t.Parallel()
	docs := map[string]string{}
	for _, f := range parseTree(t, parser.ParseComments|parser.SkipObjectResolution) {
		if f.test || strings.HasPrefix(f.dir, "internal/store/db") {
			continue
		}
		docs[f.dir] += f.ast.Doc.Text()
	}
	for dir, doc := range docs {
		switch {
		case doc == "":
			t.Errorf("package %s has no comment: add a doc.go", dir)
		case below(dir, "internal") && !strings.Contains(doc, "must not"):
			t.Errorf("the comment of package %s does not say what it must not do", dir)
		}
	}
}

// TestLinks: what a page links to in this repository is there.
func TestLinks(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^)#:\s]+)(?:#[^)]*)?\)`)
	var pages []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/adr/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	if len(pages) < 10 {
		t.Fatalf("found only %d pages", len(pages))
	}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", page, m[1])
			}
		}
	}
}
