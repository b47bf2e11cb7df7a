package sandbox

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"statek/internal/jsvm"
	"statek/internal/jsvm/lockdown"
)

// process is one child, seen from the parent.
type process struct {
	proc    *os.Process
	in, out *os.File
	read    *bufio.Reader // from out
	number  uint64
	gone    chan struct{} // it has been reaped

	mu     sync.Mutex
	reason error  // why we killed it
	said   []byte // the beginning of what it wrote to standard error: Go gives the reason first
	state  *os.ProcessState
}

// death says why a child ended. It is what a cell may be blamed for.
type death struct {
	cause cause
	// detail is for logs: it may quote the child.
	detail string
	used   time.Duration // CPU time of the request
}

type cause string

const (
	tooLong  cause = "time"     // it used its CPU time, and did not answer
	tooLarge cause = "memory"   // its heap grew past the limit, or one allocation did
	tooDeep  cause = "stack"    // native code recursed too deeply
	crashed  cause = "crash"    // it ended, nobody knows why
	lied     cause = "protocol" // it sent what no child sends
	starved  cause = "starved"  // it neither answered nor used its CPU time
)

func (d *death) Error() string { return fmt.Sprintf("sandbox: child ended: %s: %s", d.cause, d.detail) }

// startTime bounds how long a child may take to say that it is ready.
const startTime = 20 * time.Second

// launch starts a child and waits until it has locked itself down.
func launch(binary string, cfg start) (*process, lockdown.Report, error) {
	p, err := spawn(binary)
	if err != nil {
		return nil, lockdown.Report{}, err
	}
	rep, err := p.exchange(context.Background(), &request{Start: &cfg}, startTime, 1<<20)
	if err == nil && rep.Report == nil {
		err = errFrame
	}
	if err != nil {
		p.kill(err)
		<-p.gone
		return nil, lockdown.Report{}, fmt.Errorf("%w: start a sandbox child: %v", jsvm.ErrUnavailable, err) //nolint:errorlint // its death is nobody's fault
	}
	return p, *rep.Report, nil
}

// spawn starts a child with nothing but three pipes: no environment, no other descriptor, a process group of
// its own, so that a signal from the terminal is not for it.
func spawn(binary string) (*process, error) {
	var files [6]*os.File // in, out and errors: their end, our end
	closeAll := func(from int) {
		for i := from; i < len(files); i += 2 {
			_ = files[i].Close()
		}
	}
	for i := 0; i < len(files); i += 2 {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, fmt.Errorf("%w: make a pipe: %w", jsvm.ErrUnavailable, err)
		}
		if files[i], files[i+1] = r, w; i > 0 {
			files[i], files[i+1] = w, r
		}
	}
	defer closeAll(0)
	proc, err := os.StartProcess(binary, []string{childName}, &os.ProcAttr{
		Dir: "/", Env: []string{}, Files: []*os.File{files[0], files[2], files[4]}, Sys: &syscall.SysProcAttr{Setpgid: true},
	})
	if err != nil {
		closeAll(1)
		return nil, fmt.Errorf("%w: start a sandbox child: %w", jsvm.ErrUnavailable, err)
	}
	p := &process{proc: proc, in: files[1], out: files[3], read: bufio.NewReader(files[3]), gone: make(chan struct{})}
	go p.attend(files[5])
	return p, nil
}

// attend keeps the beginning of what the child says on standard error until it ends, then reaps it.
func (p *process) attend(errors *os.File) {
	defer close(p.gone)
	const most = 4 << 10
	chunk := make([]byte, 4<<10)
	for {
		n, err := errors.Read(chunk)
		p.mu.Lock()
		p.said = append(p.said, chunk[:min(n, most-len(p.said))]...)
		p.mu.Unlock()
		if err != nil {
			break
		}
	}
	_ = errors.Close()
	state, _ := p.proc.Wait()
	_, _ = p.in.Close(), p.out.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = state
}

// kill ends the child; the first reason counts.
func (p *process) kill(reason error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reason == nil {
		p.reason = reason
	}
	if p.state == nil {
		_ = p.proc.Kill()
	}
}

func (p *process) alive() bool {
	select {
	case <-p.gone:
		return false
	default:
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.reason == nil
	}
}

// exchange sends a request and reads the answer, of at most limit bytes. The child is killed when it has used
// the CPU time given and has not answered, when it gets no CPU for many times that, and when ctx ends. Any
// error means that it is dead or will be: a *death, or the cause of ctx.
func (p *process) exchange(ctx context.Context, req *request, cpu time.Duration, limit int64) (*reply, error) {
	p.number++
	req.Number = p.number
	began := p.used()
	watchdog := p.watch(began, cpu)
	defer watchdog()
	release := context.AfterFunc(ctx, func() { p.kill(context.Cause(ctx)) })
	defer release()
	err := writeFrame(p.in, req)
	rep := &reply{}
	if err == nil {
		err = readFrame(p.read, limit, rep)
	}
	if err == nil && (rep.Number != req.Number || rep.Session != req.Session) {
		err = fmt.Errorf("%w: it answers request %d of session %d, asked was %d of %d", errFrame, rep.Number, rep.Session, req.Number, req.Session)
	}
	if err == nil {
		rep.used = max(p.used()-began, 0)
		return rep, nil
	}
	if errors.Is(err, errFrame) {
		p.kill(&death{cause: lied, detail: err.Error()})
	} else {
		p.kill(nil)
	}
	<-p.gone
	return nil, p.autopsy(err, began)
}

// watch kills the child when it has used its CPU time. A machine that is busy gives it time more slowly, but
// not for ever.
func (p *process) watch(began, cpu time.Duration) (stop func()) {
	const patience = 10
	start := time.Now()
	var mu sync.Mutex
	var timer *time.Timer
	over := false
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(cpu, func() {
		mu.Lock()
		defer mu.Unlock()
		if over {
			return
		}
		used, wall := p.used()-began, time.Since(start)
		switch {
		case used >= cpu:
			p.kill(&death{cause: tooLong, detail: fmt.Sprintf("no answer after %s of CPU time", used)})
		case wall > patience*cpu+startTime:
			p.kill(&death{cause: starved, detail: fmt.Sprintf("no answer after %s, of which it computed for %s", wall, used)})
		default:
			timer.Reset(max(cpu-used, 5*time.Millisecond))
		}
	})
	return func() {
		mu.Lock()
		defer mu.Unlock()
		over = true
		timer.Stop()
	}
}

// autopsy tells why the child is dead.
func (p *process) autopsy(err error, began time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var used time.Duration
	if p.state != nil {
		used = max(p.state.UserTime()+p.state.SystemTime()-began, 0)
	}
	var d *death
	switch {
	case errors.As(p.reason, &d):
		return &death{cause: d.cause, detail: d.detail, used: used}
	case p.reason != nil:
		return p.reason
	}
	out := &death{cause: crashed, detail: fmt.Sprintf("%v: %s", p.state, firstLine(p.said)), used: used}
	said := func(text string) bool { return bytes.Contains(p.said, []byte(text)) }
	switch {
	case p.state != nil && p.state.ExitCode() == exitMemory:
		out.cause = tooLarge
	case said("out of memory"), said("cannot allocate memory"):
		out.cause = tooLarge
	case said("stack overflow"), said("goroutine stack exceeds"):
		out.cause = tooDeep
	case p.state == nil:
		out.detail = err.Error()
	}
	return out
}

func firstLine(text []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	return strings.ToValidUTF8(line[:min(len(line), 200)], "?")
}

// Close ends the child and waits until it is gone.
func (p *process) Close() error {
	p.kill(errClosed)
	<-p.gone
	return nil
}
