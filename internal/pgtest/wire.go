package pgtest

import (
	"bytes"
	"context"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"
)

// Wire stands between clients and the server, and can lose what travels.
type Wire struct {
	listener net.Listener
	url      string
	wg       sync.WaitGroup

	mu     sync.Mutex // guards what follows
	server string
	down   bool
	open   chan struct{} // closed while something may pass
	conns  map[net.Conn]bool
	match  func(request []byte) bool // the answers to the next such request are lost
	lost   int
}

// NewWire leads to the server of a DSN until the test ends.
func NewWire(t testing.TB, dsn string) *Wire {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil || u.Host == "" || u.Query().Get("host") != "" {
		t.Fatalf("pgtest: the tests that disturb connections need a server with a URL and a TCP port (%v)", err)
	}
	w := &Wire{server: u.Host, conns: map[net.Conn]bool{}, open: make(chan struct{})}
	close(w.open)
	var config net.ListenConfig
	if w.listener, err = config.Listen(t.Context(), "tcp", "127.0.0.1:0"); err != nil {
		t.Fatalf("pgtest: listen: %v", err)
	}
	u.Host = w.listener.Addr().String()
	q := u.Query()
	q.Set("sslmode", "disable") // so that what travels can be read
	u.RawQuery = q.Encode()
	w.url = u.String()
	w.wg.Go(w.accept)
	t.Cleanup(func() {
		_ = w.listener.Close()
		w.Restore()
		w.Cut()
		w.wg.Wait()
	})
	return w
}

// URL is the DSN that leads through the wire.
func (w *Wire) URL() string { return w.url }

// Lead makes new connections go to another server, host:port.
func (w *Wire) Lead(server string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.server = server
}

// Cut ends all connections, and new ones at once, until Restore.
func (w *Wire) Cut() { w.end(true) }

// Drop ends all connections; new ones go through.
func (w *Wire) Drop() { w.end(false) }

// Stall holds back all that travels, and new connections, until Restore: nobody is told, and nothing is lost.
func (w *Wire) Stall() {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.open:
		w.open = make(chan struct{})
	default:
	}
}

// Restore ends what Cut or Stall has begun.
func (w *Wire) Restore() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = false
	select {
	case <-w.open:
	default:
		close(w.open)
	}
}

// pass waits while the wire is stalled.
func (w *Wire) pass() {
	w.mu.Lock()
	open := w.open
	w.mu.Unlock()
	<-open
}

// LoseReply loses the server's answers to the next request that matches, once the server has begun to answer, and
// ends its connection: the client cannot know what became of it.
func (w *Wire) LoseReply(match func(request []byte) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.match = match
}

// LoseReplyTo is LoseReply for a request that contains text.
func (w *Wire) LoseReplyTo(text string) {
	w.LoseReply(func(request []byte) bool { return bytes.Contains(request, []byte(text)) })
}

// Lost counts the requests whose answers were lost.
func (w *Wire) Lost() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lost
}

func (w *Wire) end(down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = down
	for c := range w.conns {
		_ = c.Close()
	}
	clear(w.conns)
}

func (w *Wire) accept() {
	for {
		client, err := w.listener.Accept()
		if err != nil {
			return
		}
		w.wg.Go(func() { w.connect(client) })
	}
}

func (w *Wire) connect(client net.Conn) {
	w.pass()
	w.mu.Lock()
	target, down := w.server, w.down
	w.mu.Unlock()
	dialer := net.Dialer{Timeout: 5 * time.Second}
	server, err := dialer.DialContext(context.Background(), "tcp", target)
	if err != nil || down {
		_ = client.Close()
		if err == nil {
			_ = server.Close()
		}
		return
	}
	w.mu.Lock()
	if w.down { // meanwhile
		_, _ = client.Close(), server.Close()
	}
	w.conns[client], w.conns[server] = true, true
	w.mu.Unlock()
	lost := make(chan struct{})
	lose := sync.OnceFunc(func() { close(lost) })
	w.wg.Go(func() { w.carry(server, client, func(request []byte) bool { return w.requested(request, lose) }) })
	w.carry(client, server, func([]byte) bool {
		select {
		case <-lost:
			return false
		default:
			return true
		}
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.conns, client)
	delete(w.conns, server)
}

// requested looks for the request whose answers are to be lost.
func (w *Wire) requested(request []byte, lose func()) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.match != nil && w.match(request) {
		w.match = nil
		w.lost++
		lose()
	}
	return true
}

// carry copies until one side ends, or pass says no; then it ends both.
func (w *Wire) carry(to, from net.Conn, pass func([]byte) bool) {
	defer func() { _, _ = to.Close(), from.Close() }()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			w.pass()
			if !pass(buf[:n]) {
				return
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
