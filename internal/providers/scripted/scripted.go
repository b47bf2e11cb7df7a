package scripted

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"time"

	"statek/internal/providers"
)

// Name is the provider's name.
const Name = "SCRIPTED"

// Provider plays files. Files are read at every request, so an edit needs no restart.
type Provider struct {
	dir    fs.FS
	logger *slog.Logger

	mu sync.Mutex
	// failed counts the failures already played for a (job, turn); entries go when the reply is given.
	failed map[attempt]int
}

type attempt struct {
	job  string
	turn int
}

// New plays the files in dir. A nil logger logs nothing.
func New(dir fs.FS, logger *slog.Logger) *Provider {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Provider{dir: dir, logger: logger, failed: map[attempt]int{}}
}

// Name implements providers.Provider.
func (p *Provider) Name() string { return Name }

// Complete implements providers.Provider.
func (p *Provider) Complete(ctx context.Context, req providers.Request) (providers.Reply, error) {
	file := req.Agent + ".md"
	script, err := p.read(file)
	if err != nil {
		return providers.Reply{}, err
	}
	if failure := p.nextFailure(script, req); failure != nil {
		return providers.Reply{}, failure.error(file)
	}
	if req.Turn < 1 || req.Turn > len(script.replies) {
		return providers.Reply{}, refuse(fmt.Sprintf("turn %d was asked of %s, which has %s", req.Turn, file,
			counted(len(script.replies))), nil)
	}
	reply := script.replies[req.Turn-1]
	if err := wait(ctx, reply.delay); err != nil {
		return providers.Reply{}, err
	}
	p.forget(req)
	p.logger.LogAttrs(ctx, slog.LevelInfo, "scripted provider: no model was asked",
		slog.String("agent", req.Agent), slog.String("job_id", req.Job), slog.Int("turn", req.Turn),
		slog.String("file", file))
	return providers.Reply{Text: reply.text, Note: fmt.Sprintf("scripted reply %d of %d from %s; no model was asked",
		req.Turn, len(script.replies), file)}, nil
}

func (p *Provider) read(file string) (script, error) {
	if p.dir == nil {
		return script{}, refuse("there is no folder of scripts", nil)
	}
	if !fs.ValidPath(file) || strings.ContainsAny(file, `/\`) {
		return script{}, refuse(fmt.Sprintf("%q is no file name for an agent's script", file), nil)
	}
	text, err := fs.ReadFile(p.dir, file)
	if errors.Is(err, fs.ErrNotExist) {
		return script{}, refuse(fmt.Sprintf("there is no file %s; write one with a reply per turn", file), err)
	}
	if err != nil {
		return script{}, refuse("cannot read "+file, err)
	}
	s, err := parse(string(text))
	if err != nil {
		return script{}, refuse(file+": "+err.Error(), nil)
	}
	return s, nil
}

// nextFailure takes the next failure that stands before the turn's reply; nil when all were played.
func (p *Provider) nextFailure(s script, req providers.Request) *failure {
	var due []failure
	switch {
	case req.Turn >= 1 && req.Turn <= len(s.replies):
		due = s.replies[req.Turn-1].before
	case req.Turn == len(s.replies)+1:
		due = s.after
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	key := attempt{job: req.Job, turn: req.Turn}
	n := p.failed[key]
	if n >= len(due) {
		return nil
	}
	p.failed[key] = n + 1
	return &due[n]
}

func (p *Provider) forget(req providers.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.failed, attempt{job: req.Job, turn: req.Turn})
}

func wait(ctx context.Context, delay time.Duration) error {
	if delay <= 0 && ctx.Err() == nil {
		return nil
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		return refuse("the request was cancelled", context.Cause(ctx))
	}
	return nil
}

func refuse(message string, cause error) error {
	return &providers.Error{Provider: Name, Message: message, Err: cause}
}

func counted(n int) string {
	if n == 1 {
		return "1 reply"
	}
	return fmt.Sprintf("%d replies", n)
}
