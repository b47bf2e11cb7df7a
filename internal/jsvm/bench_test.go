package jsvm_test

import (
	"fmt"
	"testing"

	"statek/internal/jsvm"
	"statek/internal/jsvm/jsvmtest"
)

func BenchmarkOpen(b *testing.B) {
	m := jsvm.NewInProcess()
	for b.Loop() {
		s, err := m.Open(b.Context(), jsvm.Setup{Grants: grants})
		if err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
}

func BenchmarkCell(b *testing.B) {
	m := jsvm.NewInProcess()
	for b.Loop() {
		s, err := m.Open(b.Context(), jsvm.Setup{Grants: grants})
		if err != nil {
			b.Fatal(err)
		}
		step, err := s.Run(b.Context(), jsvm.Cell{Number: 1, Source: jsvmtest.TypicalCell})
		if err == nil {
			step, err = finish(b.Context(), s, step)
		}
		if err != nil || step.State != jsvm.Done {
			b.Fatalf("%+v %v", step, err)
		}
		if _, err := s.Changes(b.Context()); err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
}

// BenchmarkReplay100 resumes a cell that has made a hundred calls one after the other.
func BenchmarkReplay100(b *testing.B) {
	m := jsvm.NewInProcess()
	cell := jsvm.Cell{Number: 1, Source: "let n = 0; for (let i = 0; i < 100; i++) n += (await fetchIt({i, text: 'x'})).i; await fetchIt('open')"}
	var deliveries []jsvm.Delivery
	for i := range 100 {
		args := fmt.Appendf(nil, `[{"i":%d,"text":"x"}]`, i)
		cell.Recorded = append(cell.Recorded, jsvm.Call{ID: i + 1, Name: "fetchIt", Args: args})
		deliveries = append(deliveries, jsvm.Delivery{Call: i + 1, Value: args[1 : len(args)-1], Replay: true, Now: int64(i)})
	}
	for b.Loop() {
		s, err := m.Open(b.Context(), jsvm.Setup{Grants: grants})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := s.Run(b.Context(), cell); err != nil {
			b.Fatal(err)
		}
		step, err := s.Deliver(b.Context(), deliveries...)
		if err != nil || len(step.Calls) != 1 {
			b.Fatalf("%+v %v", step, err)
		}
		s.Close()
	}
}
