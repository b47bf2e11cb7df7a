package agents

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Difficulty is how hard the current work is; it picks the model and the prompt's sections.
type Difficulty string

// The difficulties.
const (
	Low    Difficulty = "L"
	Medium Difficulty = "M"
	High   Difficulty = "H"
)

// Harder returns the next difficulty; false when there is none.
func (d Difficulty) Harder() (Difficulty, bool) {
	switch d {
	case Low:
		return Medium, true
	case High:
		return High, false
	default:
		return High, true
	}
}

// Section is a part of a prompt.
type Section struct {
	// Title is empty for the intro, the text before the first section.
	Title string
	// Text is the section as its author wrote it, opener included, without the difficulty.
	Text string
	// Levels limits the section to some difficulties; empty means all.
	Levels []Difficulty
}

// Shown reports whether the section belongs into a prompt for the difficulty.
func (s Section) Shown(level Difficulty) bool {
	return len(s.Levels) == 0 || slices.Contains(s.Levels, level)
}

type sectionError struct {
	line int
	msg  string
}

func (e *sectionError) Error() string { return fmt.Sprintf("prompt line %d: %s", e.line, e.msg) }

var (
	dashedOpener  = regexp.MustCompile(`^(-{3,}[ \t]+)(.*?\S)([ \t]+-{3,})[ \t]*$`)
	starredOpener = regexp.MustCompile(`^(\*{3,}[ \t]+)(.*?\S)([ \t]+\*{3,})[ \t]*$`)
	headingOpener = regexp.MustCompile(`^(#{2,6}[ \t]+)(.*\S)()[ \t]*$`)
	xmlOpener     = regexp.MustCompile(`^<([A-Za-z_][\w.-]*)(\s[^<>]*)?>`)
	levelAttr     = regexp.MustCompile(`\s+(?:target_)?difficult(?:y|ies)\s*=\s*(?:"([^"]*)"|'([^']*)')`)
	levelAttrName = regexp.MustCompile(`\s(?:difficulty|target_difficulties)\s*=`)
	levelSplit    = regexp.MustCompile(`[\s,|/]+`)
)

// ParseSections cuts a prompt into its intro and sections. A section opens with "--- TITLE ---",
// "*** TITLE ***", a heading of level 2 to 6, or an XML box that starts a line. A title may begin with
// difficulties ("MH: Escalation", "low, medium: Tone"); a box names them in its difficulty attribute.
func ParseSections(prompt string) ([]Section, error) {
	lines := strings.Split(normalize(prompt), "\n")
	sections := []Section{{}}
	var body []string
	flush := func() {
		last := &sections[len(sections)-1]
		last.Text = strings.Trim(strings.Join(body, "\n"), "\n")
		body = nil
	}
	fence := ""
	for i := 0; i < len(lines); i++ {
		if opened := fenceAfter(fence, lines[i]); opened != fence || fence != "" {
			fence = opened
			body = append(body, lines[i])
			continue
		}
		section, opener, used, err := openSection(lines[i:])
		if err != nil {
			return nil, &sectionError{line: i + 1, msg: err.Error()}
		}
		if used == 0 {
			body = append(body, lines[i])
			continue
		}
		flush()
		sections = append(sections, section)
		body = append(body, opener...)
		i += used - 1
	}
	flush()
	if sections[0].Text == "" {
		sections = sections[1:]
	}
	return sections, nil
}

// openSection reads the section opener that starts at the first line; used is how many lines it took.
func openSection(lines []string) (section Section, opener []string, used int, err error) {
	for _, form := range []*regexp.Regexp{dashedOpener, starredOpener, headingOpener} {
		m := form.FindStringSubmatch(lines[0])
		if m == nil {
			continue
		}
		title, levels := splitLevels(m[2])
		return Section{Title: title, Levels: levels}, []string{m[1] + title + m[3]}, 1, nil
	}
	m := xmlOpener.FindStringSubmatch(lines[0])
	if m == nil || strings.HasSuffix(m[2], "/") {
		return Section{}, nil, 0, nil
	}
	end := slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, "</"+m[1]+">") })
	if end < 0 {
		return Section{}, nil, 0, nil
	}
	section = Section{Title: m[1]}
	opener = slices.Clone(lines[:end+1])
	if attr := levelAttr.FindStringSubmatchIndex(m[2]); attr != nil {
		value := levelAttr.FindStringSubmatch(m[2])
		levels, ok := parseLevels(value[1] + value[2])
		if !ok {
			return Section{}, nil, 0, fmt.Errorf("difficulty %q of <%s> must be out of low, medium, high (L, M, H)",
				value[1]+value[2], m[1])
		}
		section.Levels = levels
		opener[0] = "<" + m[1] + m[2][:attr[0]] + m[2][attr[1]:] + ">" + lines[0][len(m[0]):]
	} else if levelAttrName.MatchString(m[2]) {
		return Section{}, nil, 0, fmt.Errorf("the difficulty of <%s> must be in quotes", m[1])
	}
	return section, opener, end + 1, nil
}

// splitLevels takes difficulties off the front of a title. A prefix that is no list of difficulties stays.
func splitLevels(title string) (string, []Difficulty) {
	prefix, rest, found := strings.Cut(title, ":")
	if !found || strings.TrimSpace(rest) == "" {
		return title, nil
	}
	levels, ok := parseLevels(prefix)
	if !ok {
		return title, nil
	}
	return strings.TrimSpace(rest), levels
}

// parseLevels reads "MH", "L, H" or "low|medium".
func parseLevels(text string) ([]Difficulty, bool) {
	var levels []Difficulty
	for _, part := range levelSplit.Split(strings.TrimSpace(text), -1) {
		if level, ok := parseDifficulty(part); ok {
			levels = append(levels, level)
			continue
		}
		for _, letter := range part {
			level, ok := parseDifficulty(string(letter))
			if !ok {
				return nil, false
			}
			levels = append(levels, level)
		}
	}
	slices.Sort(levels)
	return slices.Compact(levels), len(levels) > 0
}

func parseDifficulty(text string) (Difficulty, bool) {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "l", "low":
		return Low, true
	case "m", "medium":
		return Medium, true
	case "h", "high":
		return High, true
	default:
		return "", false
	}
}
