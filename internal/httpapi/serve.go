package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

var errDraining = errors.New("the server is stopping")

type drainKey struct{}

// ServeConfig of Serve.
type ServeConfig struct {
	// Logger gets what net/http has to say. Default: slog.Default().
	Logger *slog.Logger
	// Grace is how long requests may go on after ctx has ended. Default: 10 s.
	Grace time.Duration
}

// Serve answers on the listener until ctx ends and the requests under way are done, or Grace is over.
// Requests that wait are told when ctx ends, and answer at once.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler, cfg ServeConfig) error {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Grace <= 0 {
		cfg.Grace = 10 * time.Second
	}
	base := context.WithValue(context.WithoutCancel(ctx), drainKey{}, ctx.Done())
	srv := &http.Server{
		Handler: handler,
		// There is no ReadTimeout or WriteTimeout: they would end streams. Bodies have a deadline of their
		// own, and so has each event of a stream.
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		BaseContext:       func(net.Listener) context.Context { return base },
		ErrorLog:          slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelDebug),
	}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(base, cfg.Grace)
		defer cancel()
		stopped <- srv.Shutdown(grace)
	}()
	if err := srv.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("httpapi: serve %s: %w", listener.Addr(), err)
	}
	if err := <-stopped; err != nil {
		return errors.Join(fmt.Errorf("httpapi: requests were still running after %s", cfg.Grace), srv.Close())
	}
	return nil
}

// untilDrained is ctx until the server is told to stop; its cause then is errDraining.
func untilDrained(ctx context.Context) (context.Context, context.CancelFunc) {
	drain, _ := ctx.Value(drainKey{}).(<-chan struct{})
	if drain == nil {
		return context.WithCancel(ctx)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		select {
		case <-drain:
			cancel(errDraining)
		case <-done:
		}
	}()
	return ctx, func() {
		close(done)
		cancel(context.Canceled)
	}
}
