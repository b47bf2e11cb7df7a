package e2e

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// toolService is what HTTP tools call. It answers at once, unless it is told to hold what comes.
type toolService struct {
	server  *httptest.Server
	arrived chan *toolCall

	mu    sync.Mutex // guards what follows
	hold  bool
	calls []*toolCall
}

// toolCall is one request.
type toolCall struct {
	key, authorization, body string
	release                  chan struct{} // closed to answer it
	gone                     chan struct{} // closed when the service has nothing more to do with it
}

func newToolService(t testing.TB) *toolService {
	t.Helper()
	s := &toolService{arrived: make(chan *toolCall, 100)}
	s.server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(func() {
		for _, c := range s.recorded() {
			c.answer()
		}
		s.server.Close()
	})
	return s
}

func (s *toolService) host() string { return strings.TrimPrefix(s.server.URL, "http://") }

// holding says whether requests from now on are answered only when their call is told to.
func (s *toolService) holding(hold bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hold = hold
}

// recorded lists all calls, oldest first.
func (s *toolService) recorded() []*toolCall {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*toolCall(nil), s.calls...)
}

func (s *toolService) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	c := &toolCall{
		key: r.Header.Get("Idempotency-Key"), authorization: r.Header.Get("Authorization"), body: string(body),
		release: make(chan struct{}), gone: make(chan struct{}),
	}
	defer close(c.gone)
	s.mu.Lock()
	s.calls = append(s.calls, c)
	if !s.hold {
		close(c.release)
	}
	s.mu.Unlock()
	s.arrived <- c
	select {
	case <-c.release:
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"receipt":"r1"}`)
	case <-r.Context().Done():
	}
}

// answer lets a held call go.
func (c *toolCall) answer() {
	select {
	case <-c.release:
	default:
		close(c.release)
	}
}
