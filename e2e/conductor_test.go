package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"statek/internal/failpoint"
)

// conductor hears where armed workers are, and lets them go on, or does not.
type conductor struct {
	t        testing.TB
	listener net.Listener
	address  string
	wg       sync.WaitGroup

	// first is called for each announcement before it is decided, if it is set.
	first func(failpoint.Announcement)

	mu     sync.Mutex // guards what follows
	decide func(failpoint.Announcement) verdict
}

// verdict is what becomes of a worker that has announced itself.
type verdict int

const (
	goOn verdict = iota
	// kill ends the process as kill -9 does, before it goes on.
	kill
	// freeze stops it as SIGSTOP does. It goes on when somebody continues it.
	freeze
)

// newConductor listens until the test ends. decide is asked by one announcement at a time.
func newConductor(t testing.TB, decide func(failpoint.Announcement) verdict) *conductor {
	t.Helper()
	dir, err := os.MkdirTemp("", "fp") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	c := &conductor{t: t, address: filepath.Join(dir, "s"), decide: decide}
	if c.listener, err = net.Listen("unix", c.address); err != nil {
		t.Fatal(err)
	}
	c.wg.Go(func() {
		for {
			conn, err := c.listener.Accept()
			if err != nil {
				return
			}
			c.wg.Go(func() { c.serve(conn) })
		}
	})
	t.Cleanup(func() {
		_ = c.listener.Close()
		c.wg.Wait()
		_ = os.RemoveAll(dir)
	})
	return c
}

// env arms a worker.
func (c *conductor) env() string { return failpoint.Variable + "=unix:" + c.address }

func (c *conductor) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	line, err := bufio.NewReader(conn).ReadBytes('\n')
	if err != nil {
		return // only asks whether somebody listens, or is dead
	}
	var a failpoint.Announcement
	if err := json.Unmarshal(line, &a); err != nil {
		c.t.Errorf("announcement %s: %v", line, err)
		return
	}
	if c.first != nil {
		c.first(a)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch c.decide(a) {
	case kill:
		if err := syscall.Kill(a.PID, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			c.t.Errorf("kill worker: %v", err)
		}
	case freeze:
		if err := syscall.Kill(a.PID, syscall.SIGSTOP); err != nil && !errors.Is(err, syscall.ESRCH) {
			c.t.Errorf("stop worker: %v", err)
		}
		fallthrough
	default:
		_, _ = conn.Write([]byte("\n"))
	}
}

// locked runs f while nothing is decided.
func (c *conductor) locked(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}
