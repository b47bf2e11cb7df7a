package sim_test

import (
	"testing"

	"statek/internal/sim"
)

func TestSimulation(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		r := sim.Run(t, seed, sim.Options{})
		if r.Err != nil {
			for _, line := range r.Trace {
				t.Log(line)
			}
			t.Fatalf("seed %d: %v", seed, r.Err)
		}
	}
}
