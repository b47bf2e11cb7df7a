package app

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"

	"statek/internal/providers"
	"statek/internal/providers/openai"
	"statek/internal/providers/scripted"
)

// ProviderConfig says which model services a process may ask.
type ProviderConfig struct {
	// Environ are "NAME=value" items; X_API_URL and X_API_KEY make provider X, X_RPM and X_TPM say what it takes.
	Environ []string
	// Default is the provider of agents that name none. Default: SCRIPTED when Scripted is set, else the only
	// one there is, else OPENROUTER.
	Default string
	// Scripted is a folder of replies to play instead of asking a model. Default: none.
	Scripted string
	Logger   *slog.Logger
	// Client is shared by all. Default: one made for model services.
	Client *http.Client
}

// NewProviders makes the registry for a worker. A service whose variables are wrong is left out and logged:
// the others are not to suffer for it.
func NewProviders(cfg ProviderConfig) (*providers.Registry, error) {
	if cfg.Client == nil {
		cfg.Client = openai.NewClient()
	}
	endpoints, err := providers.FromEnv(cfg.Environ)
	if err != nil {
		cfg.Logger.Warn("model services are left out", slog.String("err", err.Error()))
	}
	byName := map[string]providers.Provider{}
	for _, e := range endpoints {
		p, err := openai.New(openai.Config{Name: e.Name, URL: e.URL, Key: e.Key, Client: cfg.Client})
		if err != nil {
			return nil, fmt.Errorf("app: make provider %s: %w", e.Name, err)
		}
		byName[e.Name] = p
	}
	fallback := "OPENROUTER"
	if len(endpoints) == 1 {
		fallback = endpoints[0].Name
	}
	if cfg.Scripted != "" {
		byName[scripted.Name] = scripted.New(os.DirFS(cfg.Scripted), cfg.Logger)
		fallback = scripted.Name
	}
	if cfg.Default != "" {
		fallback = cfg.Default
	}
	rates, err := providers.RatesFromEnv(cfg.Environ)
	if err != nil {
		cfg.Logger.Warn("rates of model services are left out", slog.String("err", err.Error()))
	}
	registry, err := providers.NewRegistry(byName, fallback)
	if err != nil {
		return nil, err
	}
	return registry.WithRates(rates), nil
}
