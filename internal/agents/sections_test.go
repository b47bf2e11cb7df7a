package agents_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"statek/internal/agents"
)

const sectioned = `The intro.
# Level one opens nothing

<policy target_difficulties="low|medium">
Text.
</policy>
Still the box's section.

--- MH:CONFIDENTIALITY ---
Keep secrets.

*** API: Contracts ***
` + "```\n## code, not a section\n```" + `
### high: Escalate
Ask.`

func TestFourKindsOfSectionsAppearInOrder(t *testing.T) {
	t.Parallel()
	got, err := agents.ParseSections(sectioned)
	if err != nil {
		t.Fatal(err)
	}
	l, m, h := agents.Low, agents.Medium, agents.High
	want := []agents.Section{
		{Text: "The intro.\n# Level one opens nothing"},
		{Title: "policy", Text: "<policy>\nText.\n</policy>\nStill the box's section.", Levels: []agents.Difficulty{l, m}},
		{Title: "CONFIDENTIALITY", Text: "--- CONFIDENTIALITY ---\nKeep secrets.", Levels: []agents.Difficulty{h, m}},
		{Title: "API: Contracts", Text: "*** API: Contracts ***\n```\n## code, not a section\n```"},
		{Title: "Escalate", Text: "### Escalate\nAsk.", Levels: []agents.Difficulty{h}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDifficultyPicksSections(t *testing.T) {
	t.Parallel()
	def := agents.Definition{
		Role: "a", Meta: map[string]string{"CONSOLE_HELP": "off", "DEFAULT_DIFFICULTY": "low"}, Prompt: sectioned,
	}
	for level, want := range map[agents.Difficulty]string{
		"": "policy", agents.Low: "policy", agents.Medium: "policy CONFIDENTIALITY", agents.High: "CONFIDENTIALITY Escalate",
	} {
		got, err := agents.RenderPrompt(def, agents.Render{Difficulty: level})
		if err != nil {
			t.Fatal(err)
		}
		var shown []string
		for _, title := range []string{"policy", "CONFIDENTIALITY", "Escalate"} {
			if strings.Contains(got, title) {
				shown = append(shown, title)
			}
		}
		if diff := cmp.Diff(want, strings.Join(shown, " ")); diff != "" {
			t.Errorf("difficulty %q (-want +got):\n%s", level, diff)
		}
		if !strings.HasPrefix(got, "The intro.") || !strings.Contains(got, "API: Contracts") {
			t.Errorf("difficulty %q: the intro or an unfiltered section is missing", level)
		}
	}
}

func TestBadXMLDifficultiesAreRefused(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"\n<a difficulty=\"huge\">\n</a>": `prompt line 2: difficulty "huge"`,
		"<a difficulty=low>\n</a>":        "must be in quotes",
	} {
		if _, err := agents.ParseSections(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want …%s…", text, err, want)
		}
	}
}

func TestDifficultyNeverRisesAboveHigh(t *testing.T) {
	t.Parallel()
	level, steps := agents.Low, 0
	for {
		next, ok := level.Harder()
		if !ok {
			break
		}
		level, steps = next, steps+1
	}
	if level != agents.High || steps != 2 {
		t.Errorf("ended at %s after %d steps", level, steps)
	}
}
