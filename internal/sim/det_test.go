package sim_test

import (
	"os"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"statek/internal/sim"
)

func TestSameSeedSameTrace(t *testing.T) {
	t.Parallel()
	from, _ := strconv.ParseUint(os.Getenv("SIM_FROM"), 10, 64)
	n, _ := strconv.ParseUint(os.Getenv("SEEDS"), 10, 64)
	if n == 0 {
		n = 20
	}
	for seed := from; seed < from+n; seed++ {
		a, b := sim.Run(t, seed, sim.Options{}), sim.Run(t, seed, sim.Options{})
		if diff := cmp.Diff(a.Trace, b.Trace); diff != "" {
			t.Errorf("seed %d (-first +second):\n%.1500s", seed, diff)
		}
	}
}
