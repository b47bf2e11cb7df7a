package agents_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"statek/internal/agents"
)

func TestCodeIsFoundInReplies(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name  string
		style agents.Style
		text  string
		want  agents.Reply
	}{
		{"console: all is code", agents.Console, "\nprint(1)\nexit()\n", agents.Reply{Code: "print(1)\nexit()"}},
		{"console: a fence around it goes", agents.Console, "```\nprint(1)\n```\n", agents.Reply{Code: "print(1)"}},
		{"console: fences in literals stay", agents.Console, "send(`\n```js\nf()\n```\n`)",
			agents.Reply{Code: "send(`\n```js\nf()\n```\n`)"}},
		{"markdown: fences join, the rest is text", agents.Markdown,
			"First.\n```js\nlet a = 1\n```\nThen:\n```TypeScript x\nprint(a)\n```\nDone.",
			agents.Reply{Code: "let a = 1\nprint(a)", Text: "First.\nThen:\nDone."}},
		{"markdown: other languages are text", agents.Markdown, "```json\n{}\n```\n```javascript\nf()\n```",
			agents.Reply{Code: "f()", Text: "```json\n{}\n```"}},
		{"markdown: an open fence runs to the end", agents.Markdown, "```js\nf()\ng()", agents.Reply{Code: "f()\ng()"}},
		{"markdown: longer fences hold shorter ones", agents.Markdown, "````js\nconst s = `\n```\n`\n````",
			agents.Reply{Code: "const s = `\n```\n`"}},
		{"markdown: tildes", agents.Markdown, "~~~ js\n```\n~~~", agents.Reply{Code: "```"}},
		{"markdown: indented fences", agents.Markdown, "1. So:\n   ```js\n   if (a) {\n     b()\n   }\n   ```",
			agents.Reply{Code: "if (a) {\n  b()\n}", Text: "1. So:"}},
		{"markdown: CRLF", agents.Markdown, "```js\r\nf()\r\n```\r\n", agents.Reply{Code: "f()"}},
		{"dialog: text alone", agents.MDDialog, "Hello, world (see [notes]).", agents.Reply{Text: "Hello, world (see [notes])."}},
		{"dialog: text and code", agents.MDDialog, "One moment.\n```js\nf()\n```", agents.Reply{Code: "f()", Text: "One moment."}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := agents.ParseReply(c.style, c.text, agents.ReplyLimits{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestUnusableRepliesAreExplainedToTheModel(t *testing.T) {
	t.Parallel()
	limits := agents.ReplyLimits{Text: 40, Code: 5}
	cases := []struct {
		name   string
		style  agents.Style
		text   string
		reason agents.Reason
		want   string
	}{
		{"empty", agents.Markdown, " \n", agents.EmptyReply, "Put JavaScript into a ```js fence"},
		{"empty console", agents.Console, "", agents.EmptyReply, "JavaScript only"},
		{"empty dialog", agents.MDDialog, "", agents.EmptyReply, "Write text for the user"},
		{"text only", agents.Markdown, "I think so.", agents.NoCode, "had no code"},
		{"unlabelled fence", agents.Markdown, "```\nf()\n```", agents.NoCode, "```js fence"},
		{"empty fence", agents.Markdown, "```js\n\n```", agents.NoCode, "had no code"},
		{"empty fence in a dialog", agents.MDDialog, "```js\n```", agents.NoCode, "had no code"},
		{"too long", agents.Markdown, strings.Repeat("x", 41), agents.TooLarge, "41 bytes; at most 40"},
		{"too much code", agents.Console, "print(1)", agents.TooLarge, "8 bytes; at most 5"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := agents.ParseReply(c.style, c.text, limits)
			var re *agents.ReplyError
			if !errors.As(err, &re) {
				t.Fatalf("got %v, want a *ReplyError", err)
			}
			if re.Reason != c.reason || !strings.Contains(re.Msg, c.want) {
				t.Errorf("got %s: %q, want %s: …%s…", re.Reason, re.Msg, c.reason, c.want)
			}
		})
	}
}

func FuzzParseReply(f *testing.F) {
	for _, seed := range []string{"```js\nf()\n```", "~~~~ts\n```\n~~~\n~~~~", "a\n  ```\n\tb", "``` `js\n", "\x00\xff"} {
		f.Add("MARKDOWN", seed)
	}
	f.Fuzz(func(t *testing.T, style, text string) {
		reply, err := agents.ParseReply(agents.Style(style), text, agents.ReplyLimits{})
		if err != nil {
			var re *agents.ReplyError
			if !errors.As(err, &re) || re.Msg == "" {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		if reply.Code == "" && reply.Text == "" {
			t.Fatalf("ParseReply(%q, %q) found nothing and no fault", style, text)
		}
	})
}

// FuzzFencesRoundTrip shows that any code put into the conversation can be read back from it.
func FuzzFencesRoundTrip(f *testing.F) {
	f.Add("const s = `\n```\n`")
	f.Add("````")
	f.Fuzz(func(t *testing.T, code string) {
		messages := agents.Conversation("", agents.Markdown, []agents.Turn{{Kind: agents.WarmupTurn, Text: code}}, "")
		reply, err := agents.ParseReply(agents.Markdown, messages[0].Content, agents.ReplyLimits{})
		if strings.TrimSpace(code) == "" || strings.ContainsAny(code, "\r\ufeff") || len(code) > 60_000 {
			return
		}
		if err != nil || reply.Code != strings.Trim(code, "\n") {
			t.Fatalf("%q came back as %q, %v", code, reply.Code, err)
		}
	})
}
