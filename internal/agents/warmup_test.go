package agents_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"statek/internal/agents"
)

func TestTenDashesSplitAWarmup(t *testing.T) {
	t.Parallel()
	text := "\nprint(1)\n\n  //  ---------- \n// ---------\nprint(2)\n// ----------\n\n// ----------\n" +
		"// statek: hidden = true\n\n//STATEK: hidden = true\nconst a = 1\n// statek: hidden = true\nprint(a)\n"
	got, err := agents.ParseWarmup("a.warmup.js", text)
	if err != nil {
		t.Fatal(err)
	}
	want := []agents.Block{
		{Source: "print(1)", Line: 2},
		{Source: "// ---------\nprint(2)", Line: 5},
		{Source: "const a = 1\n\nprint(a)", Line: 13, Hidden: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	none, err := agents.ParseWarmup("a.warmup.js", "\n// ----------\n")
	if err != nil || len(none) != 0 {
		t.Errorf("empty blocks: got %v, %v", none, err)
	}
}

func TestWarmupMetadataIsScalarAndKnown(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"print(1)\n// statek: hiden = true":   "a.js:2: unknown warmup metadata \"hiden\"",
		"// statek: hidden = [true]":          "a.js:1: warmup metadata hidden must be true or false",
		"// statek: hidden = 1 + 1":           "a.js:1: warmup metadata hidden must be true or false",
		"a\nb\n// statek: hidden":             "a.js:3: ",
		"// statek: as tool\nsetPriority(1)":  "a.js:1: ",
		"// ----------\n\n// statek:hidden=3": "a.js:3: ",
	} {
		_, err := agents.ParseWarmup("a.js", text)
		var fe *agents.FileError
		if !errors.As(err, &fe) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: got %v, want %s…", text, err, want)
		}
	}
}

func FuzzParseWarmup(f *testing.F) {
	f.Add("print(1)\n// ----------\n// statek: hidden = true\nx")
	f.Fuzz(func(t *testing.T, text string) {
		blocks, err := agents.ParseWarmup("a.js", text)
		if err != nil {
			return
		}
		lines := strings.Split(strings.ReplaceAll(strings.TrimPrefix(text, "\ufeff"), "\r\n", "\n"), "\n")
		for _, b := range blocks {
			first, _, _ := strings.Cut(b.Source, "\n")
			if b.Line < 1 || b.Line > len(lines) || !strings.HasPrefix(lines[b.Line-1], first) {
				t.Fatalf("block %q does not start on line %d of %q", b.Source, b.Line, text)
			}
		}
	})
}
