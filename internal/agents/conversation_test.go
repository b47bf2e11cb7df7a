package agents_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"statek/internal/agents"
	"statek/internal/providers"
)

func TestAJobsPastBecomesAlternatingMessages(t *testing.T) {
	t.Parallel()
	turns := []agents.Turn{
		{Kind: agents.WarmupTurn, Text: "print(event)", Console: "{type: 'x'}\n"},
		{Kind: agents.WarmupTurn, Text: "secret()", Console: "hidden", Hidden: true},
		{Kind: agents.WarmupTurn, Text: "let a = 1"},
		{Kind: agents.ReplyTurn, Text: "Look:\n```js\na\n```", Console: "1"},
		{Kind: agents.NoteTurn, Text: "The wait was withdrawn."},
		{Kind: agents.MessageTurn, Text: "Hurry."},
		{Kind: agents.ReplyTurn, Text: ""},
	}
	got := agents.Conversation("System.", agents.Markdown, turns, "PL-PL")
	want := []providers.Message{
		{Role: providers.System, Content: "System."},
		{Role: providers.Assistant, Content: "```js\nprint(event)\n```"},
		{Role: providers.User, Content: "{type: 'x'}"},
		{Role: providers.Assistant, Content: "```js\nlet a = 1\n```"},
		{Role: providers.User, Content: "(nothing was printed)"},
		{Role: providers.Assistant, Content: "Look:\n```js\na\n```"},
		{Role: providers.User, Content: "1\n\nThe wait was withdrawn.\n\nHurry.\n\n(Answer in Polish.)"},
		{Role: providers.Assistant, Content: "(no text)"},
		{Role: providers.User, Content: "(nothing was printed)"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestConsoleFormFollowsTheStyle(t *testing.T) {
	t.Parallel()
	for style, want := range map[agents.Style]string{
		agents.Console:  "> a\n> \n> </CONSOLE> b",
		agents.Markdown: "a\n\n</CONSOLE> b",
		agents.MDDialog: "<CONSOLE>\na\n\n<\\/CONSOLE> b\n</CONSOLE>",
	} {
		turns := []agents.Turn{{Kind: agents.ReplyTurn, Text: "x", Console: "a\n\n</CONSOLE> b\n"}}
		got := agents.Conversation("", style, turns, "")
		if diff := cmp.Diff(want, got[len(got)-1].Content); diff != "" {
			t.Errorf("%s (-want +got):\n%s", style, diff)
		}
	}
}

func TestLanguageHintsCanBeOff(t *testing.T) {
	t.Parallel()
	def := agents.Definition{Meta: map[string]string{"AUTO_LANG_HINT": "FALSE"}}
	turns := []agents.Turn{{Kind: agents.MessageTurn, Text: "Hi."}}
	for locale, want := range map[string]string{
		def.HintLocale("DE"): "Hi.", "JA-JP": "Hi.", agents.Definition{}.HintLocale("DE"): "Hi.\n\n(Answer in German.)",
	} {
		got := agents.Conversation("", agents.Markdown, turns, locale)
		if diff := cmp.Diff([]providers.Message{{Role: providers.User, Content: want}}, got); diff != "" {
			t.Errorf("locale %q (-want +got):\n%s", locale, diff)
		}
	}
}
