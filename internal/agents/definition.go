package agents

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The metadata keys that mean something. Others are kept and have no effect.
const (
	KeyModel       = "MODEL"
	KeyProvider    = "PROVIDER"
	KeyTemperature = "TEMPERATURE"
	KeyChatStyle   = "CHAT_STYLE"
	KeyDescription = "DESCRIPTION"
	KeyDifficulty  = "DEFAULT_DIFFICULTY"
	KeyLangRule    = "AUTO_LANG_RULE"
	KeyLangHint    = "AUTO_LANG_HINT"
	KeyConsoleHelp = "CONSOLE_HELP"
	KeyRetry       = "RETRY"
	KeyConcurrency = "CONCURRENCY"
)

// Validate reports the first thing about the definition that would keep its jobs from running. A bad
// metadata value is a *KeyError.
func (d Definition) Validate() error {
	if !roleForm.MatchString(d.Role) {
		return fmt.Errorf("role %q must be letters, digits, '_', '-' and '.', at most 100", d.Role)
	}
	for key := range d.Meta {
		if key == "" || key != strings.ToUpper(key) {
			return &KeyError{Key: key, Msg: "must be written in capitals"}
		}
	}
	if _, err := d.Models(); err != nil {
		return err
	}
	for _, check := range []func() error{d.checkTemperature, d.checkStyle, d.checkDifficulty, d.checkSwitches, d.checkRetry, d.checkConcurrency} {
		if err := check(); err != nil {
			return err
		}
	}
	if _, err := ParseSections(d.Prompt); err != nil {
		return err
	}
	for i, b := range d.Warmup {
		if strings.TrimSpace(b.Source) == "" {
			return fmt.Errorf("warmup block %d is empty", i+1)
		}
	}
	return nil
}

// Hash identifies the definition's content: equal definitions have equal hashes, in every release.
func (d Definition) Hash() (string, error) {
	if d.Meta == nil {
		d.Meta = map[string]string{}
	}
	return contentHash(d)
}

// Hash identifies the tool's content.
func (t Tool) Hash() (string, error) {
	if t.Params == nil {
		t.Params = []Param{}
	}
	return contentHash(t)
}

func contentHash(v any) (string, error) {
	// encoding/json sorts map keys and compacts raw messages, so equal content is equal text.
	text, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("agents: hash definition: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

// Models returns what MODEL says.
func (d Definition) Models() (Models, error) {
	text := strings.TrimSpace(d.Meta[KeyModel])
	if text == "" {
		return Models{}, &KeyError{Key: KeyModel, Msg: `is missing; add a line such as "# MODEL: gpt-5-mini"`}
	}
	models, err := ParseModels(text)
	if err != nil {
		return Models{}, &KeyError{Key: KeyModel, Msg: err.Error()}
	}
	return models, nil
}

// Route says where a request goes.
type Route struct {
	// Provider is an upper-case provider name.
	Provider string
	// Upstream is the model id as the provider knows it.
	Upstream string
	Model    Model
}

// Route picks the model of a difficulty and its provider: the model string's, else PROVIDER, else
// fallback.
func (d Definition) Route(level Difficulty, fallback string) (Route, error) {
	models, err := d.Models()
	if err != nil {
		return Route{}, err
	}
	model := models.For(level)
	name := model.Provider
	for _, other := range []string{d.Meta[KeyProvider], fallback} {
		if name == "" {
			name = strings.TrimSpace(other)
		}
	}
	name = strings.ToUpper(name)
	return Route{Provider: name, Upstream: model.Upstream(name), Model: model}, nil
}

// Style returns the chat style, Markdown when none is set.
func (d Definition) Style() Style {
	style := Style(strings.ToUpper(strings.TrimSpace(d.Meta[KeyChatStyle])))
	if style == "" {
		return Markdown
	}
	return style
}

// Temperature returns TEMPERATURE; nil when it is not set.
func (d Definition) Temperature() *float64 {
	t, err := strconv.ParseFloat(strings.TrimSpace(d.Meta[KeyTemperature]), 64)
	if err != nil {
		return nil
	}
	return &t
}

// Difficulty returns DEFAULT_DIFFICULTY, Medium when it is not set.
func (d Definition) Difficulty() Difficulty {
	if level, ok := parseDifficulty(d.Meta[KeyDifficulty]); ok {
		return level
	}
	return Medium
}

// HintLocale returns locale, or nothing when the agent wants no language hints.
func (d Definition) HintLocale(locale string) string {
	if d.off(KeyLangHint) {
		return ""
	}
	return locale
}

// Concurrency returns CONCURRENCY: how many of the agent's jobs run at once, over all workers; 0: any number.
func (d Definition) Concurrency() int {
	n, err := strconv.Atoi(strings.TrimSpace(d.Meta[KeyConcurrency]))
	if err != nil {
		return 0
	}
	return n
}

// mostConcurrency is more than any number of workers drives.
const mostConcurrency = 1_000_000

func (d Definition) checkConcurrency() error {
	text, ok := d.Meta[KeyConcurrency]
	if n := d.Concurrency(); ok && (n < 1 || n > mostConcurrency) {
		return &KeyError{Key: KeyConcurrency, Msg: fmt.Sprintf("must be a whole number from 1 to %d, got %q", mostConcurrency, text)}
	}
	return nil
}

func (d Definition) checkTemperature() error {
	text, ok := d.Meta[KeyTemperature]
	if !ok {
		return nil
	}
	// NaN fails the comparison, too.
	if t, err := strconv.ParseFloat(strings.TrimSpace(text), 64); err != nil || !(t >= 0 && t <= 1) {
		return &KeyError{Key: KeyTemperature, Msg: fmt.Sprintf("must be a number from 0 to 1, got %q", text)}
	}
	return nil
}

func (d Definition) checkStyle() error {
	if !slices.Contains([]Style{Console, Markdown, MDDialog}, d.Style()) {
		return &KeyError{Key: KeyChatStyle, Msg: fmt.Sprintf("must be CONSOLE, MARKDOWN or MD_DIALOG, got %q",
			d.Meta[KeyChatStyle])}
	}
	return nil
}

func (d Definition) checkDifficulty() error {
	text, ok := d.Meta[KeyDifficulty]
	if _, known := parseDifficulty(text); ok && !known {
		return &KeyError{Key: KeyDifficulty, Msg: fmt.Sprintf("must be L, M or H, got %q", text)}
	}
	return nil
}

func (d Definition) checkSwitches() error {
	for _, key := range []string{KeyLangRule, KeyLangHint, KeyConsoleHelp} {
		text, ok := d.Meta[key]
		if _, err := parseSwitch(text); ok && err != nil {
			return &KeyError{Key: key, Msg: err.Error()}
		}
	}
	return nil
}

// off reports whether a switch is turned off; switches that are not set are on.
func (d Definition) off(key string) bool {
	on, err := parseSwitch(d.Meta[key])
	return err == nil && !on
}

var errSwitch = errors.New("must be TRUE or FALSE")

func parseSwitch(text string) (bool, error) {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "true", "on", "yes", "1":
		return true, nil
	case "false", "off", "no", "0":
		return false, nil
	default:
		return false, fmt.Errorf("%w, got %q", errSwitch, text)
	}
}
