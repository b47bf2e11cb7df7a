package jsvm_test

import (
	"testing"

	"statek/internal/jsvm"
	"statek/internal/jsvm/jsvmtest"
)

func TestWorkspaces(t *testing.T) {
	t.Parallel()
	jsvmtest.Workspaces(t, jsvm.NewInProcess())
}

func TestReplays(t *testing.T) {
	t.Parallel()
	jsvmtest.Replays(t, jsvm.NewInProcess())
}

func TestSuspension(t *testing.T) {
	t.Parallel()
	jsvmtest.Suspension(t, jsvm.NewInProcess())
}

func TestCells(t *testing.T) {
	t.Parallel()
	jsvmtest.Cells(t, jsvm.NewInProcess(), "testdata/cells.json")
}

func TestTraps(t *testing.T) {
	t.Parallel()
	jsvmtest.Traps(t, jsvm.NewInProcess(), "testdata/workspaces.json")
}
