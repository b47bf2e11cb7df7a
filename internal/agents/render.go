package agents

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"

	"statek/internal/sqldef"
)

// Render is what a prompt is rendered for.
type Render struct {
	// Tools are the tools and temporals the job may call, in the order to show them.
	Tools []ToolDoc
	// Params are the values of the author's own {name} placeholders.
	Params map[string]string
	// SharedVars are the names of the variables the job was submitted with.
	SharedVars []string
	// Locale adds the language rule; empty adds none.
	Locale string
	// Difficulty picks the sections; the zero value is the definition's own.
	Difficulty Difficulty
}

// ToolDoc is what a model is told about a tool or temporal. Names that begin with "_" are callable but
// never listed.
type ToolDoc struct {
	Name string
	// Signature is a TypeScript declaration on one line.
	Signature   string
	Description string
	// Hidden keeps the tool out of every list.
	Hidden bool
}

// Doc is what a model is told about the tool.
func (t Tool) Doc() ToolDoc {
	return ToolDoc{Name: t.Name, Signature: t.Signature(), Description: t.Description}
}

// WaitDoc is what a model is told about a temporal.
func WaitDoc(name string, params []sqldef.Param, doc string) ToolDoc {
	return ToolDoc{Name: name, Signature: WaitSignature(name, params), Description: doc}
}

func (d ToolDoc) listed() bool { return !d.Hidden && !strings.HasPrefix(d.Name, "_") }

// RenderPrompt writes the system prompt: the sections for the difficulty with their placeholders
// replaced, then a guide to the console (unless CONSOLE_HELP is off), then the language rule.
// Braces that are no known placeholder stay as they are; "{{tools}}" is a literal "{tools}".
func RenderPrompt(def Definition, r Render) (string, error) {
	sections, err := ParseSections(def.Prompt)
	if err != nil {
		return "", fmt.Errorf("agents: render prompt of %s: %w", def.Role, err)
	}
	level := cmp.Or(r.Difficulty, def.Difficulty())
	var parts []string
	for _, s := range sections {
		if s.Shown(level) && strings.TrimSpace(s.Text) != "" {
			parts = append(parts, s.Text)
		}
	}
	text := strings.Join(parts, "\n\n")
	known := r.placeholders()
	listed := mentions(text, "tools", "brief_tools", "detailed_tools")
	parts = []string{expand(text, known)}
	if !def.off(KeyConsoleHelp) {
		parts = append(parts, consoleHelp(def.Style(), r, !listed))
	}
	if rule := languageRule(r.Locale); rule != "" && !def.off(KeyLangRule) {
		parts = append(parts, rule)
	}
	return strings.TrimSpace(strings.Join(parts, "\n\n")), nil
}

func (r Render) placeholders() map[string]string {
	known := map[string]string{}
	for name, value := range r.Params {
		known[name] = value
	}
	var brief, detailed []string
	for _, t := range r.Tools {
		if t.listed() {
			brief = append(brief, t.brief())
			detailed = append(detailed, comment(t.Description)+t.Signature)
		}
	}
	known["tools"] = strings.Join(brief, "\n")
	known["brief_tools"] = known["tools"]
	known["detailed_tools"] = strings.Join(detailed, "\n\n")
	known["shared_var_names"] = strings.Join(r.SharedVars, ", ")
	return known
}

// brief is one line: the call, its result, and the first line of the description.
func (d ToolDoc) brief() string {
	line := "- `" + strings.TrimSuffix(strings.TrimPrefix(d.Signature, "declare function "), ";") + "`"
	first, _, _ := strings.Cut(strings.TrimSpace(d.Description), "\n")
	if first != "" {
		line += " — " + first
	}
	return line
}

var namedBraces = regexp.MustCompile(`\{\{?([A-Za-z_][A-Za-z0-9_]*)\}\}?`)

// expand replaces known placeholders in one pass, so that no value is searched for placeholders. On a
// line that is a comment ("# …", "// …") every line of a value becomes one, too.
func expand(text string, known map[string]string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		leader := commentLeader(line)
		lines[i] = namedBraces.ReplaceAllStringFunc(line, func(m string) string {
			name := strings.Trim(m, "{}")
			value, ok := known[name]
			switch {
			case !ok:
				return m
			case strings.HasPrefix(m, "{{") && strings.HasSuffix(m, "}}"):
				return m[1 : len(m)-1]
			}
			value = strings.ReplaceAll(value, "\n", "\n"+leader)
			// "{{name}" and "{name}}" are a placeholder beside a brace.
			return strings.Replace(m, "{"+name+"}", value, 1)
		})
	}
	return strings.Join(lines, "\n")
}

var leaderForm = regexp.MustCompile(`^\s*(?:#|//)\s+`)

func commentLeader(line string) string { return leaderForm.FindString(line) }

func mentions(text string, names ...string) bool {
	for _, name := range names {
		if strings.Contains(text, "{"+name+"}") {
			return true
		}
	}
	return false
}

// consoleHelp tells the model where it is. It is short on purpose: every request pays for it.
func consoleHelp(style Style, r Render, declare bool) string {
	var b strings.Builder
	b.WriteString("## How to work here\n")
	b.WriteString("You work in a JavaScript console. " + styleHelp(style) + "\n")
	b.WriteString("- Top-level variables, functions and classes stay for your later replies; top-level `await` works.\n")
	b.WriteString("- `print(…)` shows values; so does the last expression. You see the output before your next reply.\n")
	b.WriteString("- Tools and waits return promises: `await` them. A wait may take days; the code goes on at its next line.\n")
	b.WriteString("- `exit(result)` ends the job with a result. `docs(name)` explains a tool.\n")
	b.WriteString("- There is no network, file system, timer, `require` or `import`.")
	if len(r.SharedVars) > 0 {
		b.WriteString("\n- Already there: " + backquoted(r.SharedVars) + ".")
	}
	if !declare {
		return b.String()
	}
	var declarations []string
	for _, t := range r.Tools {
		if t.listed() {
			declarations = append(declarations, comment(t.Description)+t.Signature)
		}
	}
	if len(declarations) > 0 {
		b.WriteString("\n\nYou can call:\n" + fenced("ts", strings.Join(declarations, "\n")))
	}
	return b.String()
}

func styleHelp(style Style) string {
	switch style {
	case Console:
		return "Your whole reply is run as code, so write nothing but code; lines that begin with `> ` are its output."
	case MDDialog:
		return "Code in a ```js fence is run; text outside fences is sent to the user. " +
			"A reply without code ends the job."
	default:
		return "Code in a ```js fence is run; text outside fences is commentary."
	}
}

func backquoted(names []string) string { return "`" + strings.Join(names, "`, `") + "`" }
