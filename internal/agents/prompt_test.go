package agents_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"statek/internal/agents"
)

const triage = `# MODEL: vendor/model:free
a line that says nothing
#TEMPERATURE: 7
# temperature:   0.2
# Post_Processors: FinalCheck(max_llm_actions=3), Other(a="x: y")
# TEAM: blue
# System Prompt

You triage tickets.
# Not a heading

## Rules
Be brief.
`

func TestPromptFileGivesUpperCaseKeysAndTrimmedValues(t *testing.T) {
	t.Parallel()
	got, err := agents.ParsePrompt("agents/triage_agent.md", triage)
	if err != nil {
		t.Fatal(err)
	}
	want := agents.Definition{
		Role: "triage_agent",
		Meta: map[string]string{
			"MODEL": "vendor/model:free", "TEMPERATURE": "0.2", "TEAM": "blue",
			"POST_PROCESSORS": `FinalCheck(max_llm_actions=3), Other(a="x: y")`,
		},
		Prompt: "You triage tickets.\n# Not a heading\n\n## Rules\nBe brief.",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTheLastOfDuplicateKeysWins(t *testing.T) {
	t.Parallel()
	def, err := agents.ParsePrompt("a.md", "# MODEL: one\r\n# model: two\r\n# system PROMPT\r\nx\r\n")
	if err != nil || def.Meta["MODEL"] != "two" || def.Prompt != "x" {
		t.Errorf("got %+v, %v", def, err)
	}
}

func TestPromptFileErrorsNameFileAndLine(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, file, text string
		line             int
		want             string
	}{
		{"no heading", "a.md", "# MODEL: m\n# System\nx", 3, `"# System Prompt" is missing`},
		{"no model", "a.md", "# TEAM: x\n# System Prompt\n", 1, "MODEL is missing"},
		{"temperature", "a.md", "# MODEL: m\n# TEMPERATURE: 1.5\n# System Prompt\n", 2, "TEMPERATURE must be a number from 0 to 1"},
		{"temperature that is none", "a.md", "# MODEL: m\n# TEMPERATURE: NaN\n# System Prompt\n", 2, "TEMPERATURE"},
		{"style", "a.md", "# MODEL: m\n\n# CHAT_STYLE: DIRECT\n# System Prompt\n", 3, "CHAT_STYLE must be CONSOLE, MARKDOWN or MD_DIALOG"},
		{"difficulty", "a.md", "# MODEL: m\n# DEFAULT_DIFFICULTY: X\n# System Prompt\n", 2, "must be L, M or H"},
		{"switch", "a.md", "# MODEL: m\n# AUTO_LANG_RULE: maybe\n# System Prompt\n", 2, "must be TRUE or FALSE"},
		{"models", "a.md", "# MODEL: L:a,M:b\n# System Prompt\n", 1, "MODEL names no model for H"},
		{"section", "a.md", "# MODEL: m\n# System Prompt\n\nhi\n<x difficulty=\"huge\">\n</x>", 5, `difficulty "huge"`},
		{"role", "my agent.md", "# MODEL: m\n# System Prompt\n", 1, `role "my agent"`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := agents.ParsePrompt(c.file, c.text)
			var fe *agents.FileError
			if !errors.As(err, &fe) {
				t.Fatalf("got %v, want a *FileError", err)
			}
			if fe.File != c.file || fe.Line != c.line || !strings.Contains(fe.Msg, c.want) {
				t.Errorf("got %q, want %s:%d: …%s…", fe, c.file, c.line, c.want)
			}
		})
	}
}

func TestHashChangesWithContentOnly(t *testing.T) {
	t.Parallel()
	hash := func(d agents.Definition) string {
		h, err := d.Hash()
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	a := agents.Definition{Role: "a", Meta: map[string]string{"X": "1", "MODEL": "m"}, Prompt: "p"}
	b := agents.Definition{Role: "a", Meta: map[string]string{"MODEL": "m", "X": "1"}, Prompt: "p"}
	if hash(a) != hash(b) {
		t.Error("equal definitions have different hashes")
	}
	if hash(agents.Definition{Role: "a"}) != hash(agents.Definition{Role: "a", Meta: map[string]string{}}) {
		t.Error("no metadata and empty metadata have different hashes")
	}
	b.Warmup = []agents.Block{{Source: "x"}}
	if hash(a) == hash(b) {
		t.Error("a warmup does not change the hash")
	}
	// Stored hashes are compared with new ones: the recipe must not change between releases.
	if got := hash(agents.Definition{Role: "a", Meta: map[string]string{"MODEL": "m"}, Prompt: "p"}); got !=
		"336da585c293c2ddd184c8e6ff3054e7b71144bf3cb556ef314600aa2f04cf75" {
		t.Errorf("the hash of a fixed definition became %s", got)
	}
}

func TestParsingALongPromptDoesNotPanic(t *testing.T) {
	t.Parallel()
	text := "# MODEL: m\n# System Prompt\n" + strings.Repeat("<a>\n", 2000)
	if _, err := agents.ParsePrompt("a.md", text); err != nil {
		t.Error(err)
	}
}

func FuzzParsePrompt(f *testing.F) {
	f.Add(triage)
	f.Add("# MODEL: LM:a,H:b\n# System Prompt\n--- MH: x ---\n<a difficulty='low'>\n</a>\n```\n## x")
	f.Fuzz(func(t *testing.T, text string) {
		def, err := agents.ParsePrompt("a.md", text)
		if err != nil {
			var fe *agents.FileError
			if !errors.As(err, &fe) || fe.Line < 1 || fe.Line > 2+strings.Count(text, "\n") {
				t.Fatalf("error %v has no place in %q", err, text)
			}
			return
		}
		if err := def.Validate(); err != nil {
			t.Fatalf("parsed but not valid: %v", err)
		}
		if _, err := agents.RenderPrompt(def, agents.Render{}); err != nil {
			t.Fatalf("parsed but not renderable: %v", err)
		}
	})
}
