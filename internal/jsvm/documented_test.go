package jsvm_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEveryTagIsDocumented: whatever a row may hold is in the tables of docs/sql.md.
func TestEveryTagIsDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/sql.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("restore*.go")
	if err != nil {
		t.Fatal(err)
	}
	emitters, err := filepath.Glob("emit*.go")
	if err != nil {
		t.Fatal(err)
	}
	tag := regexp.MustCompile(`"(\$[a-zA-Z]+)\b`)
	found := map[string]bool{}
	for _, name := range append(files, emitters...) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range tag.FindAllSubmatch(text, -1) {
			found[string(m[1])] = true
		}
	}
	if len(found) < 25 {
		t.Fatalf("found only %d tags", len(found))
	}
	for name := range found {
		if !strings.Contains(string(page), "`"+name+"`") && !strings.Contains(string(page), `{"`+name+`"`) {
			t.Errorf("docs/sql.md does not explain %s", name)
		}
	}
}
