package sandbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"statek/internal/jsvm"
	"statek/internal/jsvm/lockdown"
)

// Mode says what a host must offer.
type Mode string

const (
	// Strict: every layer, or no cell runs.
	Strict Mode = "strict"
	// BestEffort: child processes with the layers that the host has.
	BestEffort Mode = "best-effort"
)

// Config of a Pool.
type Config struct {
	Mode Mode // default BestEffort
	// Children is how many processes there may be. Default: four for each core, at most one for each GiB of
	// memory, at least two.
	Children int
	// PerPrefix is how many of them one prefix may have. Default: the number of cores.
	PerPrefix int
	Logger    *slog.Logger
	// AddressSpace bounds the memory that a child can map, in bytes. Default 4 GiB.
	AddressSpace uint64

	// For tests: layers to leave out, another program to start, children that forget an open cell at once.
	skip      []lockdown.Layer
	binary    string
	forgetful bool
}

func (c Config) withDefaults() Config {
	if c.Mode == "" {
		c.Mode = BestEffort
	}
	if c.PerPrefix == 0 {
		c.PerPrefix = runtime.NumCPU()
	}
	if c.Children == 0 {
		c.Children = 4 * runtime.NumCPU()
		if total := memory(); total > 0 {
			c.Children = min(c.Children, int(total>>30))
		}
		c.Children = max(c.Children, 2)
	}
	if c.binary == "" {
		c.binary = self()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func (c Config) validate() error {
	switch {
	case c.Mode != Strict && c.Mode != BestEffort:
		return fmt.Errorf("sandbox: expected Mode to be %s or %s, got %q", Strict, BestEffort, c.Mode)
	case c.Children < 1 || c.PerPrefix < 1:
		return fmt.Errorf("sandbox: expected Children and PerPrefix to be positive, got %d and %d", c.Children, c.PerPrefix)
	case !hasMain.Load():
		return errors.New("sandbox: this program does not call SandboxMain first in main, so a copy of it would not serve as a child: call statek.SandboxMain there, or run cells in-process")
	}
	return nil
}

// Pool is a jsvm.Machine whose cells run in child processes.
type Pool struct {
	cfg    Config
	worlds worlds

	mu       sync.Mutex
	children map[*child]bool
	starting map[string]int // places that have been granted and hold no child yet, by prefix
	places   int            // all of these
	spare    *process
	waiting  line
	turn     uint64 // counts loans, for the least recently used
	session  uint32
	report   *lockdown.Report
	counts   Counts
	closed   bool
	work     sync.WaitGroup // goroutines of the pool
}

// Counts say what has happened since the pool was made.
type Counts struct {
	Started int // children
	Rebuilt int // sessions that went on in another child
	// CPU time of all requests, also of those that a child did not survive.
	CPU time.Duration
	// Deaths of children by cause: time, memory, stack, crash, protocol, starved.
	Deaths map[string]int
}

var errClosed = fmt.Errorf("%w: the pool of sandbox children is closed", jsvm.ErrUnavailable)

// New returns a pool. It starts no process yet; Check does.
func New(cfg Config) (*Pool, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Pool{cfg: cfg, worlds: worlds{last: map[string]encoded{}}, children: map[*child]bool{}, starting: map[string]int{}, counts: Counts{Deaths: map[string]int{}}}, nil
}

// Check starts a first child, so that a host which cannot run cells is known at once. It returns the layers
// that the host lacks.
func (p *Pool) Check(ctx context.Context) ([]lockdown.Missing, error) {
	if _, err := p.Analyze(ctx, "/", "0", jsvm.Limits{}); err != nil {
		return nil, err
	}
	_, missing := p.Layers()
	return missing, nil
}

// Layers are what the children have put on, and what the host lacks; nothing is known before the first one.
func (p *Pool) Layers() (applied []lockdown.Layer, missing []lockdown.Missing) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.report == nil {
		return nil, nil
	}
	return slices.Clone(p.report.Applied), slices.Clone(p.report.Missing)
}

// Counts returns what has happened so far, and how many children there are now.
func (p *Pool) Counts() (c Counts, children int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c = p.counts
	c.Deaths = map[string]int{}
	for cause, n := range p.counts.Deaths {
		c.Deaths[cause] = n
	}
	return c, len(p.children)
}

// start starts a child and looks at its layers.
func (p *Pool) start() (*process, error) {
	proc, report, err := launch(p.cfg.binary, start{AddressSpace: p.cfg.AddressSpace, Skip: p.cfg.skip})
	if err != nil {
		return nil, err
	}
	if p.cfg.Mode == Strict && len(report.Missing) > 0 {
		_ = proc.Close()
		return nil, &MissingError{report.Missing}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.report = &report
	p.counts.Started++
	return proc, nil
}

// MissingError: the host lacks layers that Strict demands.
type MissingError struct{ Missing []lockdown.Missing }

func (e *MissingError) Error() string {
	parts := make([]string, 0, len(e.Missing))
	for _, m := range e.Missing {
		parts = append(parts, fmt.Sprintf("%s (%s)", m.Layer, m.Why))
	}
	return "sandbox: this host lacks " + strings.Join(parts, ", ") + ": use another host, or the mode best-effort"
}

// Close ends all children. Sessions fail from then on.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	for _, w := range p.waiting.list {
		close(w.ready)
	}
	p.waiting = line{}
	var all []*process
	for c := range p.children {
		all = append(all, c.process)
	}
	if p.spare != nil {
		all = append(all, p.spare)
		p.spare = nil
	}
	p.mu.Unlock()
	for _, proc := range all {
		_ = proc.Close()
	}
	p.work.Wait()
}

// Analyze implements jsvm.Machine.
func (p *Pool) Analyze(ctx context.Context, prefix, source string, limits jsvm.Limits) (jsvm.Analysis, error) {
	limits = limits.WithDefaults()
	s := &session{pool: p, setup: jsvm.Setup{Prefix: prefix, Limits: limits}}
	rep, err := s.ask(ctx, limits.DrainTime+grace, func(bool) *request {
		return &request{Analyze: &analyze{Source: source, Limits: limits}}
	})
	var d *death
	switch {
	case errors.As(err, &d):
		return jsvm.Analysis{}, &jsvm.SyntaxError{Message: "the source cannot be parsed within the limits (" + string(d.cause) + "): make it simpler, or split it", Line: 1, Column: 1}
	case err != nil:
		return jsvm.Analysis{}, err
	case rep.Failure != nil:
		return jsvm.Analysis{}, rep.Failure.err()
	case rep.Analysis == nil:
		return jsvm.Analysis{}, errFrame
	}
	return *rep.Analysis, nil
}

// Open implements jsvm.Machine. The VM is made with the first cell.
func (p *Pool) Open(ctx context.Context, setup jsvm.Setup) (jsvm.Session, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("sandbox: open session: %w", context.Cause(ctx))
	}
	text, err := p.worlds.encode(setup)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errClosed
	}
	p.session++
	return &session{pool: p, id: p.session, setup: setup, world: text, limits: setup.Limits.WithDefaults()}, nil
}

// grace is what a child has beyond a cell's own limits: to notice them itself, and to read the workspace.
const grace = 500 * time.Millisecond
