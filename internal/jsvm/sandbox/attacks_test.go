package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"statek/internal/jsvm"
)

// attack is one entry of testdata/attacks.json: a text, or pieces to repeat.
type attack struct {
	Name   string
	Source string
	Repeat [][2]any
}

func (a attack) text() string {
	var b strings.Builder
	b.WriteString(a.Source)
	for _, piece := range a.Repeat {
		text, _ := piece[0].(string)
		times, _ := piece[1].(float64)
		b.WriteString(strings.Repeat(text, int(times)))
	}
	return b.String()
}

// neighbour is an innocent session that goes on all the time.
type neighbour struct {
	session jsvm.Session
	call    jsvm.Call
	sum     int
}

// live opens sessions that each wait for a result.
func live(t *testing.T, m jsvm.Machine, n int) []*neighbour {
	t.Helper()
	var all []*neighbour
	for i := range n {
		s := open(t, m, jsvm.Setup{})
		step, err := s.Run(t.Context(), jsvm.Cell{Number: 1, Now: 1_700_000_000_000, Seed: uint64(i), Source: fmt.Sprintf(
			"const seen = new Map([['start', %d]]); let sum = %d; for (let i = 1; ; i++) { sum += await fetchIt(i); seen.set(i, Math.random()); print(sum, seen.size) }", i, i)})
		if err != nil || step.State != jsvm.Pending || len(step.Calls) != 1 {
			t.Fatalf("%+v %v", step, err)
		}
		all = append(all, &neighbour{session: s, call: step.Calls[0], sum: i})
	}
	return all
}

// goOn delivers one result and checks what comes of it.
func (n *neighbour) goOn(t *testing.T) {
	t.Helper()
	i := n.call.ID
	n.sum += i
	step, err := n.session.Deliver(t.Context(), answer(n.call))
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("%d %d", n.sum, i+1)
	if len(step.Console) != 1 || step.Console[0] != want || len(step.Calls) != 1 || step.Calls[0].ID != i+1 {
		t.Fatalf("got %+v, want the line %q and call %d", step, want, i+1)
	}
	n.call = step.Calls[0]
}

// resident is the memory of this process and of its children, in bytes.
func resident() (self, children int64) {
	page := int64(os.Getpagesize())
	rss := func(pid string) int64 {
		text, err := os.ReadFile("/proc/" + pid + "/statm")
		if err != nil {
			return 0
		}
		fields := strings.Fields(string(text))
		if len(fields) < 2 {
			return 0
		}
		n, _ := strconv.ParseInt(fields[1], 10, 64)
		return n * page
	}
	tasks, _ := filepath.Glob("/proc/self/task/*/children")
	for _, task := range tasks {
		list, _ := os.ReadFile(task)
		for _, pid := range strings.Fields(string(list)) {
			children += rss(pid)
		}
	}
	return rss("self"), children
}

// peak watches memory until stopped.
func peak(t *testing.T) (reset func(), most func() (self, all int64)) {
	t.Helper()
	var self, all atomic.Int64
	done := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(15 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				a, b := resident()
				self.Store(max(self.Load(), a))
				all.Store(max(all.Load(), a+b))
			}
		}
	}()
	t.Cleanup(func() { close(done); <-ended })
	return func() { self.Store(0); all.Store(0) }, func() (int64, int64) { return self.Load(), all.Load() }
}

// TestAttacksAreContained runs hostile scripts in a child that also holds twenty live sessions: each attack
// ends within its limit and a second, memory stays bounded, and no neighbour notices.
func TestAttacksAreContained(t *testing.T) {
	const limit = time.Second
	p := newPool(t, Config{Children: 4, PerPrefix: 1})
	neighbours := live(t, p, 20)
	reset, most := peak(t)
	small, _ := resident()
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "attack\tended\tafter\tCPU\tpeak MiB\twith")
	for _, a := range slices.Concat(readJSON[[]attack](t, "testdata/attacks.json"), readJSON[[]attack](t, "testdata/families.json")) {
		reset()
		s := open(t, p, jsvm.Setup{Limits: jsvm.Limits{DrainTime: limit}})
		before, _ := p.Counts()
		begin := time.Now()
		step := run(t, s, a.text())
		took := time.Since(begin)
		now, _ := p.Counts()
		cpu := now.CPU - before.CPU
		_, all := most()
		fmt.Fprintf(w, "%s\t%s\t%.2f s\t%.2f s\t%d\t%.110s\n", a.Name, step.State, took.Seconds(), cpu.Seconds(), all>>20, outcome(step))
		// CPU time is what is limited; a busy machine gives it more slowly.
		if cpu > limit+time.Second || took > 10*limit {
			t.Errorf("%s: ended after %s, %s of CPU time", a.Name, took, cpu)
		}
		if all > 1500<<20 {
			t.Errorf("%s: %d MiB at the peak", a.Name, all>>20)
		}
		if step.State == jsvm.Aborted && (step.Err == nil || step.Err.Name != "LimitError") {
			t.Errorf("%s: %+v", a.Name, step.Err)
		}
		for _, n := range neighbours {
			n.goOn(t)
		}
	}
	_ = w.Flush()
	counts, children := p.Counts()
	after, _ := resident()
	t.Logf("\n%s\n%d children, %+v; this process %d → %d MiB", table.String(), children, counts, small>>20, after>>20)
	if after-small > 100<<20 {
		t.Errorf("this process grew from %d to %d MiB", small>>20, after>>20)
	}
}
