package jobs

import "fmt"

// Fold rebuilds a job from its history. The cached copy in the database must equal it.
func Fold(history []Entry) (Job, error) {
	var job Job
	for i, e := range history {
		if e.Seq != int64(i)+1 {
			return Job{}, fmt.Errorf("jobs: fold: expected row %d, got %d", i+1, e.Seq)
		}
		var err error
		if job, _, err = Step(job, e.Event, e.At); err != nil {
			return Job{}, fmt.Errorf("jobs: fold row %d: %w", e.Seq, err)
		}
	}
	return job, nil
}
