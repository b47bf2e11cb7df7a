package store

import (
	"testing"

	"github.com/google/uuid"

	"statek/internal/jobs"
)

// TestWhatWasReadMustBeOfTheEpochBefore: a job that somebody else has had since it was read is claimed anew.
func TestWhatWasReadMustBeOfTheEpochBefore(t *testing.T) {
	t.Parallel()
	job, me, other := uuid.New(), uuid.New(), uuid.New()
	for name, c := range map[string]struct {
		read jobs.Hold
		good bool
	}{
		"asleep":                       {jobs.Hold{Epoch: 4}, true},
		"read after it was taken":      {jobs.Hold{Epoch: 5, Owner: me}, true},
		"somebody has had it since":    {jobs.Hold{Epoch: 3}, false},
		"somebody had it":              {jobs.Hold{Epoch: 4, Owner: other}, false},
		"it was this worker's before":  {jobs.Hold{Epoch: 4, Owner: me}, false},
		"somebody had it in that time": {jobs.Hold{Epoch: 5, Owner: other}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.read.Job = job
			p := &peek{records: map[jobs.ID]*jobs.Record{job: {Hold: c.read}}}
			rec := p.at(Taken{Job: job, Epoch: 5}, me)
			if want := (jobs.Hold{Job: job, Epoch: 5, Owner: me}); (rec != nil) != c.good || rec != nil && rec.Hold != want {
				t.Errorf("record %+v, want one: %t", rec, c.good)
			}
			if p.at(Taken{Job: uuid.New(), Epoch: 5}, me) != nil {
				t.Error("a job that was not read has a record")
			}
		})
	}
}
