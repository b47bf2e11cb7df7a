package httpapi

import (
	"testing"

	"statek/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }
