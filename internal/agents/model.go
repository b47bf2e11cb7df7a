package agents

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Model is a model string, taken apart: [provider/][family/]model[/params].
type Model struct {
	// Provider is upper-case; empty leaves the choice to the agent and the configuration.
	Provider string
	Family   string
	Name     string
	// Params is the part in URL query syntax, such as rl=50.
	Params url.Values
}

// Models names a model for each difficulty.
type Models struct {
	Low, Medium, High Model
}

// For returns the model of a difficulty.
func (m Models) For(level Difficulty) Model {
	switch level {
	case Low:
		return m.Low
	case High:
		return m.High
	default:
		return m.Medium
	}
}

// ParseModels reads a MODEL value: one model, or a list such as "LM:small, H:large" that names one for
// each of L, M and H exactly once. A colon that does not stand behind such labels belongs to the id
// ("llama3:8b", "vendor/model:free").
func ParseModels(text string) (Models, error) {
	labelled, mapped, err := splitLabels(text)
	if err != nil {
		return Models{}, err
	}
	if !mapped {
		model, err := ParseModel(text)
		return Models{Low: model, Medium: model, High: model}, err
	}
	var models Models
	for label, id := range labelled {
		model, err := ParseModel(id)
		if err != nil {
			return Models{}, err
		}
		switch label {
		case 'L':
			models.Low = model
		case 'M':
			models.Medium = model
		case 'H':
			models.High = model
		}
	}
	return models, nil
}

// splitLabels reads the mapping form; false when text is not in it. No model id holds a comma, so a list
// whose labels do not cover L, M and H once each is a mistake, not an id.
func splitLabels(text string) (map[rune]string, bool, error) {
	entries := strings.Split(text, ",")
	labelled := map[rune]string{}
	for _, entry := range entries {
		label, id, found := strings.Cut(strings.TrimSpace(entry), ":")
		label = strings.TrimSpace(label)
		if !found || label == "" || strings.Trim(label, "LMH") != "" {
			if len(entries) > 1 {
				return nil, false, fmt.Errorf("entry %q must look like L:model, with labels out of L, M and H",
					strings.TrimSpace(entry))
			}
			return nil, false, nil
		}
		for _, l := range label {
			if _, twice := labelled[l]; twice {
				return nil, false, fmt.Errorf("names a model for %c twice", l)
			}
			labelled[l] = strings.TrimSpace(id)
		}
	}
	for _, l := range "LMH" {
		if _, ok := labelled[l]; !ok && len(entries) > 1 {
			return nil, false, fmt.Errorf("names no model for %c", l)
		}
	}
	return labelled, len(labelled) == 3, nil
}

var errModelForm = errors.New("must look like [provider/][family/]model[/params]")

// ParseModel reads one model string.
func ParseModel(text string) (Model, error) {
	text = strings.TrimSpace(text)
	parts := strings.Split(text, "/")
	var model Model
	if last := parts[len(parts)-1]; len(parts) > 1 && strings.Contains(last, "=") {
		params, err := url.ParseQuery(last)
		if err != nil {
			return Model{}, fmt.Errorf("parameters %q of %q: %w", last, text, err)
		}
		model.Params, parts = params, parts[:len(parts)-1]
	}
	switch len(parts) {
	case 1:
		model.Name = parts[0]
	case 2:
		model.Family, model.Name = parts[0], parts[1]
	default:
		model.Provider, model.Family = strings.ToUpper(parts[0]), parts[1]
		model.Name = strings.Join(parts[2:], "/")
	}
	if model.Name == "" || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return Model{}, fmt.Errorf("%w, got %q", errModelForm, text)
	}
	_, err := model.Reasoning()
	return model, err
}

// Upstream is the id to send to a provider: the family belongs to it for OPENROUTER only.
func (m Model) Upstream(provider string) string {
	if m.Family != "" && strings.EqualFold(provider, "OPENROUTER") {
		return m.Family + "/" + m.Name
	}
	return m.Name
}

// Reasoning returns the reasoning level (rl or reasoning_level, 0 to 100); nil when none is given.
func (m Model) Reasoning() (*int, error) {
	var level *int
	for _, value := range slices.Concat(m.Params["rl"], m.Params["reasoning_level"]) {
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 || n > 100 {
			return nil, fmt.Errorf("reasoning level must be 0 to 100, got %q", value)
		}
		if level != nil && *level != n {
			return nil, fmt.Errorf("reasoning level is given as both %d and %d", *level, n)
		}
		level = &n
	}
	return level, nil
}

// String is the model string again, in its shortest form.
func (m Model) String() string {
	var parts []string
	switch {
	case m.Provider != "":
		parts = []string{m.Provider, m.Family, m.Name}
	case m.Family != "" || strings.Contains(m.Name, "/"):
		parts = []string{m.Family, m.Name}
	default:
		parts = []string{m.Name}
	}
	if len(m.Params) > 0 {
		parts = append(parts, m.Params.Encode())
	}
	return strings.Join(parts, "/")
}
