package agents

import (
	"strings"

	"statek/internal/providers"
)

// Conversation turns a job's past into messages, oldest first. Code the author wrote appears as if the
// model had written it; what it printed appears as the user's answer. Hidden turns are left out,
// neighbours that would both be the user's become one message, and the last message is never the model's.
// locale adds the language hint to messages from people; see [Definition.HintLocale].
func Conversation(system string, style Style, turns []Turn, locale string) []providers.Message {
	c := conversation{}
	if strings.TrimSpace(system) != "" {
		c.messages = append(c.messages, providers.Message{Role: providers.System, Content: system})
	}
	for _, t := range turns {
		if t.Hidden {
			continue
		}
		switch t.Kind {
		case WarmupTurn:
			c.assistant(fenced("js", t.Text))
			c.user(consoleText(style, t.Console))
		case ReplyTurn:
			c.assistant(t.Text)
			c.user(consoleText(style, t.Console))
		case MessageTurn:
			c.user(withHint(t.Text, locale))
		case NoteTurn:
			c.user(t.Text)
		}
	}
	c.answer()
	return c.messages
}

type conversation struct {
	messages []providers.Message
}

// nothingPrinted stands where code printed nothing: services want turns to alternate.
const nothingPrinted = "(nothing was printed)"

func (c *conversation) assistant(text string) {
	c.answer()
	if strings.TrimSpace(text) == "" {
		text = "(no text)"
	}
	c.messages = append(c.messages, providers.Message{Role: providers.Assistant, Content: text})
}

func (c *conversation) user(text string) {
	if text == "" {
		return
	}
	if last := c.last(); last != nil && last.Role == providers.User {
		last.Content += "\n\n" + text
		return
	}
	c.messages = append(c.messages, providers.Message{Role: providers.User, Content: text})
}

// answer makes sure that the model's last message was answered.
func (c *conversation) answer() {
	if last := c.last(); last != nil && last.Role == providers.Assistant {
		c.user(nothingPrinted)
	}
}

func (c *conversation) last() *providers.Message {
	if len(c.messages) == 0 {
		return nil
	}
	return &c.messages[len(c.messages)-1]
}

// consoleText is what the model sees of a console, in its style.
func consoleText(style Style, console string) string {
	console = strings.Trim(console, "\n")
	if console == "" {
		return ""
	}
	switch style {
	case Console:
		return "> " + strings.ReplaceAll(console, "\n", "\n> ")
	case MDDialog:
		// What code printed must not be able to leave its box and speak as the user.
		return "<CONSOLE>\n" + strings.ReplaceAll(console, "</CONSOLE>", `<\/CONSOLE>`) + "\n</CONSOLE>"
	default:
		return console
	}
}

func withHint(text, locale string) string {
	if hint := languageHint(locale); hint != "" {
		return text + "\n\n" + hint
	}
	return text
}
