package devdb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

var errPortTaken = errors.New("devdb: the port was taken meanwhile")

// stopBudget is how long a server may take to end before it is made to.
const stopBudget = 20 * time.Second

// keeper runs the server ("$@") and stops it as soon as nobody holds the other end of its standard input: when
// we close it, and when we die in any way.
const keeper = `exec 3<&0
"$@" 3<&- </dev/null & pid=$!
(cat <&3 >/dev/null; kill -INT $pid 2>/dev/null) & watch=$!
wait $pid; code=$?
kill $watch 2>/dev/null
exit $code`

// launch runs the server and waits until it answers.
func (l *local) launch(ctx context.Context, s *Server) error {
	log, err := os.OpenFile(l.logFile(), os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o644)
	if err != nil {
		return fmt.Errorf("devdb: open log: %w", err)
	}
	defer func() { _ = log.Close() }()
	read, write, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("devdb: make pipe: %w", err)
	}
	args := append([]string{"-c", keeper, "statek-keeper", filepath.Join(l.bin.dir, "postgres")}, l.settings(s.port)...)
	cmd := exec.Command("/bin/sh", args...)
	l.user.run(cmd)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = read, log, log
	err = cmd.Start()
	_ = read.Close()
	if err != nil {
		return errors.Join(fmt.Errorf("devdb: run postgres as %s: %w", l.user.name, err), write.Close())
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	s.stop = func() error { return stopKeeper(cmd.Process.Pid, write, done) }
	if err := l.ready(ctx, s, done); err != nil {
		return errors.Join(err, s.Stop())
	}
	return nil
}

// ready waits for the first connection.
func (l *local) ready(ctx context.Context, s *Server, done <-chan struct{}) error {
	for {
		// postmaster.pid's eighth line says "ready": asking before is a failed connection in the server's log.
		if lines := l.pidFile(); len(lines) >= 8 && strings.HasPrefix(lines[7], "ready") {
			err := s.ping(ctx)
			if err == nil {
				return nil
			}
			if ctx.Err() != nil {
				return fmt.Errorf("devdb: connect to the new server: %w", err)
			}
		}
		select {
		case <-done:
			return l.failure()
		case <-ctx.Done():
			return fmt.Errorf("devdb: wait for postgres: %w; the end of its log: %s", context.Cause(ctx), l.logTail())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// failure explains a server that ended by itself.
func (l *local) failure() error {
	end := l.logTail()
	if strings.Contains(end, "could not bind") || strings.Contains(end, "could not create any TCP/IP sockets") {
		_ = os.Remove(l.portFile())
		return errPortTaken
	}
	return fmt.Errorf("devdb: postgres ended; the end of its log: %s", end)
}

func (l *local) logTail() string {
	text, err := os.ReadFile(l.logFile())
	if err != nil {
		return err.Error()
	}
	return tail(string(text))
}

// tail is the part of a log that an error shows.
func tail(text string) string {
	return strings.TrimSpace(text[max(0, len(text)-2000):])
}

// stopKeeper closes our end of the pipe and waits; a server that does not end is made to.
func stopKeeper(pid int, write *os.File, done <-chan struct{}) error {
	err := write.Close()
	for _, signal := range []syscall.Signal{syscall.SIGQUIT, syscall.SIGKILL} {
		select {
		case <-done:
			return err
		case <-time.After(stopBudget):
			err = errors.Join(err, fmt.Errorf("devdb: postgres did not stop within %s", stopBudget), syscall.Kill(-pid, signal))
		}
	}
	<-done
	return err
}

// tryLock takes the file's lock for as long as the file is open; nil when another process has it.
func tryLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("devdb: open lock: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, f.Close()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("devdb: lock %s: %w", path, err), f.Close())
	}
	return f, nil
}
