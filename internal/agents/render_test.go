package agents_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"statek/internal/agents"
	"statek/internal/sqldef"
)

func toolDocs() []agents.ToolDoc {
	return []agents.ToolDoc{
		{Name: "setPriority", Signature: "declare function setPriority(ticket: number): Promise<number>;", Description: "Sets it.\nReally."},
		{Name: "_internal", Signature: "declare function _internal(): Promise<any>;"},
		{Name: "secret", Signature: "declare function secret(): Promise<any>;", Hidden: true},
		agents.WaitDoc("pickNextTask", []sqldef.Param{{Name: "queue", Type: "text"}}, ""),
	}
}

func TestPlaceholdersRender(t *testing.T) {
	t.Parallel()
	cases := []struct{ name, prompt, want string }{
		{"brief tools", "{tools}", "- `setPriority(ticket: number): Promise<number>` — Sets it.\n" +
			"- `pickNextTask(queue: string, options?: { timeout?: number | string }): Promise<any>`"},
		{"detailed tools", "{detailed_tools}", "/**\n * Sets it.\n * Really.\n */\n" +
			"declare function setPriority(ticket: number): Promise<number>;\n\n" +
			"declare function pickNextTask(queue: string, options?: { timeout?: number | string }): Promise<any>;"},
		{"shared variables", "Have {shared_var_names}.", "Have event, user."},
		{"parameters", "For {customer}!", "For {tools} & Co!"},
		{"unknown braces stay", `{"a": {b}} {} {x y} ${z} {unknown}`, `{"a": {b}} {} {x y} ${z} {unknown}`},
		{"doubled braces are literal", "{{customer}} and {{unknown}}", "{customer} and {{unknown}}"},
		{"comment lines stay comments", "# {lines}\n// {lines}\n-- {lines}", "# a\n# b\n// a\n// b\n-- a\nb"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			def := agents.Definition{Role: "a", Meta: map[string]string{"CONSOLE_HELP": "off"}, Prompt: c.prompt}
			got, err := agents.RenderPrompt(def, agents.Render{
				Tools: toolDocs(), SharedVars: []string{"event", "user"},
				Params: map[string]string{"customer": "{tools} & Co", "lines": "a\nb"},
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestInternalAndHiddenToolsAreNeverListed(t *testing.T) {
	t.Parallel()
	for _, prompt := range []string{"", "{tools}", "{brief_tools}", "{detailed_tools}"} {
		got, err := agents.RenderPrompt(agents.Definition{Role: "a", Prompt: prompt}, agents.Render{Tools: toolDocs()})
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(got, "_internal") || strings.Contains(got, "secret") {
			t.Errorf("prompt %q lists what must not be listed:\n%s", prompt, got)
		}
		if strings.Count(got, "setPriority(ticket") != 1 {
			t.Errorf("prompt %q lists a tool %d times", prompt, strings.Count(got, "setPriority(ticket"))
		}
	}
}

func TestConsoleHelpFollowsTheStyle(t *testing.T) {
	t.Parallel()
	for style, want := range map[string]string{
		"": "Code in a ```js fence is run; text outside fences is commentary", "CONSOLE": "whole reply is run as code",
		"md_dialog": "A reply without code ends the job",
	} {
		def := agents.Definition{Role: "a", Meta: map[string]string{"CHAT_STYLE": style}, Prompt: "Hi."}
		got, err := agents.RenderPrompt(def, agents.Render{SharedVars: []string{"event"}})
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{"Hi.\n\n## How to work here", want, "exit(result)", "Already there: `event`."} {
			if !strings.Contains(got, part) {
				t.Errorf("style %q: %q is missing in\n%s", style, part, got)
			}
		}
	}
}

func TestLocaleAddsTheLanguageRuleUnlessItIsOff(t *testing.T) {
	t.Parallel()
	cases := []struct{ locale, rule, want string }{
		{"PL-PL", "", "Polish"}, {"en-us", "", "English"}, {"JA-JP", "", ""}, {"", "", ""}, {"DE", "FALSE", ""}, {"de", "TRUE", "German"},
	}
	for _, c := range cases {
		meta := map[string]string{"CONSOLE_HELP": "off"}
		if c.rule != "" {
			meta["AUTO_LANG_RULE"] = c.rule
		}
		got, err := agents.RenderPrompt(agents.Definition{Role: "a", Meta: meta, Prompt: "Hi."}, agents.Render{Locale: c.locale})
		if err != nil {
			t.Fatal(err)
		}
		want := "Hi."
		if c.want != "" {
			want += "\n\nWrite everything that is meant for people in " + c.want + "."
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", c, diff)
		}
	}
}

func TestLocalesHaveOneForm(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"EN-US": "EN-US", "pl_pl": "PL-PL", "de": "DE", "english": "", "E1-US": ""} {
		got, err := agents.ParseLocale(text)
		if (err == nil) != (want != "") || err == nil && got.String() != want {
			t.Errorf("ParseLocale(%q) = %v, %v; want %q", text, got, err, want)
		}
	}
}
