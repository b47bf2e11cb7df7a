package engine

import (
	"errors"
	"testing"

	"statek/internal/jobs"
)

// TestNothingIsHandedOutWithoutACommit: when none can be made, as for a call whose cell mail has ended meanwhile, nobody is to be told how it
// ended, and the run can go on.
func TestNothingIsHandedOutWithoutACommit(t *testing.T) {
	t.Parallel()
	r := &run{mu: newTurn()}
	refused := errors.New("the cell is over")
	_, ended, err := r.handOut(func() (jobs.Commit, jobs.Ended, error) { return jobs.Commit{}, nil, refused })
	if ended != nil || !errors.Is(err, refused) {
		t.Fatalf("handed out = %t, %v; want nothing, %v", ended != nil, err, refused)
	}
	var told []bool
	_, ended, err = r.handOut(func() (jobs.Commit, jobs.Ended, error) {
		return jobs.Commit{}, func(released bool, _ error) { told = append(told, released) }, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	ended(true, nil)
	if _, free := poll(r.mu); free || len(told) != 1 || !told[0] {
		t.Errorf("the lock is held: %t; told %v", free, told)
	}
}
