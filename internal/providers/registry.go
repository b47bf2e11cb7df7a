package providers

import (
	"fmt"
	"slices"
	"strings"
)

// Registry finds providers by name. It never changes, so it is safe for concurrent use.
type Registry struct {
	byName   map[string]Provider
	fallback string
	rates    map[string]Rate
}

// NewRegistry takes the providers by name; names are case-insensitive. fallback is the name used when an
// agent asks for none; empty means that every agent must name one.
func NewRegistry(byName map[string]Provider, fallback string) (*Registry, error) {
	r := &Registry{byName: make(map[string]Provider, len(byName)), fallback: strings.ToUpper(fallback)}
	for name, p := range byName {
		upper := strings.ToUpper(name)
		if p == nil {
			return nil, fmt.Errorf("providers: provider %q is nil", name)
		}
		if _, twice := r.byName[upper]; twice {
			return nil, fmt.Errorf("providers: provider %q is given twice", upper)
		}
		r.byName[upper] = p
	}
	return r, nil
}

// Lookup returns the provider with the name, or the fallback for no name. A name that is not configured
// is an *Error that says what is, and what to set. A fallback that is not configured is found here rather
// than earlier: a worker whose agents all name their providers does not need one.
func (r *Registry) Lookup(name string) (Provider, error) {
	name = strings.ToUpper(strings.TrimSpace(name))
	if name == "" {
		name = r.fallback
	}
	if p, ok := r.byName[name]; ok {
		return p, nil
	}
	configured := "none is configured"
	if names := r.Names(); len(names) > 0 {
		configured = "configured: " + strings.Join(names, ", ")
	}
	if name == "" {
		return nil, &Error{Provider: "(none)", Message: "the agent names no provider and there is no default; " + configured}
	}
	return nil, &Error{Provider: name, Message: fmt.Sprintf("not configured (%s); set %s", configured, variables(name))}
}

// Names lists the configured providers, sorted.
func (r *Registry) Names() []string {
	names := make([]string, 0, len(r.byName))
	for name := range r.byName {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Default is the name used when an agent asks for none.
func (r *Registry) Default() string { return r.fallback }

// variables names what to set for a provider.
func variables(name string) string {
	if defaultURL(name) != "" {
		return name + keySuffix
	}
	return name + urlSuffix + " and " + name + keySuffix
}
