package sim_test

import (
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"statek/internal/jsvm"
	"statek/internal/sim"
	"statek/internal/sim/memstore"
)

func TestMain(m *testing.M) {
	jsvm.PinUTC()
	goleak.VerifyTestMain(m)
}

// TestSimulation runs SEEDS worlds from SIM_FROM on. A world in which something does not hold is written to testdata/seeds.
func TestSimulation(t *testing.T) {
	t.Parallel()
	from, n := number(t, "SIM_FROM", 0), number(t, "SEEDS", 600)
	began, lives := time.Now(), 0
	for seed := from; seed < from+n; seed++ {
		r := sim.Run(t, seed, sim.Options{})
		lives += r.Jobs
		if r.Err != nil {
			t.Fatalf("seed %d: %v\nthe world is in %s", seed, r.Err, keep(t, r))
		}
		if done := seed - from + 1; done%1000 == 0 {
			t.Logf("%d of %d seeds, %d lives of jobs, %s", done, n, lives, time.Since(began).Round(time.Second))
		}
	}
	t.Logf("%d seeds, %d lives of jobs, %s", n, lives, time.Since(began).Round(time.Millisecond))
}

// TestSeeds runs the worlds again in which something did not hold once.
func TestSeeds(t *testing.T) {
	t.Parallel()
	seeds, err := sim.Seeds("testdata/seeds")
	if err != nil {
		t.Fatal(err)
	}
	if len(seeds) == 0 {
		t.Fatal("testdata/seeds is empty")
	}
	for _, seed := range seeds {
		if r := sim.Run(t, seed, sim.Options{}); r.Err != nil {
			t.Errorf("seed %d: %v", seed, r.Err)
		}
	}
}

// TestSameSeedSameTrace: a seed is an order of events, down to the last one.
func TestSameSeedSameTrace(t *testing.T) {
	t.Parallel()
	for seed := range uint64(30) {
		a, b := sim.Run(t, seed, sim.Options{}), sim.Run(t, seed, sim.Options{})
		if diff := cmp.Diff(a.Trace, b.Trace); diff != "" {
			t.Errorf("seed %d (-first +second):\n%.2000s", seed, diff)
		}
		if len(a.Trace) < 100 {
			t.Errorf("seed %d: a world of %d events shows nothing", seed, len(a.Trace))
		}
	}
}

// TestJavaScript runs worlds with the real machine, in this process.
func TestJavaScript(t *testing.T) {
	t.Parallel()
	machine := jsvm.NewInProcess()
	machine.Clock = func() time.Duration { return 0 } // the bubble's clock stands still while code runs
	for seed := range uint64(20) {
		if r := sim.Run(t, seed, sim.Options{Machine: machine}); r.Err != nil {
			t.Fatalf("seed %d: %v\nthe world is in %s", seed, r.Err, keep(t, r))
		}
	}
}

// TestBrokenStoresAreFound: the simulation is worth something only if it notices. Each way to be wrong is found within a
// few dozen worlds.
func TestBrokenStoresAreFound(t *testing.T) {
	t.Parallel()
	const most = 200
	for name, bugs := range map[string]memstore.Bugs{
		"a zombie's commit is written":                   {NoFence: true},
		"a ring is lost when the job seems rung already": {LoseRings: true},
		"a job is released although it was rung":         {ReleaseAnyway: true},
		"mail is consumed when it is read":               {EatMail: true},
		"a look trusts a snapshot older than its wait":   {TrustFirstLook: true},
		"the losers of a set are not withdrawn":          {ForgetSets: true},
		"a value that nobody sees is not given back":     {ForgetLosers: true},
		"a tool's effect is committed before its record": {EffectBeforeRecord: true},
		"a job that is taken over is not rung":           {KeepOwner: true},
		"a replay does not know of its sets":             {ForgetJoins: true},
		"a call that the state trails is made again":     {ForgetCalls: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(most) {
				if r := sim.Run(t, seed, sim.Options{Bugs: bugs}); r.Err != nil {
					t.Logf("found by seed %d: %v", seed, r.Err)
					return
				}
			}
			t.Errorf("not found in %d worlds", most)
		})
	}
}

func number(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s is %q, expected a number", name, text)
	}
	return n
}

func keep(t *testing.T, r sim.Report) string {
	t.Helper()
	file, err := sim.Keep("testdata/seeds", r)
	if err != nil {
		t.Fatal(err)
	}
	return file
}
