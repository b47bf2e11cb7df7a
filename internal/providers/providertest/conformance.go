package providertest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"statek/internal/providers"
)

// NewProvider makes a provider whose service gives the answers in order, one per attempt. Only Text,
// Status, RetryAfter (in seconds) and Hang need to be understood.
type NewProvider func(t *testing.T, answers ...Answer) providers.Provider

// Conformance checks what the engine relies on in every provider.
func Conformance(t *testing.T, newProvider NewProvider) {
	t.Helper()
	t.Run("the name is upper-case", func(t *testing.T) {
		t.Parallel()
		if name := newProvider(t).Name(); name == "" || name != strings.ToUpper(name) {
			t.Errorf("got %q", name)
		}
	})
	t.Run("text arrives verbatim", func(t *testing.T) {
		t.Parallel()
		want := "Héllo, \"world\" (see {notes}).\n```js\nprint('</script> \\u2028 😀')\n```"
		reply, err := newProvider(t, Answer{Text: want}).Complete(t.Context(), request(1))
		if err != nil || reply.Text != want {
			t.Errorf("got %q, %v", reply.Text, err)
		}
	})
	t.Run("failures are sorted and not retried", func(t *testing.T) {
		t.Parallel()
		for status, retryable := range map[int]bool{
			400: false, 401: false, 403: false, 404: false, 408: true, 409: true, 413: false, 422: false, 429: true,
			500: true, 502: true, 503: true, 529: true,
		} {
			t.Run(fmt.Sprint(status), func(t *testing.T) {
				t.Parallel()
				checkFailure(t, newProvider, status, retryable)
			})
		}
	})
	t.Run("cancelling ends a request within a second", func(t *testing.T) {
		t.Parallel()
		checkCancel(t, newProvider)
	})
	t.Run("a cancelled request is not made", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := newProvider(t, Answer{Text: "no"}).Complete(ctx, request(1))
		if _, retryable := providers.Retryable(err); err == nil || retryable || !errors.Is(err, context.Canceled) {
			t.Errorf("got %v (retryable: %v), want a cancellation", err, retryable)
		}
	})
	t.Run("many may ask at once", func(t *testing.T) {
		t.Parallel()
		checkConcurrent(t, newProvider)
	})
}

// request is a request of a job of its own, so that providers that count per job begin anew.
func request(turn int) providers.Request {
	return providers.Request{
		Model: "test/model:free", Agent: "conformance", Job: fmt.Sprintf("job-%d", turn), Turn: turn, Key: "job/1",
		Messages: []providers.Message{
			{Role: providers.System, Content: "Be brief."}, {Role: providers.Assistant, Content: "```js\n1\n```"},
			{Role: providers.User, Content: "1"},
		},
	}
}

func checkFailure(t *testing.T, newProvider NewProvider, status int, retryable bool) {
	t.Helper()
	p := newProvider(t, Answer{Status: status, RetryAfter: "2"}, Answer{Text: "after all"})
	_, err := p.Complete(t.Context(), request(1))
	var pe *providers.Error
	if !errors.As(err, &pe) {
		t.Fatalf("got %v, want a *providers.Error", err)
	}
	if pe.Provider != p.Name() || pe.Status != status || pe.Message == "" {
		t.Errorf("got provider %q, status %d, message %q", pe.Provider, pe.Status, pe.Message)
	}
	if after, ok := providers.Retryable(err); ok != retryable || after != 2*time.Second {
		t.Errorf("got retryable %v after %s, want %v after 2s", ok, after, retryable)
	}
	reply, err := p.Complete(t.Context(), request(1))
	if err != nil || reply.Text != "after all" {
		t.Errorf("the next attempt: got %q, %v", reply.Text, err)
	}
}

func checkCancel(t *testing.T, newProvider NewProvider) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("the job was cancelled")
	p := newProvider(t, Answer{Hang: true})
	done := make(chan error, 1)
	go func() {
		_, err := p.Complete(ctx, request(1))
		done <- err
	}()
	// Long enough for the request to be on its way; the result is the same if it is not.
	timer := time.AfterFunc(20*time.Millisecond, func() { cancel(cause) })
	defer timer.Stop()
	select {
	case err := <-done:
		if _, retryable := providers.Retryable(err); err == nil || retryable || !errors.Is(err, cause) {
			t.Errorf("got %v (retryable: %v), want the cause of the cancellation", err, retryable)
		}
	case <-time.After(time.Second + 20*time.Millisecond):
		t.Error("the request did not end within a second")
	}
}

func checkConcurrent(t *testing.T, newProvider NewProvider) {
	t.Helper()
	const requests = 8
	answers := make([]Answer, requests)
	for i := range answers {
		answers[i] = Answer{Text: "yes"}
	}
	p := newProvider(t, answers...)
	var group sync.WaitGroup
	for i := range requests {
		group.Go(func() {
			if reply, err := p.Complete(t.Context(), request(i+1)); err != nil || reply.Text != "yes" {
				t.Errorf("got %q, %v", reply.Text, err)
			}
		})
	}
	group.Wait()
}
