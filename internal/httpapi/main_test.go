package httpapi

import (
	"testing"

	"statek/internal/app"
	"statek/internal/pgtest"
)

func TestMain(m *testing.M) {
	app.SandboxMain()
	pgtest.Main(m)
}
