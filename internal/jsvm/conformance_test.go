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
