package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"statek/internal/jsvm"
	"statek/internal/jsvm/lockdown"
	"statek/internal/jsvm/sandbox"
)

// Where cells run, and what reads them.
const (
	// SandboxStrict: child processes with every layer of defence, or not at all.
	SandboxStrict = string(sandbox.Strict)
	// SandboxBestEffort: child processes with the layers that the host has.
	SandboxBestEffort = string(sandbox.BestEffort)
	// SandboxInProcess: inside this process, which a single line of code can then end.
	SandboxInProcess = "in-process"
)

// SandboxMain makes this process a sandbox child when it was started as one, and then never returns. Call it
// first in main, and in TestMain.
func SandboxMain() { sandbox.Main() }

// ErrSandbox: this host cannot run cells as it was asked to.
var ErrSandbox = errors.New("the sandbox cannot be used")

// newMachine makes what runs cells, and its end.
func newMachine(cfg Config) (jsvm.Machine, *sandbox.Pool, error) {
	if cfg.Machine != nil {
		return cfg.Machine, nil, nil
	}
	if cfg.Sandbox == SandboxInProcess {
		return jsvm.NewInProcess(), nil, nil
	}
	pool, err := sandbox.New(sandbox.Config{Mode: sandbox.Mode(cfg.Sandbox), Children: cfg.SandboxChildren, Logger: cfg.Logger})
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrSandbox, err)
	}
	return pool, pool, nil
}

// CheckSandbox starts a first child, so that a host on which no cell can run is known before a job is, and logs
// what the host lacks.
func (a *App) CheckSandbox(ctx context.Context) error {
	if a.sandbox == nil {
		a.cfg.Logger.WarnContext(ctx, "cells run inside this process: run only code you trust", slog.String("sandbox", SandboxInProcess))
		return nil
	}
	missing, err := a.sandbox.Check(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSandbox, err)
	}
	for _, m := range missing {
		a.cfg.Logger.WarnContext(ctx, "the sandbox lacks a layer on this host", slog.String("layer", string(m.Layer)), slog.String("why", m.Why))
	}
	applied, _ := a.sandbox.Layers()
	a.cfg.Logger.InfoContext(ctx, "sandbox ready", slog.String("sandbox", a.cfg.Sandbox), slog.String("layers", layers(applied)))
	return nil
}

// sandboxHealth says where cells run and what protects this process from them.
func (a *App) sandboxHealth() (state string, missing []string) {
	if a.sandbox == nil {
		return SandboxInProcess + ": cells run inside the worker; use it only with code you trust", nil
	}
	applied, lacking := a.sandbox.Layers()
	if applied == nil {
		return a.cfg.Sandbox + ": child processes; none has been started yet", nil
	}
	for _, m := range lacking {
		missing = append(missing, fmt.Sprintf("%s: %s", m.Layer, m.Why))
	}
	return fmt.Sprintf("%s: child processes with %s", a.cfg.Sandbox, layers(applied)), missing
}

func layers(list []lockdown.Layer) string {
	names := make([]string, len(list))
	for i, l := range list {
		names[i] = string(l)
	}
	return strings.Join(names, ", ")
}
