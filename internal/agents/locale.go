package agents

import (
	"fmt"
	"regexp"
	"strings"
)

// Locale is the language and country a job works for.
type Locale struct {
	// Language is a lower-case ISO 639-1 code, Country an upper-case ISO 3166-1 one or empty.
	Language string
	Country  string
}

var localeForm = regexp.MustCompile(`^([A-Za-z]{2})(?:[-_]([A-Za-z]{2}))?$`)

// ParseLocale reads a text such as "EN-US" or "pl".
func ParseLocale(text string) (Locale, error) {
	m := localeForm.FindStringSubmatch(strings.TrimSpace(text))
	if m == nil {
		return Locale{}, fmt.Errorf(`locale %q must look like "EN-US" or "PL"`, text)
	}
	return Locale{Language: strings.ToLower(m[1]), Country: strings.ToUpper(m[2])}, nil
}

// String is the locale as it is stored and shown: "EN-US".
func (l Locale) String() string {
	if l.Country == "" {
		return strings.ToUpper(l.Language)
	}
	return strings.ToUpper(l.Language) + "-" + l.Country
}

// languageRule is the sentence a system prompt ends with; empty for languages without one.
func languageRule(locale string) string {
	name := languageName(locale)
	if name == "" {
		return ""
	}
	return "Write everything that is meant for people in " + name + "."
}

// languageHint follows a user's message; empty for languages without one.
func languageHint(locale string) string {
	name := languageName(locale)
	if name == "" {
		return ""
	}
	return "(Answer in " + name + ".)"
}

func languageName(locale string) string {
	l, err := ParseLocale(locale)
	if err != nil {
		return ""
	}
	switch l.Language {
	case "en":
		return "English"
	case "pl":
		return "Polish"
	case "de":
		return "German"
	case "fr":
		return "French"
	case "es":
		return "Spanish"
	case "it":
		return "Italian"
	default:
		return ""
	}
}
