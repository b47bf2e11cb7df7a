package providertest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"statek/internal/providers"
)

// Answer is what the server does with one request. The zero Answer is an empty reply.
type Answer struct {
	// Text is the model's reply.
	Text string
	// Usage is reported with it.
	Usage providers.Usage
	// Status makes the answer an error when it is 400 or more; default 200.
	Status int
	// RetryAfter is sent as the Retry-After header.
	RetryAfter string
	// Message is the error's text.
	Message string
	// Raw, when set, is sent as the body, whatever it is.
	Raw string
	// ContentType of the body; default application/json.
	ContentType string
	// Finish is the finish_reason; default "stop".
	Finish string
	// Delay holds the answer back; the client's going away ends it.
	Delay time.Duration
	// Hang never answers: the request is held until the client goes away or the server closes.
	Hang bool
	// Truncate breaks the connection in the middle of the body.
	Truncate bool
}

// Recorded is one request as the server saw it.
type Recorded struct {
	Path string
	// RemoteAddr tells connections apart.
	RemoteAddr    string
	Authorization string
	Key           string
	Header        http.Header
	Model         string
	Messages      []providers.Message
	Temperature   *float64
}

// Server is a local model service.
type Server struct {
	server  *httptest.Server
	closed  chan struct{}
	once    sync.Once
	arrived chan Recorded

	mu       sync.Mutex
	queue    []Answer
	handle   func(Recorded) Answer
	requests []Recorded
}

// NewServer starts a server that is closed when the test ends.
func NewServer(t testing.TB) *Server {
	t.Helper()
	s := &Server{closed: make(chan struct{}), arrived: make(chan Recorded, 1024)}
	s.server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

// URL is the base URL, as in X_API_URL.
func (s *Server) URL() string { return s.server.URL + "/v1" }

// Client returns an HTTP client whose idle connections the server closes with itself.
func (s *Server) Client() *http.Client { return s.server.Client() }

// Queue adds answers, given in order before Handle is asked. Without either the server answers 400.
func (s *Server) Queue(answers ...Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = append(s.queue, answers...)
}

// Handle decides answers by request.
func (s *Server) Handle(handle func(Recorded) Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handle = handle
}

// Requests returns what the server was asked so far, oldest first.
func (s *Server) Requests() []Recorded {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Recorded(nil), s.requests...)
}

// Arrived announces every request before it is answered; beyond 1,024 unread ones it announces none.
func (s *Server) Arrived() <-chan Recorded { return s.arrived }

// Close ends hanging requests and stops the server. It may be called twice.
func (s *Server) Close() {
	s.once.Do(func() {
		close(s.closed)
		s.server.Close()
	})
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	recorded, err := record(r)
	if err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	answer := s.take(recorded)
	select {
	case s.arrived <- recorded:
	default:
	}
	if !s.hold(r, answer) {
		return
	}
	if answer.RetryAfter != "" {
		w.Header().Set("Retry-After", answer.RetryAfter)
	}
	if answer.Raw == "" && answer.Status >= 400 {
		writeError(w, answer.Status, answer.Message)
		return
	}
	write(w, answer, recorded)
}

// take records the request and picks its answer in one step, so that both have the same order.
func (s *Server) take(r Recorded) Answer {
	s.mu.Lock()
	s.requests = append(s.requests, r)
	handle := s.handle
	if len(s.queue) > 0 {
		defer s.mu.Unlock()
		answer := s.queue[0]
		s.queue = s.queue[1:]
		return answer
	}
	s.mu.Unlock()
	if handle == nil {
		return Answer{Status: http.StatusBadRequest, Message: "the test queued no answer for this request"}
	}
	return handle(r)
}

// hold waits as the answer wants to; false when nobody is left to answer.
func (s *Server) hold(r *http.Request, answer Answer) bool {
	if !answer.Hang && answer.Delay <= 0 {
		return true
	}
	var due <-chan time.Time
	if !answer.Hang {
		timer := time.NewTimer(answer.Delay)
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-due:
		return true
	case <-r.Context().Done():
		return false
	case <-s.closed:
		return false
	}
}

const maxRequest = 64 << 20

func record(r *http.Request) (Recorded, error) {
	out := Recorded{
		Path: r.URL.Path, Authorization: r.Header.Get("Authorization"), Key: r.Header.Get("Idempotency-Key"),
		Header: r.Header.Clone(), RemoteAddr: r.RemoteAddr,
	}
	if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/chat/completions") {
		return out, fmt.Errorf("%s %s is not served", r.Method, r.URL.Path)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRequest))
	if err != nil {
		return out, err
	}
	var doc struct {
		Model       string              `json:"model"`
		Messages    []providers.Message `json:"messages"`
		Temperature *float64            `json:"temperature"`
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return out, fmt.Errorf("request body: %w", err)
	}
	if doc.Model == "" || len(doc.Messages) == 0 {
		return out, fmt.Errorf("model and messages are required")
	}
	out.Model, out.Messages, out.Temperature = doc.Model, doc.Messages, doc.Temperature
	return out, nil
}
