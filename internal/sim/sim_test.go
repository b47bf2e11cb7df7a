package sim_test

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"statek/internal/sim"
)

func TestSimulation(t *testing.T) {
	t.Parallel()
	from, _ := strconv.ParseUint(os.Getenv("SIM_FROM"), 10, 64)
	n, _ := strconv.ParseUint(os.Getenv("SEEDS"), 10, 64)
	if n == 0 {
		n = 200
	}
	for seed := from; seed < from+n; seed++ {
		r := sim.Run(t, seed, sim.Options{})
		if r.Err != nil {
			os.WriteFile("/tmp/simtrace", []byte(strings.Join(r.Trace, "\n")), 0o600)
			t.Fatalf("seed %d: %v", seed, r.Err)
		}
	}
}
