// Command statek is the development server and the command line of Statek.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"statek/internal/app"
	"statek/internal/config"
)

func main() {
	app.SandboxMain()
	app.PinUTC() // cells replay alike wherever they run
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr))
}

// The exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

func run(ctx context.Context, args, env []string, stdin io.Reader, stdout, stderr io.Writer) int {
	p := &program{env: env, stdin: stdin, stdout: stdout, stderr: stderr}
	root := p.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	misused := (*usageError)(nil)
	switch unreachable := (*url.Error)(nil); {
	case err == nil:
		return exitOK
	case errors.Is(err, errSaid):
		return exitFailure
	case !p.began || errors.As(err, &misused):
		fmt.Fprintf(stderr, "statek: %v\nSee --help.\n", err)
		return exitUsage
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		fmt.Fprintln(stderr, "statek: interrupted")
	case errors.As(err, &unreachable):
		fmt.Fprintf(stderr, "statek: cannot reach the API: %s\n`statek dev` starts one; --url or STATEK_URL says where it is.\n", config.Redact(unreachable.Error()))
	default:
		fmt.Fprintf(stderr, "statek: %s\n", config.Redact(err.Error()))
	}
	return exitFailure
}

// errSaid fails a command that has already said why.
var errSaid = errors.New("said")

// usageError is a command that was called wrongly.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func misuse(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }
