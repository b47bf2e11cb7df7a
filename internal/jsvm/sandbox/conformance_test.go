package sandbox

import (
	"testing"

	"statek/internal/jsvm"
	"statek/internal/jsvm/jsvmtest"
)

// TestConformance holds the pool to what is asked of any machine: with children that hold their sessions, and with
// children that forget each as soon as it waits, so that every delivery rebuilds it.
func TestConformance(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]*Pool{"calm": newPool(t, Config{}), "forgetful": newPool(t, Config{forgetful: true})} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			t.Cleanup(func() { // the bounds inside catch all of this: no honest cell meets the kill path
				if counts, _ := p.Counts(); len(counts.Deaths) > 0 {
					t.Errorf("children died: %+v", counts)
				}
			})
			t.Run("cells", func(t *testing.T) { t.Parallel(); jsvmtest.Cells(t, p, "../testdata/cells.json") })
			t.Run("traps", func(t *testing.T) { t.Parallel(); jsvmtest.Traps(t, p, "../testdata/workspaces.json") })
			t.Run("workspaces", func(t *testing.T) { t.Parallel(); jsvmtest.Workspaces(t, p) })
			t.Run("suspension", func(t *testing.T) { t.Parallel(); jsvmtest.Suspension(t, p) })
			t.Run("replays", func(t *testing.T) { t.Parallel(); jsvmtest.Replays(t, p) })
		})
	}
}

var _ jsvm.Machine = (*Pool)(nil)
