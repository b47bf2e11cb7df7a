package app_test

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"statek/internal/app"
	"statek/internal/jsvm/lockdown"
)

// TestHealthNamesTheSandbox: each layer is among those that protect the process or among those that the host lacks.
func TestHealthNamesTheSandbox(t *testing.T) {
	t.Parallel()
	k := newKit(t, nil)
	if h := k.Health(t.Context()); h.Sandbox != "best-effort: child processes; none has been started yet" || h.SandboxMissing != nil {
		t.Errorf("before the first child: %q, %v", h.Sandbox, h.SandboxMissing)
	}
	if err := k.CheckSandbox(t.Context()); err != nil {
		t.Fatal(err)
	}
	h := k.Health(t.Context())
	for _, layer := range lockdown.Layers() {
		missing := slices.ContainsFunc(h.SandboxMissing, func(m string) bool { return strings.HasPrefix(m, string(layer)+": ") })
		if strings.Contains(h.Sandbox, string(layer)) == missing {
			t.Errorf("%s: applied are %q, missing %q", layer, h.Sandbox, h.SandboxMissing)
		}
	}
}

// TestSandboxModes: an unknown one is refused, the one inside the process says what it is.
func TestSandboxModes(t *testing.T) {
	t.Parallel()
	cfg := app.Config{DatabaseURL: "postgres://u@127.0.0.1:1/d", Logger: slog.New(slog.DiscardHandler), Sandbox: "docker"}
	if _, err := app.Open(t.Context(), cfg); !errors.Is(err, app.ErrSandbox) || !strings.Contains(err.Error(), `got "docker"`) {
		t.Errorf("%v", err)
	}
	cfg.Sandbox = app.SandboxInProcess
	a, err := app.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if h := a.Health(t.Context()); !strings.HasPrefix(h.Sandbox, "in-process: cells run inside the worker") {
		t.Errorf("%q", h.Sandbox)
	}
}
