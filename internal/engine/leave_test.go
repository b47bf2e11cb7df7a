package engine

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"statek/internal/jobs"
)

func TestLeavesWaits(t *testing.T) {
	t.Parallel()
	issued := func(call int, name string, class jobs.Class) jobs.Entry {
		return jobs.Entry{Event: jobs.CallIssued{Call: call, Name: name, Class: class}}
	}
	settled := func(call int) jobs.Entry { return jobs.Entry{Event: jobs.CallSettled{Call: call}} }
	for _, c := range []struct {
		name string
		log  []jobs.Entry
		want leavings
	}{
		{"no wait", []jobs.Entry{issued(1, "lookUp", jobs.Tool)}, noWaits},
		{"settled", []jobs.Entry{issued(1, "pickTask", jobs.Wait), settled(1)}, noWaits},
		{"open", []jobs.Entry{issued(1, "pickTask", jobs.Wait), issued(2, "sleep", jobs.Wait), settled(2)}, sharedWaits},
		{"message", []jobs.Entry{issued(1, "message", jobs.Wait), settled(1)}, ownWaits},
		{"open message", []jobs.Entry{issued(1, "message", jobs.Wait)}, sharedWaits},
		{"message and open", []jobs.Entry{issued(1, "message", jobs.Wait), settled(1), issued(2, "sleep", jobs.Wait)}, sharedWaits},
		{"set", []jobs.Entry{issued(1, "pickTask", jobs.Wait), {Event: jobs.WaitsJoined{Calls: []int{1}}}, settled(1)}, sharedWaits},
	} {
		if got := leavesWaits(c.log); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestAnswered(t *testing.T) {
	t.Parallel()
	issued := func(call int, name string) jobs.Entry {
		return jobs.Entry{Event: jobs.CallIssued{Call: call, Name: name, Class: jobs.Wait}}
	}
	settled := func(call int) jobs.Entry { return jobs.Entry{Event: jobs.CallSettled{Call: call}} }
	slept := jobs.Entry{Event: jobs.Slept{}}
	for _, c := range []struct {
		name string
		log  []jobs.Entry
		want []int
	}{
		{"open", []jobs.Entry{issued(1, "message"), slept}, nil},
		{"answered", []jobs.Entry{issued(1, "message"), slept, settled(1), issued(2, "sleep")}, []int{1}},
		{"another wait", []jobs.Entry{issued(1, "event"), slept, settled(1)}, nil},
		{"two, of which one before it slept", []jobs.Entry{issued(1, "message"), slept, settled(1), issued(2, "message"), slept, settled(2)}, []int{2}},
	} {
		if diff := cmp.Diff(c.want, answered(c.log)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}
