package agents

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
)

var (
	metaLine    = regexp.MustCompile(`^#\s+(\w+):\s+(\S.*)$`)
	headingLine = regexp.MustCompile(`(?i)^#\s+system\s+prompt\s*$`)
	roleForm    = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$`)
)

// ParsePrompt reads an agent's prompt file: "# KEY: value" lines, a line "# System Prompt", and below it
// the prompt. The role is the file's name without its ending; other lines above the heading are comments.
// Failures are *FileError.
func ParsePrompt(file, text string) (Definition, error) {
	text = normalize(text)
	lines := strings.Split(text, "\n")
	def := Definition{Role: strings.TrimSuffix(path.Base(file), ".md"), Meta: map[string]string{}}
	keyLines := map[string]int{}
	for i, line := range lines {
		if headingLine.MatchString(line) {
			def.Prompt = strings.Trim(strings.Join(lines[i+1:], "\n"), "\n")
			return def, placed(def, file, keyLines, i+2+leadingBlank(lines[i+1:]))
		}
		if m := metaLine.FindStringSubmatch(line); m != nil {
			key := strings.ToUpper(m[1])
			def.Meta[key], keyLines[key] = strings.TrimSpace(m[2]), i+1
		}
	}
	return Definition{}, &FileError{File: file, Line: len(lines), Msg: `the heading "# System Prompt" is missing`}
}

// placed validates def and gives the failure its place in the file.
func placed(def Definition, file string, keyLines map[string]int, promptLine int) error {
	err := def.Validate()
	if err == nil {
		return nil
	}
	line := 1
	var ke *KeyError
	var se *sectionError
	switch {
	case errors.As(err, &ke):
		line = max(1, keyLines[ke.Key])
	case errors.As(err, &se):
		line = promptLine + se.line - 1
		err = errors.New(se.msg)
	}
	return &FileError{File: file, Line: line, Msg: err.Error()}
}

// normalize gives text Unix line ends and no byte order mark.
func normalize(text string) string {
	return strings.ReplaceAll(strings.TrimPrefix(text, "\ufeff"), "\r\n", "\n")
}

func leadingBlank(lines []string) int {
	for i, line := range lines {
		if line != "" {
			return i
		}
	}
	return 0
}

// KeyError is a metadata value that cannot be used.
type KeyError struct {
	Key string
	Msg string
}

// Error implements error.
func (e *KeyError) Error() string { return fmt.Sprintf("%s %s", e.Key, e.Msg) }
