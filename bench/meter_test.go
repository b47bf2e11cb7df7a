package main

import (
	"os"
	"testing"
	"time"
)

// TestPercentiles: the nth percentile is the smallest value that n percent do not exceed.
func TestPercentiles(t *testing.T) {
	t.Parallel()
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(100-i) * time.Millisecond
	}
	for percent, want := range map[int]time.Duration{50: 50 * time.Millisecond, 90: 90 * time.Millisecond, 99: 99 * time.Millisecond} {
		if got := at(hundred, percent); got != want {
			t.Errorf("percentile %d = %s, want %s", percent, got, want)
		}
	}
	if got := at([]time.Duration{time.Second}, 50); got != time.Second {
		t.Errorf("median of one = %s", got)
	}
	if got := at(nil, 50); got != 0 {
		t.Errorf("median of none = %s", got)
	}
}

// TestTreesAreAddedUp: a process stands for its descendants too, and what they used is read in ticks of 10 ms.
func TestTreesAreAddedUp(t *testing.T) {
	t.Parallel()
	all := table{1: {0, 10}, 2: {1, 20}, 3: {2, 40}, 4: {0, 80}}
	if got := all.tree(1); got != 70 {
		t.Errorf("tree = %d, want 70", got)
	}
	real, err := processes()
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := real[os.Getpid()]; !ok {
		t.Error("this process is not in the table")
	}
}
