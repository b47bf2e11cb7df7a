package agents

import (
	"fmt"
	"regexp"
	"strings"
)

var (
	separatorLine = regexp.MustCompile(`^\s*//\s*-{10,}\s*$`)
	noteLine      = regexp.MustCompile(`(?i)^\s*//\s*statek:(.*)$`)
	noteForm      = regexp.MustCompile(`^\s*(\w+)\s*=\s*(\S.*?)\s*$`)
)

// ParseWarmup cuts a warmup file into blocks at its "// ----------" lines (10 or more dashes). A line
// "// statek: hidden = true" hides its block from the model. Empty blocks vanish. Failures are *FileError.
func ParseWarmup(file, text string) ([]Block, error) {
	lines := strings.Split(normalize(text), "\n")
	var blocks []Block
	var block Block
	var body []string
	start := 1
	flush := func() {
		blank := 0
		for blank < len(body) && strings.TrimSpace(body[blank]) == "" {
			blank++
		}
		block.Source, block.Line = strings.TrimRight(strings.Join(body[blank:], "\n"), " \t\n"), start+blank
		if block.Source != "" {
			blocks = append(blocks, block)
		}
		block, body = Block{}, nil
	}
	for i, line := range lines {
		if separatorLine.MatchString(line) {
			flush()
			start = i + 2
			continue
		}
		if m := noteLine.FindStringSubmatch(line); m != nil {
			if err := block.note(m[1]); err != nil {
				return nil, &FileError{File: file, Line: i + 1, Msg: err.Error()}
			}
			// The line stays as an empty one, so that positions in the block stay true.
			line = ""
		}
		body = append(body, line)
	}
	flush()
	return blocks, nil
}

// note applies what a "// statek:" line says.
func (b *Block) note(text string) error {
	m := noteForm.FindStringSubmatch(text)
	if m == nil {
		return fmt.Errorf(`"// statek:%s" must look like "// statek: hidden = true"`, text)
	}
	if m[1] != "hidden" {
		return fmt.Errorf("unknown warmup metadata %q; known is hidden", m[1])
	}
	switch m[2] {
	case "true":
		b.Hidden = true
	case "false":
		b.Hidden = false
	default:
		return fmt.Errorf("warmup metadata hidden must be true or false, got %s", m[2])
	}
	return nil
}
