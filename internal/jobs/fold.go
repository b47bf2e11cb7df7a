package jobs

import "fmt"

// Fold rebuilds a job from its history. The cached copy in the database must equal it, or that of an earlier row: see Trails.
func Fold(history []Entry) (Job, error) {
	var job Job
	if err := job.CatchUp(history); err != nil {
		return Job{}, err
	}
	return job, nil
}

// CatchUp applies the rows of history that follow what the job is folded from.
func (j *Job) CatchUp(history []Entry) error {
	for _, e := range history {
		if e.Seq != j.Seq+1 {
			return fmt.Errorf("jobs: fold: expected row %d, got %d", j.Seq+1, e.Seq)
		}
		next, _, err := Step(*j, e.Event, e.At)
		if err != nil {
			return fmt.Errorf("jobs: fold row %d: %w", e.Seq, err)
		}
		*j = next
	}
	return nil
}

// Trails reports whether what is cached of a job may stay behind these rows of history: calls of tools with their results and
// output, of a cell of which it knows. They change nothing that others ask for, and are soon followed by rows that do.
func Trails(rows []Entry) bool {
	for _, e := range rows {
		switch ev := e.Event.(type) {
		case CallSettled, Console:
		case CallIssued:
			if ev.Class != Tool {
				return false
			}
		default:
			return false
		}
	}
	return true
}
