package agents

import (
	"fmt"
	"strings"
)

// Reason says why a reply cannot be used.
type Reason string

// The reasons.
const (
	EmptyReply Reason = "empty"
	NoCode     Reason = "no_code"
	TooLarge   Reason = "too_large"
)

// ReplyError is a reply that cannot be used. Msg is a sentence for the model.
type ReplyError struct {
	Reason Reason
	Msg    string
}

// Error implements error.
func (e *ReplyError) Error() string { return e.Msg }

// ReplyLimits bounds what is taken from a model; 0 means the default.
type ReplyLimits struct {
	// Text bounds the whole reply in bytes; default 256 kB.
	Text int
	// Code bounds what is run in bytes; default 64 kB.
	Code int
}

const (
	defaultReplyText = 256_000
	defaultReplyCode = 64_000
)

func (l ReplyLimits) withDefaults() ReplyLimits {
	if l.Text <= 0 {
		l.Text = defaultReplyText
	}
	if l.Code <= 0 {
		l.Code = defaultReplyCode
	}
	return l
}

// ParseReply finds the code in a model's reply. A reply that the style has no use for is a *ReplyError.
func ParseReply(style Style, text string, limits ReplyLimits) (Reply, error) {
	limits = limits.withDefaults()
	if len(text) > limits.Text {
		return Reply{}, &ReplyError{Reason: TooLarge, Msg: fmt.Sprintf(
			"Your reply has %d bytes; at most %d are read. Reply again, shorter.", len(text), limits.Text)}
	}
	if strings.TrimSpace(text) == "" {
		return Reply{}, &ReplyError{Reason: EmptyReply, Msg: "Your reply was empty. " + howToReply(style)}
	}
	reply := splitReply(style, text)
	if len(reply.Code) > limits.Code {
		return Reply{}, &ReplyError{Reason: TooLarge, Msg: fmt.Sprintf(
			"Your code has %d bytes; at most %d are run at once. Split the work over several replies.",
			len(reply.Code), limits.Code)}
	}
	if reply.Code == "" && (style != MDDialog || reply.Text == "") {
		return Reply{}, &ReplyError{Reason: NoCode, Msg: "Your reply had no code to run. " + howToReply(style)}
	}
	return reply, nil
}

func splitReply(style Style, text string) Reply {
	chunks := splitFences(text)
	isCode := func(c chunk) bool { return c.fenced && isScript(c.lang) }
	if style == Console {
		// Only a reply that begins with a fence is taken for Markdown: a fence further down may well stand
		// inside a template literal, and running what is in it would be running something else.
		if len(chunks) == 0 || !chunks[0].fenced {
			return Reply{Code: strings.TrimSpace(normalize(text))}
		}
		isCode = func(c chunk) bool { return c.fenced && (c.lang == "" || isScript(c.lang)) }
	}
	var code, rest []string
	for _, c := range chunks {
		if isCode(c) {
			if strings.TrimSpace(c.text) != "" {
				code = append(code, c.text)
			}
			continue
		}
		rest = append(rest, strings.Trim(c.raw, "\n"))
	}
	return Reply{Code: strings.Join(code, "\n"), Text: strings.TrimSpace(strings.Join(rest, "\n"))}
}

func isScript(lang string) bool {
	switch lang {
	case "js", "javascript", "ts", "typescript":
		return true
	default:
		return false
	}
}

func howToReply(style Style) string {
	if style == Console {
		return "Reply with JavaScript only; call exit(result) when the work is done."
	}
	if style == MDDialog {
		return "Write text for the user, or put JavaScript into a ```js fence."
	}
	return "Put JavaScript into a ```js fence; call exit(result) in it when the work is done."
}
