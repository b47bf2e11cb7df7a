package sandbox

import (
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"testing"
	"time"

	"statek/internal/jsvm"
	"statek/internal/jsvm/jsvmtest"
)

// machines are the two ways to run cells.
func machines(b *testing.B) map[string]jsvm.Machine {
	b.Helper()
	return map[string]jsvm.Machine{"in-process": jsvm.NewInProcess(), "child": newPool(b, Config{})}
}

// begin opens a session that the benchmark closes.
func begin(b *testing.B, m jsvm.Machine, limits jsvm.Limits) jsvm.Session {
	b.Helper()
	s, err := m.Open(b.Context(), jsvm.Setup{Prefix: "/acme", Grants: grants, Limits: limits})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// BenchmarkCell runs a typical cell of twenty lines with one call, from opening to the changes, on as many
// goroutines as there are cores.
func BenchmarkCell(b *testing.B) { cells(b, jsvmtest.TypicalCell) }

// BenchmarkShortCell does the same with three lines that await two calls: what most cells are like.
func BenchmarkShortCell(b *testing.B) { cells(b, jsvmtest.ShortCell) }

// cells runs a cell again and again in each machine, and measures what it costs the whole machine.
func cells(b *testing.B, source string) {
	for name, m := range machines(b) {
		b.Run(name, func(b *testing.B) {
			before := cpuOf(m)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					s := begin(b, m, jsvm.Limits{})
					step, err := s.Run(b.Context(), jsvm.Cell{Number: 1, Source: source})
					if err == nil {
						step, err = finish(b.Context(), s, step)
					}
					if err != nil || step.State != jsvm.Done {
						b.Errorf("%+v %v", step, err)
					}
					if _, err := s.Changes(b.Context()); err != nil {
						b.Error(err)
					}
					s.Close()
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "cells/s")
			b.ReportMetric(float64((cpuOf(m)-before).Microseconds())/1000/float64(b.N), "ms-cpu/cell")
		})
	}
}

// cpuOf is the CPU time of this process and of a pool's children.
func cpuOf(m jsvm.Machine) time.Duration {
	total := cpuTime()
	if p, ok := m.(*Pool); ok {
		p.mu.Lock()
		defer p.mu.Unlock()
		for c := range p.children {
			total += c.used()
		}
	}
	return total
}

// BenchmarkDeliver is the way of one result into a live cell and of the next call out of it.
func BenchmarkDeliver(b *testing.B) {
	for name, m := range machines(b) {
		b.Run(name, func(b *testing.B) {
			limits := jsvm.Limits{TotalCalls: 1 << 30, CellTime: time.Hour, CellResults: 1 << 40}
			s := begin(b, m, limits)
			defer s.Close()
			step, err := s.Run(b.Context(), jsvm.Cell{Number: 1, Source: "for (let i = 0; ; i++) await fetchIt(i)"})
			for b.Loop() {
				if err != nil || len(step.Calls) != 1 {
					b.Fatalf("%+v %v", step, err)
				}
				step, err = s.Deliver(b.Context(), answer(step.Calls[0]))
			}
		})
	}
}

// BenchmarkResume rebuilds a cell that has made some calls one after the other.
func BenchmarkResume(b *testing.B) {
	for name, m := range machines(b) {
		for _, calls := range []int{10, 100, 1000} {
			b.Run(fmt.Sprintf("%s/%d", name, calls), func(b *testing.B) {
				cell := jsvm.Cell{Number: 1, Source: fmt.Sprintf("let n = 0; for (let i = 0; i < %d; i++) n += (await fetchIt({i, text: 'x'})).i; await wait('open')", calls)}
				var deliveries []jsvm.Delivery
				for i := range calls {
					args := fmt.Appendf(nil, `[{"i":%d,"text":"x"}]`, i)
					cell.Recorded = append(cell.Recorded, jsvm.Call{ID: i + 1, Name: "fetchIt", Args: args})
					deliveries = append(deliveries, jsvm.Delivery{Call: i + 1, Value: args[1 : len(args)-1], Replay: true, Now: int64(i)})
				}
				for b.Loop() {
					s := begin(b, m, jsvm.Limits{TotalCalls: 2000})
					_, err := s.Run(b.Context(), cell)
					var step jsvm.Step
					if err == nil {
						step, err = s.Deliver(b.Context(), deliveries...)
					}
					if err != nil || len(step.Calls) != 1 {
						b.Fatalf("%+v %v", step, err)
					}
					s.Close()
				}
			})
		}
	}
}

// BenchmarkStart is a child from nothing to its first answer, and what it weighs.
func BenchmarkStart(b *testing.B) {
	p := newPool(b, Config{})
	var last *process
	for b.Loop() {
		proc, err := p.start()
		if err != nil {
			b.Fatal(err)
		}
		if last != nil {
			b.StopTimer()
			_ = last.Close()
			b.StartTimer()
		}
		last = proc
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", last.proc.Pid))
	if err == nil {
		for _, kind := range []string{"Rss", "Pss"} {
			if m := regexp.MustCompile(kind + `:\s+(\d+) kB`).FindSubmatch(text); m != nil {
				kib, _ := strconv.ParseFloat(string(m[1]), 64)
				b.ReportMetric(kib/1024, kind+"-MiB")
			}
		}
	}
	_ = last.Close()
}

// BenchmarkCrowd is a worker's day: a hundred sessions in flight, each of which waits for its results, so that every exchange
// finds another session's cell in the child. What it costs this process and the children is reported apart.
func BenchmarkCrowd(b *testing.B) {
	const inFlight, latency = 100, 20 * time.Millisecond
	p := newPool(b, Config{})
	setup := jsvm.Setup{Prefix: "/acme", Variables: []jsvm.Variable{{Name: "n", Value: []byte("1"), Type: "number"}}}
	for i := range 16 {
		setup.Grants = append(setup.Grants, jsvm.Grant{
			Name:      fmt.Sprintf("tool%d", i),
			Signature: "function tool(name: string, options?: {key?: string, since?: Date | string, timeout?: number | string}): Promise<any>",
			Doc:       "Does a thing, and says in as many words as a tool of this world has what that is.",
		})
	}
	const source = "const a = await tool1(n)\nconst b = await tool1(a + 1)\nexit(b)\n"
	job := func() error {
		s, err := p.Open(b.Context(), setup)
		if err != nil {
			return err
		}
		defer s.Close()
		step, err := s.Run(b.Context(), jsvm.Cell{Number: 1, Source: source})
		for err == nil && step.State == jsvm.Pending {
			<-time.After(latency)
			step, err = s.Deliver(b.Context(), answer(step.Calls[0]))
		}
		if err == nil && step.State != jsvm.Done {
			err = fmt.Errorf("%+v", step)
		}
		if err == nil {
			_, err = s.Changes(b.Context())
		}
		return err
	}
	if err := job(); err != nil { // a child is there
		b.Fatal(err)
	}
	own, all := cpuTime(), cpuOf(p)
	b.SetParallelism(inFlight / runtime.GOMAXPROCS(0))
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := job(); err != nil {
				b.Error(err)
			}
		}
	})
	own, all = cpuTime()-own, cpuOf(p)-all
	perJob := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 / float64(b.N) }
	b.ReportMetric(perJob(own), "ms-worker/cell")
	b.ReportMetric(perJob(all-own), "ms-children/cell")
}
