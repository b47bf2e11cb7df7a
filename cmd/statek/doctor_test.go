package main

import (
	"encoding/json"
	"strings"
	"testing"

	"statek/internal/app"
	"statek/internal/pgtest"
)

// TestDoctorEndsWithOne: what is wrong is said with a reason and a remedy, for people and for programs.
func TestDoctorEndsWithOne(t *testing.T) {
	t.Parallel()
	env := []string{"DATABASE_URL=" + pgtest.URL(t)}
	code, stdout, stderr := call(t, env, "doctor")
	if code != 1 || !strings.Contains(stdout, "problem (workers): no worker is running\n  why: ") || !strings.Contains(stderr, "something is wrong") {
		t.Errorf("doctor: exit %d\n%s%s", code, stdout, stderr)
	}
	code, stdout, _ = call(t, env, "doctor", "--json", "--fix")
	var got app.Checkup
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != 1 || len(got.Complaints) != 1 || !got.Complaints[0].Serious {
		t.Errorf("doctor --json: exit %d, %v\n%s", code, err, stdout)
	}
}
