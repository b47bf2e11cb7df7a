package sandbox

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"statek/internal/jsvm"
)

func TestACellRunsInAChild(t *testing.T) {
	t.Parallel()
	p := newPool(t, Config{})
	s := open(t, p, jsvm.Setup{})
	step := run(t, s, "let n = 1; n += await fetchIt(41); print('is', n); n")
	if step.State != jsvm.Done || step.Echo != "42" || len(step.Console) != 1 {
		t.Fatalf("%+v", step)
	}
	changes, err := s.Changes(t.Context())
	if err != nil || len(changes.Set) != 1 || string(changes.Set[0].Value) != "42" {
		t.Fatalf("%+v %v", changes, err)
	}
	applied, missing := p.Layers()
	t.Logf("applied %v, missing %v", applied, missing)
}

// TestAKilledChildIsNotNoticed kills the child before each delivery.
func TestAKilledChildIsNotNoticed(t *testing.T) {
	t.Parallel()
	const source = "class P { constructor(n) { this.n = n } }; const all = []; try { for (let i = 0; i < 5; i++) { all.push(new P(await fetchIt(i))); print(i, Math.random(), Date.now()) } } finally { print('end', await search('last')) } all.length"
	play := func(kill bool) (jsvm.Step, jsvm.Changes) {
		p := newPool(t, Config{})
		s := open(t, p, jsvm.Setup{Variables: []jsvm.Variable{{Name: "old", Value: []byte(`{"a":1}`)}}})
		step, err := s.Run(t.Context(), jsvm.Cell{Number: 3, Source: source, Seed: 9, Now: 1_700_000_000_000})
		console := step.Console
		for i := 0; err == nil && step.State == jsvm.Pending; i++ {
			if kill {
				killAll(p)
			}
			call := step.Calls[0]
			d := answer(call)
			d.Now = 1_700_000_000_000 + int64(i)*1000
			step, err = s.Deliver(t.Context(), d)
			console = append(console, step.Console...)
		}
		if err != nil {
			t.Fatal(err)
		}
		step.Console = console
		changes, err := s.Changes(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if counts, _ := p.Counts(); kill && counts.Rebuilt != 6 {
			t.Errorf("%+v", counts)
		}
		return step, changes
	}
	step, changes := play(false)
	again, changesAgain := play(true)
	if diff := cmp.Diff(step, again); diff != "" {
		t.Errorf("the step differs (-undisturbed +killed):\n%s", diff)
	}
	if diff := cmp.Diff(changes, changesAgain); diff != "" {
		t.Errorf("the workspace differs (-undisturbed +killed):\n%s", diff)
	}
}

// killAll ends all children as the kernel would.
func killAll(p *Pool) {
	p.mu.Lock()
	var all []*child
	for c := range p.children {
		all = append(all, c)
	}
	p.mu.Unlock()
	for _, c := range all {
		_ = c.proc.Kill()
		<-c.gone
	}
}

// TestPrefixesShareNoChild: each prefix has its own, also when there are too few places.
func TestPrefixesShareNoChild(t *testing.T) {
	t.Parallel()
	p := newPool(t, Config{Children: 2, PerPrefix: 1})
	served := map[int]string{}
	for round := range 3 {
		for i := range 5 {
			prefix := fmt.Sprintf("/tenant%d", i)
			s := open(t, p, jsvm.Setup{Prefix: prefix})
			if step := run(t, s, "await fetchIt(1) + 1"); step.Echo != "2" {
				t.Fatalf("%d %s: %+v", round, prefix, step)
			}
			p.mu.Lock()
			if len(p.children) > 2 {
				t.Errorf("%d children, 2 may be", len(p.children))
			}
			for c := range p.children {
				if was, ok := served[c.proc.Pid]; ok && was != c.prefix {
					t.Errorf("child %d serves %s and %s", c.proc.Pid, was, c.prefix)
				}
				served[c.proc.Pid] = c.prefix
			}
			p.mu.Unlock()
		}
	}
}

// TestACrowdSharesTheChildrenOfItsPrefix: those who come while the first child is being started get none of their own.
func TestACrowdSharesTheChildrenOfItsPrefix(t *testing.T) {
	t.Parallel()
	p := newPool(t, Config{Children: 4, PerPrefix: 1})
	var all errgroup.Group
	for range 20 {
		all.Go(func() error {
			s, err := p.Open(t.Context(), jsvm.Setup{Prefix: "/crowd", Grants: grants})
			if err != nil {
				return err
			}
			defer s.Close()
			step, err := s.Run(t.Context(), jsvm.Cell{Number: 1, Source: "6 * 7"})
			if err == nil && step.Echo != "42" {
				err = fmt.Errorf("%+v", step)
			}
			return err
		})
	}
	if err := all.Wait(); err != nil {
		t.Error(err)
	}
	if _, children := p.Counts(); children != 1 {
		t.Errorf("%d children, 1 may be", children)
	}
}

// TestManyAtOnce drives many sessions of several prefixes over few children.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	p := newPool(t, Config{Children: 3, PerPrefix: 2})
	var group errgroup.Group
	for i := range 60 {
		s := open(t, p, jsvm.Setup{Prefix: fmt.Sprintf("/tenant%d", i%4)})
		group.Go(func() error {
			step, err := s.Run(t.Context(), jsvm.Cell{Number: 1, Source: fmt.Sprintf("let n = %d; for (let i = 0; i < 5; i++) n += await fetchIt(i); n", i)})
			if err == nil {
				step, err = finish(t.Context(), s, step)
			}
			if err == nil && step.Echo != fmt.Sprint(i+10) {
				err = fmt.Errorf("session %d ended with %+v", i, step)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
}

// TestACancelledDriveEndsAtOnce: the child that is busy with it is killed; its other sessions live on.
func TestACancelledDriveEndsAtOnce(t *testing.T) {
	t.Parallel()
	p := newPool(t, Config{PerPrefix: 1})
	other := live(t, p, 1)[0]
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("the job was cancelled")
	s := open(t, p, jsvm.Setup{Limits: jsvm.Limits{DrainTime: time.Minute}})
	ended := make(chan error, 1)
	go func() {
		_, err := s.Run(ctx, jsvm.Cell{Number: 1, Source: "for (;;);"})
		ended <- err
	}()
	for busy := false; !busy; {
		p.mu.Lock()
		for c := range p.children {
			busy = busy || c.busy
		}
		p.mu.Unlock()
		runtime.Gosched()
	}
	cancel(cause)
	if err := <-ended; !errors.Is(err, cause) {
		t.Errorf("got %v, want %v", err, cause)
	}
	other.goOn(t)
	if _, err := s.Deliver(t.Context(), jsvm.Delivery{Call: 1, Value: []byte("1")}); !errors.Is(err, jsvm.ErrSession) {
		t.Errorf("a session that was cancelled goes on: %v", err)
	}
}

// TestASessionLeavesNothingBehind: a session whose child is busy for long goes on in another one. The VM that it has left
// is where it was, and never used again.
func TestASessionLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	p := newPool(t, Config{PerPrefix: 2})
	s := open(t, p, jsvm.Setup{})
	step, err := s.Run(t.Context(), jsvm.Cell{Number: 1, Source: "let n = 0; for (let i = 0; i < 30; i++) n += await fetchIt(i); n"})
	if err != nil {
		t.Fatal(err)
	}
	const stranger = 1 << 31
	home, _, err := p.borrow(t.Context(), "/acme", stranger, false)
	if err != nil {
		t.Fatal(err)
	}
	step, err = s.Deliver(t.Context(), answer(step.Calls[0])) // after a while elsewhere
	p.giveBack(home, stranger, false, nil, 1)
	if err == nil {
		step, err = finish(t.Context(), s, step) // both are free
	}
	if err != nil || step.Echo != "435" {
		t.Errorf("got %+v and %v, want the sum 435", step, err)
	}
	if counts, _ := p.Counts(); counts.Rebuilt != 1 {
		t.Errorf("rebuilt %d times, want once", counts.Rebuilt)
	}
}

// TestTheInnocentIsNotBlamed: a cell whose child dies of its neighbours' memory is run again alone.
func TestTheInnocentIsNotBlamed(t *testing.T) {
	t.Parallel()
	p := newPool(t, Config{PerPrefix: 1})
	neighbours := live(t, p, 3)
	s := open(t, p, jsvm.Setup{})
	ended := make(chan jsvm.Step, 1)
	go func() { ended <- run(t, s, "let n = 0; while (n < 3e6) n++; n") }()
	for killed := false; !killed; {
		p.mu.Lock()
		for c := range p.children {
			if _, here := c.sessions[s.(*session).id]; c.busy && !here {
				_ = c.proc.Kill()
				killed = true
			}
		}
		p.mu.Unlock()
		runtime.Gosched()
	}
	if step := <-ended; step.Echo != "3000000" {
		t.Errorf("%+v", step)
	}
	for _, n := range neighbours {
		n.goOn(t)
	}
}

// TestAnalysisIsDoneInAChild: free names, syntax errors with their place, and bombs.
func TestAnalysisIsDoneInAChild(t *testing.T) {
	t.Parallel()
	p := newPool(t, Config{})
	a, err := p.Analyze(t.Context(), "/acme", "const x: number = await pick(queue); x + y", jsvm.Limits{})
	if diff := cmp.Diff([]string{"pick", "queue", "y"}, a.Free); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	var syntax *jsvm.SyntaxError
	if _, err := p.Analyze(t.Context(), "/acme", "let a = 1;\nlet b = ;", jsvm.Limits{}); !errors.As(err, &syntax) || syntax.Line != 2 || syntax.Column != 9 {
		t.Errorf("%v", err)
	}
	if _, err := p.Analyze(t.Context(), "/acme", strings.Repeat("(", 1e6), jsvm.Limits{}); !errors.As(err, &syntax) || !strings.Contains(syntax.Message, "source_bytes") {
		t.Errorf("%v", err)
	}
}

// TestErrorsKeepTheirMeaning across the pipe.
func TestErrorsKeepTheirMeaning(t *testing.T) {
	t.Parallel()
	p := newPool(t, Config{})
	if _, err := open(t, p, jsvm.Setup{Engine: 99}).Run(t.Context(), jsvm.Cell{Source: "1"}); !errors.Is(err, jsvm.ErrEngine) {
		t.Errorf("%v", err)
	}
	var diverged *jsvm.DivergedError
	cell := jsvm.Cell{Source: "await fetchIt(2)", Recorded: []jsvm.Call{{ID: 1, Name: "fetchIt", Args: []byte("[1]")}}}
	if _, err := open(t, p, jsvm.Setup{}).Run(t.Context(), cell); !errors.As(err, &diverged) || diverged.Call != 1 {
		t.Errorf("%v", err)
	}
	if step := run(t, open(t, p, jsvm.Setup{}), "let x = ;"); step.State != jsvm.Failed || step.Err.Name != "SyntaxError" {
		t.Errorf("%+v", step)
	}
	p.Close()
	if _, err := p.Open(t.Context(), jsvm.Setup{}); !errors.Is(err, errClosed) {
		t.Errorf("%v", err)
	}
}
