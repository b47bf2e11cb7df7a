package agents

import (
	"slices"
	"strings"
)

// chunk is a run of lines of a Markdown text, inside or outside a fence.
type chunk struct {
	text   string
	fenced bool
	// lang is the first word of the fence's info string, lower-case.
	lang string
	// raw is the text with its fence lines.
	raw string
}

// splitFences cuts Markdown at its fences. A fence that is never closed goes on to the end: models stop
// where their output limit stops them, and their code is still worth its syntax error. A fence may be
// indented (a list item's is); its lines lose that much.
func splitFences(text string) []chunk {
	var chunks []chunk
	var lines []string
	fence, lang, indent, opener := "", "", 0, ""
	flush := func(closer string) {
		body := strings.Join(lines, "\n")
		c := chunk{text: body, fenced: fence != "", lang: lang, raw: body}
		if c.fenced {
			c.raw = strings.Join(slices.Concat([]string{opener}, lines, []string{closer}), "\n")
		}
		if c.fenced || strings.TrimSpace(body) != "" {
			chunks = append(chunks, c)
		}
		lines = nil
	}
	for line := range strings.SplitSeq(normalize(text), "\n") {
		next := fenceAfter(fence, line)
		switch {
		case fence == "" && next != "":
			flush("")
			trimmed := strings.TrimLeft(line, " \t")
			info := strings.ToLower(strings.TrimLeft(trimmed, next[:1]))
			lang, _, _ = strings.Cut(strings.TrimSpace(info)+" ", " ")
			fence, opener, indent = next, line, len(line)-len(trimmed)
		case fence != "" && next == "":
			flush(line)
			fence, lang = "", ""
		default:
			lines = append(lines, unindent(line, indent, fence != ""))
		}
	}
	if fence != "" || len(lines) > 0 {
		flush(fence)
	}
	return chunks
}

// fenceAfter returns the fence that is open after line, when fence was open before it; "" is none.
func fenceAfter(fence, line string) string {
	trimmed := strings.TrimSpace(line)
	run := leadingRun(trimmed)
	if fence != "" {
		if len(run) >= len(fence) && run[0] == fence[0] && run == trimmed {
			return ""
		}
		return fence
	}
	if len(run) < 3 || run[0] == '`' && strings.Contains(trimmed[len(run):], "`") {
		return ""
	}
	return run
}

// leadingRun returns the backticks or tildes that text begins with.
func leadingRun(text string) string {
	if text == "" || text[0] != '`' && text[0] != '~' {
		return ""
	}
	return text[:len(text)-len(strings.TrimLeft(text, text[:1]))]
}

func unindent(line string, indent int, fenced bool) string {
	for fenced && indent > 0 && line != "" && (line[0] == ' ' || line[0] == '\t') {
		line = line[1:]
		indent--
	}
	return line
}

// fenced puts code into a fence that nothing inside it can close.
func fenced(lang, code string) string {
	fence := "```"
	for line := range strings.SplitSeq(code, "\n") {
		if run := leadingRun(strings.TrimSpace(line)); len(run) >= len(fence) && run[0] == '`' {
			fence = run + "`"
		}
	}
	return fence + lang + "\n" + strings.Trim(code, "\n") + "\n" + fence
}
