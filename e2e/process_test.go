package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for an event that must come.
const patience = 30 * time.Second

// process is a program under test.
type process struct {
	t    testing.TB
	name string
	cmd  *exec.Cmd
	out  *transcript
	done chan struct{} // closed when it has ended
}

// start runs a program that is killed when the test ends. env is all of its environment but PATH and HOME.
func start(t testing.TB, name string, env []string, args ...string) *process {
	t.Helper()
	p := &process{t: t, name: name, out: newTranscript(), done: make(chan struct{})}
	p.cmd = exec.Command(program(t, name), args...)
	p.cmd.Env = append([]string{"PATH=" + lookup("PATH"), "HOME=" + lookup("HOME")}, env...)
	p.cmd.Dir = ".."
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	p.cmd.SysProcAttr = attributes()
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // its code is in ProcessState
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			fmt.Fprintf(t.Output(), "--- %s (pid %d) wrote:\n%s", p.name, p.cmd.Process.Pid, p.out)
		}
	})
	return p
}

// kill ends the process as kill -9 does, and waits for its end. A stopped process dies too.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.done
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !p.ended() {
		p.t.Errorf("signal %s: %v", p.name, err)
	}
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// code waits for the process to end by itself, and returns its exit code.
func (p *process) code() int {
	p.t.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		p.t.Fatalf("%s did not end within %s", p.name, patience)
		return -1
	}
}

// run runs a program to its end and returns what it wrote.
func run(t testing.TB, want int, name string, env []string, args ...string) string {
	t.Helper()
	p := start(t, name, env, args...)
	if got := p.code(); got != want {
		t.Fatalf("%s %v: got exit %d, want %d: %s", name, args, got, want, p.out)
	}
	return p.out.String()
}

// logged waits for a line of the log with this message, after those already seen, and returns its attributes.
func (p *process) logged(messages ...string) map[string]any {
	p.t.Helper()
	over := time.After(patience)
	for {
		line, more := p.out.next()
		if line != "" {
			var record map[string]any
			if json.Unmarshal([]byte(line), &record) == nil && slices.ContainsFunc(messages, func(m string) bool { return record["msg"] == m }) {
				return record
			}
			continue
		}
		select {
		case <-more:
		case <-p.done:
			if line, _ := p.out.next(); line == "" {
				p.t.Fatalf("%s ended before it logged %q", p.name, messages)
			}
		case <-over:
			p.t.Fatalf("%s has not logged %q within %s", p.name, messages, patience)
		}
	}
}

// transcript keeps what a process writes, and tells when there is more.
type transcript struct {
	mu   sync.Mutex // guards what follows
	text bytes.Buffer
	seen int           // up to here, next has returned lines
	more chan struct{} // closed by the next write
}

func newTranscript() *transcript { return &transcript{more: make(chan struct{})} }

func (s *transcript) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.more)
	s.more = make(chan struct{})
	return s.text.Write(b)
}

func (s *transcript) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// next returns the next whole line, or "" and a channel that is closed when there may be one.
func (s *transcript) next() (string, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	line, _, whole := bytes.Cut(s.text.Bytes()[s.seen:], []byte("\n"))
	if !whole {
		return "", s.more
	}
	s.seen += len(line) + 1
	if len(line) == 0 {
		return " ", nil
	}
	return string(line), nil
}

func (s *transcript) lines() int { return strings.Count(s.String(), "\n") }
