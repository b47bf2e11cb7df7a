package store_test

import (
	"bytes"
	"context"
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"statek/internal/pgtest"
)

// proxy stands between a client and the server, and can lose what travels.
type proxy struct {
	listener net.Listener
	server   string
	through  string // the URL that leads through it
	wg       sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
	after []byte // once a client has sent this, the server's answers are lost and the connection ends
	only  *pgxpool.Pool
}

func newProxy(t *testing.T, databaseURL string) *proxy {
	t.Helper()
	u, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{conns: map[net.Conn]bool{}, server: u.Host}
	if host := u.Query().Get("host"); host != "" {
		t.Fatalf("the test server listens on %s, want TCP", host)
	}
	var config net.ListenConfig
	if p.listener, err = config.Listen(t.Context(), "tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	u.Host = p.listener.Addr().String()
	q := u.Query()
	q.Set("sslmode", "disable")
	u.RawQuery = q.Encode()
	p.through = u.String()
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		_ = p.listener.Close()
		p.cut()
		p.wg.Wait()
	})
	return p
}

// pool connects through the proxy.
func (p *proxy) pool(t *testing.T) *pgxpool.Pool {
	t.Helper()
	if p.only == nil {
		p.only = pgtest.Pool(t, p.through)
	}
	return p.only
}

// swallowAfter loses the answers to the next request that contains text, and ends its connection.
func (p *proxy) swallowAfter(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.after = []byte(text)
}

// cut ends all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
	clear(p.conns)
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		var dialer net.Dialer
		server, err := dialer.DialContext(context.Background(), "tcp", p.server)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		p.conns[client], p.conns[server] = true, true
		p.mu.Unlock()
		lost := make(chan struct{})
		p.wg.Go(func() { p.requests(server, client, lost) })
		p.wg.Go(func() { p.answers(client, server, lost) })
	}
}

// requests copies from the client to the server.
func (p *proxy) requests(server, client net.Conn, lost chan struct{}) {
	defer func() { _ = server.Close() }()
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		p.mu.Lock()
		if p.after != nil && bytes.Contains(buf[:n], p.after) {
			p.after = nil
			close(lost)
		}
		p.mu.Unlock()
		if n > 0 {
			if _, err := server.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// answers copies from the server to the client, until the answers are to be lost: then the first one, which
// shows that the server has done its work, ends the connection.
func (p *proxy) answers(client, server net.Conn, lost chan struct{}) {
	defer func() { _ = client.Close() }()
	buf := make([]byte, 64<<10)
	for {
		n, err := server.Read(buf)
		select {
		case <-lost:
			return
		default:
		}
		if n > 0 {
			if _, err := client.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
