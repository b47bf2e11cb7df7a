package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"statek/internal/app"
)

// RunConfig of Run.
type RunConfig struct {
	// Listen is host:port; port 0 takes a free one.
	Listen string
	Logger *slog.Logger
	// Version is shown in the OpenAPI document.
	Version string
	// Grace is how long requests may go on after ctx has ended. Default: 10 s.
	Grace time.Duration
	// MaxRequests are answered at once. Default: 512.
	MaxRequests int
	// Listening is told the address, once. Default: nobody is.
	Listening func(net.Addr)
}

// Run serves the API of an App until ctx ends. The App's hub lives as long as the last request.
func Run(ctx context.Context, a *app.App, cfg RunConfig) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return fmt.Errorf("httpapi: listen on %s: %w", cfg.Listen, err)
	}
	cfg.Logger.InfoContext(ctx, "API listens", "address", listener.Addr().String())
	if cfg.Listening != nil {
		cfg.Listening(listener.Addr())
	}
	hub, stopHub := context.WithCancel(context.WithoutCancel(ctx))
	hubDone := make(chan error, 1)
	go func() { hubDone <- a.Run(hub) }()
	err = Serve(ctx, listener, New(a, Options{Logger: cfg.Logger, Version: cfg.Version, MaxRequests: cfg.MaxRequests}), ServeConfig{Logger: cfg.Logger, Grace: cfg.Grace})
	stopHub()
	return errors.Join(err, <-hubDone)
}

// HealthHandler answers /healthz and /readyz for a process that serves nothing else.
func HealthHandler(ready func() bool) http.Handler {
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, status int, body string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, `{"status":"ok"}`+"\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if ready() {
			answer(w, http.StatusOK, `{"ready":true}`+"\n")
			return
		}
		answer(w, http.StatusServiceUnavailable, `{"ready":false}`+"\n")
	})
	mux.HandleFunc("/", notFound)
	return mux
}
