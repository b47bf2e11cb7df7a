package sandbox

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"statek/internal/jsvm"
	"statek/internal/jsvm/lockdown"
)

// childName is what a child is called in the list of processes, and how Main knows that it is one.
const childName = "statek-sandbox"

// How a child ends by itself.
const (
	exitOver   = 0  // the parent closed the pipe
	exitBroken = 70 // the pipe broke
	exitMemory = 77 // the heap grew past the limit
)

// main: this process has called Main, so a copy of it will serve.
var hasMain atomic.Bool //nolint:gochecknoglobals // a fact about the process

// Main makes this process a sandbox child when it was started as one, and then never returns. Otherwise it
// returns at once. Call it first in main, before flags are read or anything is started, and first in TestMain.
func Main() {
	if len(os.Args) == 0 || os.Args[0] != childName {
		hasMain.Store(true)
		return
	}
	os.Exit(serve(pipes(os.Stdin, os.Stdout)))
}

// server is what a child does: it runs cells.
type server struct {
	machine  *jsvm.InProcess
	sessions map[uint32]jsvm.Session
	limits   map[uint32]jsvm.Limits
	worlds   map[string]*world // by how they travel
	parent   int
	aimed    int64 // the collector's limit
	used     int64 // of the heap, when the last request was done
}

// serve answers requests until the pipe ends.
func serve(in io.Reader, out io.Writer) int {
	jsvm.PinUTC()
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(garbage)
	debug.SetMaxStack(64 << 20) // a cell's own calls are bounded far below
	c := &server{
		machine: jsvm.NewInProcess(), sessions: map[uint32]jsvm.Session{}, limits: map[uint32]jsvm.Limits{}, worlds: map[string]*world{},
		parent: os.Getppid(),
	}
	c.machine.Clock = cpuTime
	c.measure()
	in = bufio.NewReader(in)
	for {
		var req request
		if err := readFrame(in, maxRequest, &req); err != nil {
			if errors.Is(err, io.EOF) {
				return exitOver
			}
			return exitBroken
		}
		if err := writeFrame(out, c.answer(&req)); err != nil {
			return exitBroken
		}
	}
}

// garbage is how much of a child's heap may be garbage, in percent of what is not, before it is collected: a cell
// leaves much behind and keeps little. What a request may add is bounded by the collector's limit all the same.
const garbage = 400

// maxRequest only guards against nonsense: the parent is trusted.
const maxRequest = 1 << 30

// cpuTime is what this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (c *server) answer(req *request) *reply {
	rep := &reply{Number: req.Number, Session: req.Session}
	for _, id := range req.Forget {
		c.forget(id)
	}
	if req.Start != nil {
		report := lockdown.Apply(lockdown.Config{AddressSpace: req.Start.AddressSpace, Skip: req.Start.Skip})
		rep.Report = &report
		return rep
	}
	stop := c.watch(c.memory(req))
	defer stop()
	if err := c.do(req, rep); err != nil {
		rep.Step, rep.Changes, rep.Failure = nil, nil, wrapFailure(err)
		c.forget(req.Session)
	}
	rep.Heap = c.measure()
	return rep
}

func (c *server) forget(id uint32) {
	if s := c.sessions[id]; s != nil {
		s.Close()
	}
	delete(c.sessions, id)
	delete(c.limits, id)
}

// do performs a request. Nobody cancels it: the parent kills.
func (c *server) do(req *request, rep *reply) error {
	ctx := context.Background()
	if req.Analyze != nil {
		analysis, err := c.machine.Analyze(ctx, "", req.Analyze.Source, req.Analyze.Limits)
		rep.Analysis = &analysis
		return err
	}
	if req.Open != nil {
		if err := c.open(ctx, req); err != nil {
			return err
		}
	}
	s := c.sessions[req.Session]
	if s == nil {
		return fmt.Errorf("%w: it is not here", jsvm.ErrSession)
	}
	step, err := drive(ctx, s, req)
	if err != nil {
		return err
	}
	rep.Step = &step
	switch step.State {
	case jsvm.Done, jsvm.Failed:
		changes, err := s.Changes(ctx)
		if err != nil {
			return err
		}
		rep.Changes = &changes
	case jsvm.Aborted:
		c.forget(req.Session)
	}
	return nil
}

func (c *server) open(ctx context.Context, req *request) error {
	w, err := c.world(req.Open.World)
	if err != nil {
		return err
	}
	s, err := c.machine.Open(ctx, jsvm.Setup{
		Prefix: req.Open.Prefix, Engine: req.Open.Engine, Grants: w.Grants, Limits: w.Limits, Variables: req.Open.Variables,
	})
	if err != nil {
		return err
	}
	c.sessions[req.Session], c.limits[req.Session] = s, w.Limits
	return nil
}

// mostWorlds bounds those that are remembered.
const mostWorlds = 16

func (c *server) world(text []byte) (*world, error) {
	if w := c.worlds[string(text)]; w != nil {
		return w, nil
	}
	w := &world{}
	if err := decoding.Unmarshal(text, w); err != nil {
		return nil, fmt.Errorf("%w: %w", errFrame, err)
	}
	if len(c.worlds) >= mostWorlds {
		clear(c.worlds)
	}
	c.worlds[string(text)] = w
	return w, nil
}

// drive runs a cell, or goes on with it, and puts the steps together.
func drive(ctx context.Context, s jsvm.Session, req *request) (jsvm.Step, error) {
	var all jsvm.Step
	if req.Run != nil {
		step, err := s.Run(ctx, *req.Run)
		if err != nil {
			return jsvm.Step{}, err
		}
		if len(req.Deliver) == 0 {
			return step, nil
		}
		if all = step; step.State != jsvm.Pending {
			return jsvm.Step{}, &jsvm.DivergedError{Call: req.Deliver[0].Call, Want: "a delivery", Got: "the cell ended as " + string(step.State)}
		}
	}
	step, err := s.Deliver(ctx, req.Deliver...)
	if err != nil {
		return jsvm.Step{}, err
	}
	step.Calls = slices.Concat(all.Calls, step.Calls)
	step.Sets = slices.Concat(all.Sets, step.Sets)
	step.Console = slices.Concat(all.Console, step.Console)
	if step.Transformed == "" {
		step.Transformed = all.Transformed
	}
	return step, nil
}

// memory is what the request may add to the heap.
func (c *server) memory(req *request) int64 {
	limits, ok := c.limits[req.Session]
	switch {
	case req.Open != nil:
		if w, err := c.world(req.Open.World); err == nil { // an error is told by who opens
			limits = w.Limits
		}
	case !ok && req.Analyze != nil:
		limits = req.Analyze.Limits
	}
	return limits.WithDefaults().MemoryBytes
}

// aim sets the collector's limit, in steps: each change stops the world.
func (c *server) aim(limit int64) {
	const step = 64 << 20
	if limit = (limit + step - 1) / step * step; limit != c.aimed {
		c.aimed = limit
		debug.SetMemoryLimit(limit)
	}
}

const (
	usedHeap = "/memory/classes/heap/objects:bytes"
	liveHeap = "/gc/heap/live:bytes"
)

func read(metric string) int64 {
	sample := []metrics.Sample{{Name: metric}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}

// measure looks at the heap after a request: what is used then is what the next one adds to.
func (c *server) measure() (live int64) {
	samples := []metrics.Sample{{Name: usedHeap}, {Name: liveHeap}}
	metrics.Read(samples)
	c.used = int64(samples[0].Value.Uint64())
	return int64(samples[1].Value.Uint64())
}

// watch ends the process when its heap grows past the limit, and when nobody would read its answer. The
// collector works harder as the heap comes near the limit; a quarter more is the end.
func (c *server) watch(limit int64) (stop func()) {
	base := c.used
	c.aim(base + limit)
	const each = 10 * time.Millisecond
	var over atomic.Bool
	var timer *time.Timer
	ready := make(chan struct{})
	timer = time.AfterFunc(each, func() {
		<-ready
		if read(usedHeap) > base+limit+limit/4 {
			os.Exit(exitMemory)
		}
		if os.Getppid() != c.parent {
			os.Exit(exitOver)
		}
		if timer.Reset(each); over.Load() {
			timer.Stop()
		}
	})
	close(ready)
	return func() { over.Store(true); timer.Stop() }
}
