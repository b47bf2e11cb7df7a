package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// bank is the world outside: each idempotency key has one effect, however often it is sent.
type bank struct {
	server *httptest.Server
	delay  time.Duration // before each answer

	mu       sync.Mutex // guards payments
	payments map[string]payment
}

// payment is what a key has done.
type payment struct {
	Amount int
	Times  int // it was asked for
}

func newBank(t testing.TB, delay time.Duration) *bank {
	t.Helper()
	b := &bank{delay: delay, payments: map[string]payment{}}
	b.server = httptest.NewServer(http.HandlerFunc(b.serve))
	t.Cleanup(b.server.Close)
	return b
}

func (b *bank) host() string { return strings.TrimPrefix(b.server.URL, "http://") }

func (b *bank) serve(w http.ResponseWriter, r *http.Request) {
	var body struct{ Amount int }
	key := r.Header.Get("Idempotency-Key")
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || key == "" {
		http.Error(w, "expected an amount and an Idempotency-Key", http.StatusBadRequest)
		return
	}
	b.mu.Lock()
	p := b.payments[key]
	if p.Times > 0 && p.Amount != body.Amount {
		b.mu.Unlock()
		http.Error(w, "the key was used for another amount", http.StatusConflict)
		return
	}
	b.payments[key] = payment{Amount: body.Amount, Times: p.Times + 1}
	b.mu.Unlock()
	if b.delay > 0 {
		timer := time.NewTimer(b.delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"receipt":"r%d"}`, body.Amount)
}

// books are the payments by key.
func (b *bank) books() map[string]payment {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.payments)
}

// of are the payments of a job, by cell and call.
func (b *bank) of(job string) map[string]payment {
	found := map[string]payment{}
	for key, p := range b.books() {
		if rest, ok := strings.CutPrefix(key, job+"/"); ok {
			found[rest] = p
		}
	}
	return found
}
